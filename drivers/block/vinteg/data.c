// SPDX-License-Identifier: GPL-2.0
/*
 * Moving a command's data between its request and the backing file.
 */
#include <linux/bio.h>
#include <linux/ioprio.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "charge.h"
#include "trace.h"
#include "vinteg.h"

/* After vinteg_data_iocb(). */
static int vinteg_data_iter(struct vinteg_cmd *cmd, struct iov_iter *iter)
{
	gfp_t gfp = cmd->iocb.ki_flags & IOCB_NOWAIT ? GFP_NOWAIT : GFP_NOIO;
	unsigned int dir = cmd->plan.call == VINTEG_CALL_WRITE ?
		ITER_SOURCE : ITER_DEST;
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	unsigned int nr = vinteg_rq_nr_bvec(rq);
	struct req_iterator rq_iter;
	struct bio_vec tmp;
	unsigned int i = 0;

	if (rq->bio == rq->biotail) {
		struct bio *bio = rq->bio;

		/* A split bio starts in the middle of its vector. */
		iov_iter_bvec(iter, dir,
			      __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter),
			      nr, blk_rq_bytes(rq));
		iter->iov_offset = vinteg_bvec_offset(&bio->bi_iter);
	} else {
		/* Each bvec is at least one segment, so this can't happen. */
		if (WARN_ON_ONCE(nr > VINTEG_MAX_SEGMENTS))
			return -EIO;
		cmd->bvec = mempool_alloc(&vinteg_of_request(rq)->bvecs, gfp);
		if (!cmd->bvec)
			return -EAGAIN;
		rq_for_each_bvec(tmp, rq, rq_iter)
			cmd->bvec[i++] = tmp;
		iov_iter_bvec(iter, dir, cmd->bvec, nr, blk_rq_bytes(rq));
	}
	iov_iter_advance(iter, cmd->done);
	return 0;
}

/**
 * vinteg_start_write() - keep the file system from being frozen
 * @dev: the device
 * @iocb: the write that is about to be issued
 *
 * The VFS does this for regular files only; their freezing is what counts.
 *
 * Context: process.  Sleeps while the file system is frozen, unless @iocb has
 * IOCB_NOWAIT.
 * Return: false if it is frozen and @iocb has IOCB_NOWAIT.
 */
bool vinteg_start_write(struct vinteg *dev, struct kiocb *iocb)
{
	if (!S_ISREG(file_inode(iocb->ki_filp)->i_mode) ||
	    vinteg_kiocb_start_write_trylock(iocb))
		return true;
	if (iocb->ki_flags & IOCB_NOWAIT)
		return false;
	/* Whoever has frozen it may want to read. */
	vinteg_let_read(dev);
	kiocb_start_write(iocb);
	return true;
}

/**
 * vinteg_end_write() - undo vinteg_start_write()
 * @iocb: the same as there
 *
 * Context: any.
 */
void vinteg_end_write(struct kiocb *iocb)
{
	if (S_ISREG(file_inode(iocb->ki_filp)->i_mode))
		kiocb_end_write(iocb);
}

/*
 * Has an attempt failed only for whose it was?  Any other error counts: of a
 * durable write it may be its sync, which would not fail a second time.
 */
static bool vinteg_only_nowait(struct vinteg_cmd *cmd, long ret)
{
	if (!(cmd->iocb.ki_flags & IOCB_NOWAIT))
		return false;

	switch (ret) {
	/* It would have had to wait.  A lower disk may find that out late. */
	case -EAGAIN:
	/* Nothing below can do without waiting. */
	case -EOPNOTSUPP:
	/* Signals, limits and quotas of the submitter, or the OOM killer. */
	case -EINTR:
	case -ERESTARTSYS:
	case -EFBIG:
	case -ENOSPC:
	case -EDQUOT:
	case -ENOMEM:
		return true;
	default:
		return false;
	}
}

static void vinteg_io_release(struct vinteg_cmd *cmd)
{
	if (cmd->plan.call == VINTEG_CALL_WRITE)
		vinteg_end_write(&cmd->iocb);
	if (cmd->bvec) {
		struct request *rq = blk_mq_rq_from_pdu(cmd);

		mempool_free(cmd->bvec, &vinteg_of_request(rq)->bvecs);
		cmd->bvec = NULL;
	}
}

