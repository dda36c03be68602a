// SPDX-License-Identifier: GPL-2.0
/*
 * Which worker takes a command's next step: one of its own, or one that takes
 * the steps of all that would only be in each other's way.
 */
#include <linux/blk-mq.h>

#include "charge.h"
#include "vinteg.h"

/* They have workers of their own: they don't wait behind writes. */
static void vinteg_read_queue(struct vinteg *dev, struct vinteg_cmd *cmd)
{
	if (cmd->follows)
		vinteg_batcher_add(&dev->reader, &cmd->entry, dev->read_wq);
	else
		queue_work(dev->read_wq, &cmd->work);
}

/**
 * vinteg_let_read() - let reads go on that wait for the writer to pause
 * @dev: the device
 *
 * Context: process; takes the lock of the gate.
 */
void vinteg_let_read(struct vinteg *dev)
{
	struct vinteg_cmd *cmd, *tmp;
	LIST_HEAD(held);

	vinteg_gate_open(&dev->gate, &held);
	list_for_each_entry_safe(cmd, tmp, &held, entry) {
		list_del(&cmd->entry);
		vinteg_read_queue(dev, cmd);
	}
}

/*
 * Through the page cache, those of a regular file would only wait for each
 * other at the inode's lock, and one on a raw block device may have to read
 * first.  Direct ones that end on a worker of the file system are done no sooner
 * by many workers here, but in any order.  A control group may be held up, and
 * must not hold up others.  NULL for who has a worker of its own.
 */
static struct vinteg_writer *vinteg_writer_of(struct vinteg *dev,
					      struct vinteg_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vinteg_backing *backing = dev->backing;

	if (cmd->plan.direct) {
		if (!backing->late_completion || !backing->can_nowait ||
		    cmd->tried || vinteg_is_charged(rq))
			return NULL;
	} else {
		if (S_ISREG(backing->mapping->host->i_mode))
			return &dev->writers[dev->tag_set.nr_hw_queues];
		if (!IS_ALIGNED(vinteg_request_pos(rq) | blk_rq_bytes(rq),
				PAGE_SIZE))
			return NULL;
	}
	return &dev->writers[rq->mq_hctx->queue_num];
}

/**
 * vinteg_cmd_queue() - let a worker take the next step of a command
 * @cmd: the command
 *
 * Context: any.  @cmd may complete before this returns.
 */
void vinteg_cmd_queue(struct vinteg_cmd *cmd)
{
	struct vinteg *dev = vinteg_of_request(blk_mq_rq_from_pdu(cmd));
	struct vinteg_writer *writer = NULL;

	if (cmd->plan.call == VINTEG_CALL_WRITE)
		writer = vinteg_writer_of(dev, cmd);
	if (writer) {
		vinteg_batcher_add(&writer->asked, &cmd->entry, dev->write_wq);
		return;
	}
	if (cmd->plan.call != VINTEG_CALL_READ) {
		queue_work(dev->write_wq, &cmd->work);
		return;
	}
	/* Unless they would do so anyway. */
	if (dev->backing->reads_wait && !cmd->plan.direct &&
	    vinteg_gate_wait(&dev->gate, &cmd->entry))
		return;
	vinteg_read_queue(dev, cmd);
}

static void vinteg_cmd_step(struct vinteg_cmd *cmd)
{
	if (cmd->stale) {
		vinteg_data_invalidate(cmd);
		return;
	}
	if (vinteg_cmd_lock(cmd))
		vinteg_data_start(cmd);
}

/**
 * vinteg_cmd_work() - take the next step of a command
 * @work: of the command
 *
 * Context: a worker of the device.
 */
void vinteg_cmd_work(struct work_struct *work)
{
	unsigned int pf = vinteg_worker_begin();

	vinteg_cmd_step(container_of(work, struct vinteg_cmd, work));
	vinteg_worker_end(pf);
}

/* The next one that waits, of those in @batch first; NULL if there is none. */
static struct vinteg_cmd *vinteg_next_cmd(struct vinteg_batcher *batcher,
					  struct list_head *batch)
{
	struct vinteg_cmd *cmd;

	if (list_empty(batch) && !vinteg_batcher_take(batcher, batch))
		return NULL;
	cmd = list_first_entry(batch, struct vinteg_cmd, entry);
	/* It may be done, and used again, before its step returns. */
	list_del(&cmd->entry);
	return cmd;
}

/**
 * vinteg_reader_work() - take the next step of all reads of a sequence
 * @work: of &struct vinteg.reader
 *
 * Context: a worker of the device.
 */
void vinteg_reader_work(struct work_struct *work)
{
	struct vinteg *dev = container_of(work, struct vinteg, reader.work);
	unsigned int pf = vinteg_worker_begin();
	struct vinteg_cmd *cmd;
	LIST_HEAD(batch);

	while ((cmd = vinteg_next_cmd(&dev->reader, &batch))) {
		vinteg_cmd_step(cmd);
		cond_resched();
	}
	vinteg_worker_end(pf);
}

/* What has to wait, for space or a lock, does so by itself. */
static void vinteg_write_direct(struct vinteg *dev, struct vinteg_cmd *cmd)
{
	if (vinteg_cmd_lock(cmd) && !vinteg_data_try(cmd))
		queue_work(dev->write_wq, &cmd->work);
}

/* Reads go on after its batch, or earlier if they have waited long enough. */
static void vinteg_write_cached(struct vinteg *dev, struct vinteg_cmd *cmd,
				bool pause)
{
	if (dev->backing->reads_wait)
		vinteg_gate_shut(&dev->gate,
				 blk_rq_bytes(blk_mq_rq_from_pdu(cmd)));
	vinteg_cmd_step(cmd);
	if (pause || vinteg_gate_due(&dev->gate))
		vinteg_let_read(dev);
}

/**
 * vinteg_writer_work() - take the next step of all writes that wait for it
 * @work: of one of &struct vinteg.writers
 *
 * Context: a worker of the device.
 */
void vinteg_writer_work(struct work_struct *work)
{
	struct vinteg_writer *writer = container_of(work, struct vinteg_writer,
						    asked.work);
	struct vinteg *dev = writer->dev;
	unsigned int pf = vinteg_worker_begin();
	struct vinteg_cmd *cmd;
	LIST_HEAD(batch);

	while ((cmd = vinteg_next_cmd(&writer->asked, &batch))) {
		if (cmd->plan.direct)
			vinteg_write_direct(dev, cmd);
		else
			vinteg_write_cached(dev, cmd, list_empty(&batch));
		cond_resched();
	}
	vinteg_worker_end(pf);
}
