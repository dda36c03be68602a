// SPDX-License-Identifier: GPL-2.0
/*
 * Durable writes in one step: direct writes with IOCB_DSYNC, which the file
 * system syncs as a part of them.
 *
 * They run side by side, and beside a sync of the device, so one of them may be
 * told of an error that concerns another.  A sync waits for those that had
 * begun.  And if each may flush the disk's cache, one may be told that its flush
 * has failed, while another's, a moment later, succeeds and finds nothing left
 * to write.  So none that may have flushed is acknowledged before all are heard
 * that had begun, and a sync that is under way.
 */
#include <linux/blk-mq.h>
#include <linux/wait.h>

#include "vinteg.h"

/**
 * vinteg_native_begin() - a durable write in one step is about to be issued
 * @cmd: its command
 *
 * The file system may sync as a part of it, and be told of an error that a sync
 * of this device beside it is not told of.  So that one waits for the other.
 *
 * Context: any.
 */
void vinteg_native_begin(struct vinteg_cmd *cmd)
{
	struct vinteg *dev = vinteg_of_request(blk_mq_rq_from_pdu(cmd));

	/* It is tried once more. */
	if (cmd->native)
		return;
	WRITE_ONCE(cmd->turn, READ_ONCE(dev->syncer.turn));
	if (dev->backing->native_flushes)
		atomic_inc(&dev->syncer.nr_natives);
	WRITE_ONCE(cmd->native, true);
}

/**
 * vinteg_native_end() - such a write is over, and the sticky error set if need be
 * @cmd: its command
 *
 * Context: any.
 */
void vinteg_native_end(struct vinteg_cmd *cmd)
{
	struct vinteg *dev = vinteg_of_request(blk_mq_rq_from_pdu(cmd));

	WRITE_ONCE(cmd->native, false);
	/* Pairs with vinteg_native_in_doubt() and vinteg_natives_are_done(). */
	smp_mb();
	if (dev->backing->native_flushes)
		atomic_dec(&dev->syncer.nr_natives);
	if (cmd == READ_ONCE(dev->syncer.awaited) &&
	    wq_has_sleeper(&dev->syncer.natives))
		wake_up(&dev->syncer.natives);
}

/**
 * vinteg_native_in_doubt() - is what such a write has made durable still there?
 * @dev: the device
 *
 * Context: any; after vinteg_native_end().
 * Return: true if somebody who began before may yet be told of a failed flush;
 * what he is told is known after a settled waiter's turn.
 */
bool vinteg_native_in_doubt(struct vinteg *dev)
{
	bool ret;

	if (!dev->backing->native_flushes)
		return false;
	/*
	 * Nothing can be synced in interrupt context: then it was FUA alone that
	 * has made the data durable, which nobody's failed flush takes back.
	 */
	if (!in_task() && dev->backing->disk_fua)
		return false;
	/* One's own end, and all that the disk has done, before the others. */
	smp_mb();
	ret = atomic_read(&dev->syncer.nr_natives) ||
		READ_ONCE(dev->syncer.syncing);
	/* Who is not there any more may have set the sticky error. */
	smp_rmb();
	return ret;
}

struct vinteg_natives {
	unsigned int turn;
	struct vinteg_cmd *last;
};

static bool vinteg_is_native_before(struct vinteg_cmd *cmd, unsigned int turn)
{
	return READ_ONCE(cmd->native) && READ_ONCE(cmd->turn) != turn;
}

static bool vinteg_find_native(struct request *rq, void *data)
{
	struct vinteg_cmd *cmd = blk_mq_rq_to_pdu(rq);
	struct vinteg_natives *natives = data;

	if (vinteg_is_native_before(cmd, natives->turn))
		natives->last = cmd;
	return true;
}

/*
 * If they aren't, one of them will wake up who asks.  Not each: most often they
 * end in the order of their tags.
 */
static bool vinteg_natives_are_done(struct vinteg *dev)
{
	struct vinteg_natives natives = { .turn = dev->syncer.turn };

	do {
		natives.last = NULL;
		blk_mq_tagset_busy_iter(&dev->tag_set, vinteg_find_native,
					&natives);
		WRITE_ONCE(dev->syncer.awaited, natives.last);
		/* Either sees the other; pairs with vinteg_native_end(). */
		smp_mb();
	} while (natives.last &&
		 !vinteg_is_native_before(natives.last, natives.turn));
	return !natives.last;
}

/**
 * vinteg_native_wait() - wait until such writes are over
 * @dev: the device
 *
 * Only for those that have begun by now: others can't starve it.
 *
 * Context: the syncer's worker.  Sleeps.
 */
void vinteg_native_wait(struct vinteg *dev)
{
	WRITE_ONCE(dev->syncer.turn, dev->syncer.turn + 1);
	/* Whoever sees the old one is seen to be done. */
	smp_mb();
	wait_event(dev->syncer.natives, vinteg_natives_are_done(dev));
}