static void vinteg_io_finish(struct vinteg_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vinteg *dev = vinteg_of_request(rq);
	bool native = cmd->iocb.ki_flags & IOCB_DSYNC;
	long ret = cmd->result;

	vinteg_io_release(cmd);
	if (ret > 0) {
		cmd->done += ret;
		cmd->stale = cmd->plan.call == VINTEG_CALL_WRITE &&
			cmd->plan.direct && dev->backing->must_invalidate &&
			READ_ONCE(dev->backing->mapping->nrpages);
		/* If cut short, the rest tells why. */
		if (cmd->done < blk_rq_bytes(rq) || cmd->stale)
			vinteg_cmd_queue(cmd);
		else
			vinteg_cmd_data_done(cmd, 0, native);
		return;
	}
	if (vinteg_only_nowait(cmd, ret)) {
		/* It may have to wait for a thaw, and syncs not for it. */
		if (cmd->native)
			vinteg_native_end(cmd);
		vinteg_cmd_queue(cmd);
		return;
	}
	/*
	 * No progress at all is an error, and the remainder of a short
	 * transfer need not be aligned as direct I/O wants it.
	 */
	if (!ret || (ret == -EINVAL && cmd->done))
		ret = -EIO;
	if (native) {
		/*
		 * Its own data, or the sync that came with it?  Writing the
		 * data alone tells; see vinteg_cmd_data_done().
		 */
		cmd->redo = true;
		cmd->done = 0;
		vinteg_cmd_queue(cmd);
		return;
	}
	vinteg_cmd_data_done(cmd, ret, false);
}

static void vinteg_io_put(struct vinteg_cmd *cmd)
{
	if (refcount_dec_and_test(&cmd->refs))
		vinteg_io_finish(cmd);
}

/* May run in interrupt context, and before the submission has returned. */
static void vinteg_io_complete(struct kiocb *iocb, long ret)
{
	struct vinteg_cmd *cmd = container_of(iocb, struct vinteg_cmd, iocb);

	cmd->result = ret;
	vinteg_io_put(cmd);
}

/*
 * What is in the page cache of a raw block device can be had without waiting,
 * but blkdev_read_iter() waits for the inode's lock, IOCB_NOWAIT or not.
 * Others hold that while they zero the device, or while they wait for memory.
 */
static ssize_t vinteg_io_read(struct vinteg_cmd *cmd, struct iov_iter *iter)
{
	struct file *file = cmd->iocb.ki_filp;
	struct inode *inode = file->f_mapping->host;
	ssize_t ret;

	if (!(cmd->iocb.ki_flags & IOCB_NOWAIT) || cmd->plan.direct ||
	    !S_ISBLK(inode->i_mode))
		return file->f_op->read_iter(&cmd->iocb, iter);
	if (!inode_trylock_shared(inode))
		return -EAGAIN;
	ret = filemap_read(&cmd->iocb, iter, 0);
	inode_unlock_shared(inode);
	return ret;
}

static ssize_t vinteg_io_issue(struct vinteg_cmd *cmd, struct iov_iter *iter)
{
	const struct file_operations *fop = cmd->iocb.ki_filp->f_op;
	int dirtied = current->nr_dirtied, pause = current->nr_dirtied_pause;
	const int start = INT_MIN / 2;
	ssize_t ret;

	if (cmd->plan.call == VINTEG_CALL_READ)
		return vinteg_io_read(cmd, iter);
	if (!cmd->plan.direct)
		return fop->write_iter(&cmd->iocb, iter);
	if (cmd->iocb.ki_flags & IOCB_DSYNC)
		vinteg_native_begin(cmd);

	/*
	 * Several file systems do a direct write through the page cache
	 * without telling.  The pages that this task has dirtied tell, unless
	 * they were the file system's own (btrfs allocates).  That is close
	 * enough for a counter: nothing else depends on it.  Counting starts
	 * far below the 0 that balance_dirty_pages() may set it to.
	 */
	current->nr_dirtied = start;
	current->nr_dirtied_pause = INT_MAX / 2;
	ret = fop->write_iter(&cmd->iocb, iter);
	if (ret != -EIOCBQUEUED && current->nr_dirtied != start && !cmd->fell_back &&
	    inode_state_read_once(cmd->iocb.ki_filp->f_mapping->host) &
	    I_DIRTY_PAGES) {
		struct vinteg *dev = vinteg_of_request(blk_mq_rq_from_pdu(cmd));

		cmd->fell_back = true;
		vinteg_count(dev, VINTEG_STAT_DIRECT_FALLBACKS);
	}
	current->nr_dirtied = dirtied;
	current->nr_dirtied_pause = pause;
	return ret;
}

