// SPDX-License-Identifier: GPL-2.0
/*
 * A request's way: queue_rq makes a plan from the policy in force, the
 * submitter or a worker moves the data, a grouped sync makes it durable if the
 * plan says so, and the request completes.
 */
#include <linux/blk-cgroup.h>
#include <linux/blk-mq.h>

#include "submitter.h"
#include "trace.h"
#include "vinteg.h"

/* How far from a sequence's end a read may be, in reads, and be a part of it. */
#define VINTEG_SEQUENCE_SPREAD 8

/**
 * vinteg_status() - what a request ends with
 * @error: 0 or a negative errno from the file
 *
 * Context: any.
 * Return: never one that makes the block layer try again by itself.
 */
blk_status_t vinteg_status(int error)
{
	switch (error) {
	case -EDQUOT:
		return BLK_STS_NOSPC;
	/* Not to be taken for "try again later", which nobody would. */
	case -ENOMEM:
	case -EAGAIN:
	case -EBUSY:
		return BLK_STS_IOERR;
	default:
		return errno_to_blk_status(error);
	}
}

static void vinteg_cmd_end(struct vinteg_cmd *cmd, int error)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vinteg *dev = vinteg_of_request(rq);

	/* It is set before any request that it concerns completes. */
	if (!error && cmd->plan.promise)
		error = READ_ONCE(dev->error);
	/* Pairs with vinteg_pardon(). */
	smp_rmb();
	/*
	 * The operator has forgiven what was lost up to a moment when this
	 * request was under way.  It may be part of that.  Its own data can be
	 * written again, but not what a FLUSH was to cover.
	 */
	if (!error && cmd->plan.call != VINTEG_CALL_READ &&
	    unlikely(cmd->pardons != READ_ONCE(dev->pardons))) {
		if (req_op(rq) != REQ_OP_FLUSH) {
			cmd->again = true;
			blk_mq_requeue_request(rq, true);
			return;
		}
		error = -EIO;
	}
	if (error)
		vinteg_count(dev, VINTEG_STAT_ERRORS);
	cmd->again = false;
	trace_vinteg_complete(rq, error);
	blk_mq_end_request(rq, vinteg_status(error));
}

static void vinteg_cmd_synced(struct vinteg_sync_waiter *waiter, int error)
{
	struct vinteg_cmd *cmd = container_of(waiter, struct vinteg_cmd, sync);

	vinteg_cmd_end(cmd, error);
}

static void vinteg_cmd_sync(struct vinteg_cmd *cmd, loff_t start, loff_t end,
			    bool settled)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);

	cmd->sync.start = start;
	cmd->sync.end = end;
	cmd->sync.settled = settled;
	cmd->sync.forgive = false;
	cmd->sync.done = vinteg_cmd_synced;
	vinteg_sync_add(vinteg_of_request(rq), &cmd->sync);
}

/**
 * vinteg_cmd_data_done() - go on when the data of a command has been moved
 * @cmd: the command
 * @error: 0 or a negative errno
 * @durable: the file has made the data durable already
 *
 * Context: any.
 */
void vinteg_cmd_data_done(struct vinteg_cmd *cmd, int error, bool durable)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vinteg *dev = vinteg_of_request(rq);
	loff_t pos = vinteg_request_pos(rq);

	if (cmd->range_held)
		vinteg_range_unlock(&dev->ranges, &cmd->range);
	if (cmd->plan.call != VINTEG_CALL_READ)
		vinteg_note_write(dev, !error && cmd->plan.durable);

	/*
	 * A durable write failed in one step, but its data can be written.  So
	 * it was a sync that failed, and what it lost can't be told.
	 */
	if (cmd->redo && !error) {
		error = -EIO;
		vinteg_fail_durability(dev, error, "durable write");
	}
	if (cmd->native)
		vinteg_native_end(cmd);
	/* Then its sync has the word. */
	if (durable && vinteg_backing_stopped(dev->backing))
		durable = false;
	if (error || !cmd->plan.durable ||
	    (durable && !vinteg_native_in_doubt(dev))) {
		vinteg_cmd_end(cmd, error);
		return;
	}
	vinteg_cmd_sync(cmd, pos, pos + blk_rq_bytes(rq) - 1, durable);
}

static void vinteg_cmd_granted(struct vinteg_range *range)
{
	vinteg_cmd_queue(container_of(range, struct vinteg_cmd, range));
}

/**
 * vinteg_cmd_lock() - take the range that a command's data needs, if any
 * @cmd: the command
 *
 * Context: any; takes the lock of the ranges.
 * Return: false if it has to wait; it is queued when it is its turn, which may
 * be before this returns.
 */
bool vinteg_cmd_lock(struct vinteg_cmd *cmd)
{
	struct vinteg *dev = vinteg_of_request(blk_mq_rq_from_pdu(cmd));

	if (!cmd->range_wanted || cmd->range_held)
		return true;
	cmd->range_held = true;
	return vinteg_range_lock(&dev->ranges, &cmd->range);
}

/*
 * What the file can't do directly for its alignment goes through the page
 * cache.  Under a policy that needs direct I/O, bind has seen to it that there
 * is no such request.
 */
static bool vinteg_fits_direct(struct vinteg *dev, struct request *rq)
{
	unsigned int align = dev->backing->dio_align;

	if (!align || !IS_ALIGNED(vinteg_request_pos(rq) | blk_rq_bytes(rq),
				  align))
		return false;
	/* With smaller blocks of its own, the device promises less of memory. */
	if (queue_dma_alignment(rq->q) + 1 < dev->backing->dio_mem_align)
		return false;
	return !VINTEG_DIO_WHOLE_BLOCKS ||
		queue_logical_block_size(rq->q) >= align;
}

/*
 * Direct I/O marks its bios: block/fops.c and iomap set REQ_SYNC and REQ_IDLE
 * on writes.  So do jbd2 and the xfs log, with REQ_META.  Bios of a merged
 * request may differ.
 */
static enum vinteg_issuer
vinteg_request_issuer(struct vinteg *dev, struct request *rq,
		      const struct vinteg_policy *policy)
{
	const blk_opf_t mark = REQ_SYNC | REQ_IDLE;
	bool direct = false, cached = false;
	struct bio *bio;

	if (policy->path != VINTEG_PATH_AS_ISSUED)
		return VINTEG_ISSUER_CACHED;
	__rq_for_each_bio(bio, rq) {
		if ((bio->bi_opf & (mark | REQ_META)) == mark)
			direct = true;
		else
			cached = true;
	}
	if (direct && (cached || (dev->backing && !vinteg_fits_direct(dev, rq))))
		return VINTEG_ISSUER_MIXED;
	return direct ? VINTEG_ISSUER_DIRECT : VINTEG_ISSUER_CACHED;
}

static void vinteg_count_request(struct vinteg *dev, struct request *rq,
				 const struct vinteg_plan *plan)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		vinteg_count(dev, VINTEG_STAT_READS);
		break;
	case REQ_OP_WRITE:
		vinteg_count(dev, VINTEG_STAT_WRITES);
		if (rq->cmd_flags & REQ_FUA)
			vinteg_count(dev, VINTEG_STAT_FUA_WRITES);
		break;
	case REQ_OP_FLUSH:
		vinteg_count(dev, VINTEG_STAT_FLUSHES);
		if (plan->ignored)
			vinteg_count(dev, VINTEG_STAT_IGNORED_FLUSHES);
		break;
	case REQ_OP_DISCARD:
		vinteg_count(dev, VINTEG_STAT_DISCARDS);
		break;
	case REQ_OP_WRITE_ZEROES:
		vinteg_count(dev, VINTEG_STAT_WRITE_ZEROES);
		break;
	default:
		break;
	}
	if (plan->durable)
		vinteg_count(dev, VINTEG_STAT_DSYNC_WRITES);
}

static void vinteg_plan_range(struct vinteg *dev, struct request *rq,
			      struct vinteg_cmd *cmd)
{
	size_t folio = dev->backing->folio_size;
	unsigned int unit = max_t(unsigned int, PAGE_SIZE,
				  dev->backing->block_size);
	loff_t pos = vinteg_request_pos(rq);
	loff_t end = pos + blk_rq_bytes(rq);

	if (!cmd->plan.direct)
		cmd->range.kind = VINTEG_RANGE_CACHED;
	else if (IS_ALIGNED(pos | end, unit))
		cmd->range.kind = VINTEG_RANGE_DIRECT;
	else
		cmd->range.kind = VINTEG_RANGE_ALONE;
	folio = max_t(size_t, folio, unit);
	cmd->range.start = round_down(pos, folio);
	cmd->range.last = round_up(end, folio) - 1;
	cmd->range.granted = vinteg_cmd_granted;
}

/*
 * Readahead finds a sequence by the order in which it is read.  With several
 * workers at it, all of them allocate and wait for the same pages, and small
 * ones.  That goes for several readers of the same sequence, too, who are never
 * at the same place.  One control group does not wait for another.
 */
static bool vinteg_read_follows(struct vinteg *dev, struct request *rq)
{
	struct cgroup_subsys_state *css = bio_blkcg_css(rq->bio);
	loff_t pos = vinteg_request_pos(rq);
	loff_t end = pos + blk_rq_bytes(rq);
	loff_t last = READ_ONCE(dev->read_end);
	bool follows = css == READ_ONCE(dev->read_by) &&
		abs(pos - last) <= VINTEG_SEQUENCE_SPREAD * (end - pos);

	WRITE_ONCE(dev->read_end, follows ? max(end, last) : end);
	WRITE_ONCE(dev->read_by, css);
	return follows && dev->backing->io->f_ra.ra_pages;
}