static void vinteg_data_iocb(struct vinteg_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vinteg_backing *backing = vinteg_of_request(rq)->backing;

	cmd->iocb = (struct kiocb) {
		.ki_filp	= backing->io,
		.ki_pos		= vinteg_request_pos(rq) + cmd->done,
		.ki_ioprio	= req_get_ioprio(rq),
	};
	if (cmd->plan.direct) {
		cmd->iocb.ki_flags = IOCB_DIRECT;
		cmd->iocb.ki_complete = vinteg_io_complete;
		/* If it is cut short, there is a sync after all. */
		if (cmd->plan.call == VINTEG_CALL_WRITE && cmd->plan.durable &&
		    backing->native_dsync && !cmd->redo && !cmd->done)
			cmd->iocb.ki_flags |= IOCB_DSYNC;
	} else if (cmd->plan.call == VINTEG_CALL_WRITE) {
		vinteg_backing_keep_stable(backing);
	}
}

static void vinteg_data_issued(struct vinteg_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vinteg *dev = vinteg_of_request(rq);

	cmd->tried = true;
	if (cmd->plan.call == VINTEG_CALL_WRITE && !cmd->done && !cmd->redo &&
	    !cmd->again)
		vinteg_count(dev, cmd->plan.direct ?
			     VINTEG_STAT_DIRECT_WRITES :
			     VINTEG_STAT_BUFFERED_WRITES);
	trace_vinteg_issue(rq, cmd->plan.call, cmd->iocb.ki_pos,
			   blk_rq_bytes(rq) - cmd->done, cmd->plan.direct,
			   cmd->plan.durable, cmd->iocb.ki_flags & IOCB_DSYNC);
}

static void vinteg_data_rw(struct vinteg_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vinteg *dev = vinteg_of_request(rq);
	struct vinteg_charge charge;
	struct iov_iter iter, again;
	ssize_t ret;

	vinteg_data_iocb(cmd);
	if (!cmd->tried || cmd->done || cmd->redo)
		vinteg_data_issued(cmd);

	/* Waits while the file system is frozen, so before memory is taken. */
	if (cmd->plan.call == VINTEG_CALL_WRITE)
		vinteg_start_write(dev, &cmd->iocb);
	refcount_set(&cmd->refs, 2);
	ret = vinteg_data_iter(cmd, &iter);
	if (ret)
		goto out;

	again = iter;
	vinteg_charge_begin(&charge, rq, !cmd->plan.direct);
	ret = vinteg_io_issue(cmd, &iter);
	if (ret == -ENOMEM && vinteg_charge_spare(&charge))
		ret = vinteg_io_issue(cmd, &again);
	vinteg_charge_end(&charge);
out:
	if (ret != -EIOCBQUEUED)
		vinteg_io_complete(&cmd->iocb, ret);
	vinteg_io_put(cmd);
}

/* The file was truncated: neither zeroes nor growth are an answer. */
static bool vinteg_data_is_cut_off(struct vinteg_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	loff_t end = vinteg_request_pos(rq) + blk_rq_bytes(rq);

	return end > vinteg_backing_size(vinteg_of_request(rq)->backing);
}

/**
 * vinteg_data_try() - move the data of a command without waiting
 * @cmd: a new command that reads or writes; holds its range if it needs one
 *
 * Context: a worker of the device, or between vinteg_submitter_enter() and
 * vinteg_submitter_end().
 * Return: true if all goes on by itself and @cmd may have completed; false if
 * nothing has happened and a worker has to do it.
 */
bool vinteg_data_try(struct vinteg_cmd *cmd)
{
	struct vinteg *dev = vinteg_of_request(blk_mq_rq_from_pdu(cmd));
	struct iov_iter iter;
	ssize_t ret;

	/* A worker has the answer. */
	if (vinteg_data_is_cut_off(cmd))
		return false;

	vinteg_data_iocb(cmd);
	cmd->iocb.ki_flags |= IOCB_NOWAIT;
	/* What is not in the page cache is read by a worker. */
	if (!cmd->plan.direct)
		cmd->iocb.ki_flags |= IOCB_NOIO;
	if (cmd->plan.call == VINTEG_CALL_WRITE &&
	    !vinteg_start_write(dev, &cmd->iocb))
		return false;
	refcount_set(&cmd->refs, 2);
	ret = vinteg_data_iter(cmd, &iter);
	if (ret)
		goto out_release;

	vinteg_data_issued(cmd);
	ret = vinteg_io_issue(cmd, &iter);
	if (vinteg_only_nowait(cmd, ret))
		goto out_release;
	if (ret != -EIOCBQUEUED)
		vinteg_io_complete(&cmd->iocb, ret);
	vinteg_io_put(cmd);
	return true;

out_release:
	vinteg_io_release(cmd);
	if (cmd->native)
		vinteg_native_end(cmd);
	return false;
}

/*
 * Pages that stay have been dirtied since: by the file system, which did the
 * write through the page cache after all.  They are right, and can be dropped
 * when they are clean.  Nothing else should hold them.
 */
static int vinteg_drop_pages(struct address_space *mapping, loff_t pos,
			     loff_t last)
{
	int err = invalidate_inode_pages2_range(mapping, pos >> PAGE_SHIFT,
						last >> PAGE_SHIFT);

	if (!err)
		return 0;
	/* An error of this is seen by the next sync. */
	filemap_fdatawrite_range(mapping, pos, last);
	filemap_fdatawait_range_keep_errors(mapping, pos, last);
	return invalidate_inode_pages2_range(mapping, pos >> PAGE_SHIFT,
					     last >> PAGE_SHIFT);
}

/**
 * vinteg_data_invalidate() - drop pages that a direct write has made stale
 * @cmd: a command whose direct write is done
 *
 * They were read, for a neighbour or by somebody else, while the write was
 * under way.  If they can't be dropped, what is read through the page cache is
 * not what was written, and writing to a part of them would undo the rest: the
 * write has failed then.
 *
 * Context: a worker of the device.  Sleeps.
 */
void vinteg_data_invalidate(struct vinteg_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vinteg *dev = vinteg_of_request(rq);
	loff_t pos = vinteg_request_pos(rq);
	int err = vinteg_drop_pages(dev->backing->mapping, pos,
				    pos + cmd->done - 1);

	cmd->stale = false;
	/* A failed sync is still the worse news. */
	if (err && !cmd->redo)
		vinteg_cmd_data_done(cmd, err, false);
	else if (cmd->done < blk_rq_bytes(rq))
		vinteg_data_start(cmd);
	else
		vinteg_cmd_data_done(cmd, 0, cmd->iocb.ki_flags & IOCB_DSYNC);
}

/**
 * vinteg_data_start() - move the data of a command
 * @cmd: the command; holds its range if it needs one
 *
 * Ends in vinteg_cmd_data_done(), now or from the completion of the I/O.
 *
 * Context: a worker of the device, between vinteg_worker_begin() and
 * vinteg_worker_end().  Sleeps.
 */
void vinteg_data_start(struct vinteg_cmd *cmd)
{
	if (vinteg_data_is_cut_off(cmd)) {
		vinteg_cmd_data_done(cmd, -EIO, false);
		return;
	}

	switch (cmd->plan.call) {
	case VINTEG_CALL_READ:
	case VINTEG_CALL_WRITE:
		vinteg_data_rw(cmd);
		break;
	default:
		vinteg_data_fallocate(cmd);
		break;
	}
}