/* Returns true if there is data to be moved; else the request goes on by itself. */
static bool vinteg_start_request(struct request *rq)
{
	struct vinteg_cmd *cmd = blk_mq_rq_to_pdu(rq);
	struct vinteg *dev = vinteg_of_request(rq);
	/* While nothing is bound it may change at any time. */
	const struct vinteg_policy *policy = READ_ONCE(dev->policy);
	int error;

	blk_mq_start_request(rq);
	trace_vinteg_queue(rq, policy);
	cmd->pardons = READ_ONCE(dev->pardons);

	cmd->plan = vinteg_make_plan(policy, rq->cmd_flags,
				     vinteg_request_issuer(dev, rq, policy),
				     vinteg_override(dev) ||
				     test_bit(VINTEG_SWITCHING, &dev->flags));
	cmd->follows = false;
	cmd->tried = false;
	cmd->redo = false;
	/* Looked at by vinteg_find_native() as soon as it has started. */
	WRITE_ONCE(cmd->native, false);
	cmd->stale = false;
	cmd->done = 0;
	cmd->range_held = false;
	cmd->range_wanted = false;
	cmd->fell_back = false;
	if (!cmd->again)
		vinteg_count_request(dev, rq, &cmd->plan);

	/* The disk has no capacity then, and nothing that could be flushed. */
	if (!dev->backing) {
		vinteg_cmd_end(cmd, req_op(rq) == REQ_OP_FLUSH ? 0 : -EIO);
		return false;
	}

	/* Device mapper lets read-only disks be written to. */
	if (cmd->plan.call != VINTEG_CALL_READ && dev->backing->read_only &&
	    req_op(rq) != REQ_OP_FLUSH) {
		vinteg_cmd_end(cmd, -EROFS);
		return false;
	}

	error = READ_ONCE(dev->error);
	if (error && cmd->plan.promise) {
		vinteg_cmd_end(cmd, error);
		return false;
	}

	switch (cmd->plan.call) {
	case VINTEG_CALL_UNKNOWN:
		vinteg_cmd_end(cmd, -EOPNOTSUPP);
		return false;
	case VINTEG_CALL_NONE:
		vinteg_cmd_end(cmd, 0);
		return false;
	case VINTEG_CALL_SYNC:
		trace_vinteg_issue(rq, VINTEG_CALL_SYNC, 0, LLONG_MAX, false,
				   true, false);
		vinteg_cmd_sync(cmd, 0, LLONG_MAX, false);
		return false;
	case VINTEG_CALL_READ:
		cmd->follows = !cmd->plan.direct && vinteg_read_follows(dev, rq);
		return true;
	case VINTEG_CALL_WRITE:
	case VINTEG_CALL_DISCARD:
	case VINTEG_CALL_ZERO:
		if (cmd->plan.direct && !vinteg_fits_direct(dev, rq))
			cmd->plan.direct = false;
		/* Nothing to keep apart if all goes through the page cache. */
		cmd->range_wanted = policy->path != VINTEG_PATH_CACHED;
		if (cmd->range_wanted)
			vinteg_plan_range(dev, rq, cmd);
		return true;
	}
	return false;
}

/* Returns false if a worker has to take the command. */
static bool vinteg_cmd_try(struct vinteg_cmd *cmd, struct vinteg_submitter *sub)
{
	if (!vinteg_submitter_enter(sub, cmd))
		return false;
	return !vinteg_cmd_lock(cmd) || vinteg_data_try(cmd);
}

static blk_status_t vinteg_queue_rq(struct blk_mq_hw_ctx *hctx,
				    const struct blk_mq_queue_data *bd)
{
	struct vinteg_cmd *cmd = blk_mq_rq_to_pdu(bd->rq);
	struct vinteg_submitter sub;

	if (!vinteg_start_request(bd->rq))
		return BLK_STS_OK;
	vinteg_submitter_begin(&sub, NULL);
	/* Requests that follow would wait with this one, where nobody looks. */
	if (!bd->last || !vinteg_cmd_try(cmd, &sub))
		vinteg_cmd_queue(cmd);
	vinteg_submitter_end(&sub);
	return BLK_STS_OK;
}

static void vinteg_queue_rqs(VINTEG_RQ_LIST *list)
{
	struct vinteg_submitter sub;
	struct vinteg_cmd *cmd;
	struct request *rq;

	vinteg_submitter_begin(&sub, list);
	while ((rq = rq_list_pop(list))) {
		cmd = blk_mq_rq_to_pdu(rq);
		vinteg_rq_known_by_tag(rq);
		if (vinteg_start_request(rq) && !vinteg_cmd_try(cmd, &sub))
			vinteg_cmd_queue(cmd);
	}
	vinteg_submitter_end(&sub);
}

static int vinteg_init_request(struct blk_mq_tag_set *set, struct request *rq,
			       unsigned int hctx_idx,
			       VINTEG_NUMA_NODE numa_node)
{
	struct vinteg_cmd *cmd = blk_mq_rq_to_pdu(rq);

	INIT_WORK(&cmd->work, vinteg_cmd_work);
	cmd->bvec = NULL;
	cmd->again = false;
	return 0;
}

const struct blk_mq_ops vinteg_mq_ops = {
	.queue_rq	= vinteg_queue_rq,
	.queue_rqs	= vinteg_queue_rqs,
	.init_request	= vinteg_init_request,
};
