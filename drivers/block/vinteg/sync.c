// SPDX-License-Identifier: GPL-2.0
/*
 * Syncs of the backing file, and what is known about its durability.
 *
 * There is at most one sync under way for a device; all who ask meanwhile are
 * served by the next one.  That makes one sync of many durable writes, and it
 * makes errors unambiguous: the kernel reports an error of writeback to one
 * sync only and marks the lost pages clean, so of two syncs that run side by
 * side the wrong one may succeed.
 *
 * The first failure sticks: until the operator clears it, nothing is
 * acknowledged as durable any more.
 */
#include <linux/completion.h>
#include <linux/errseq.h>
#include <linux/pagemap.h>

#include "trace.h"
#include "vinteg.h"

/* Writes the ranges back side by side, then syncs once for all of them. */
static int vinteg_sync_ranges_at_once(struct vinteg_backing *backing,
				      struct list_head *batch)
{
	struct vinteg_sync_waiter *waiter;
	int error, first_error = 0;

	list_for_each_entry(waiter, batch, entry) {
		error = filemap_fdatawrite_range(backing->mapping,
						 waiter->start, waiter->end);
		first_error = first_error ?: error;
	}
	list_for_each_entry(waiter, batch, entry) {
		error = filemap_fdatawait_range_keep_errors(backing->mapping,
							    waiter->start,
							    waiter->end);
		first_error = first_error ?: error;
	}
	waiter = list_first_entry(batch, struct vinteg_sync_waiter, entry);
	error = vfs_fsync_range(backing->sync, waiter->start, waiter->end, 1);
	return first_error ?: error;
}

static int vinteg_sync_ranges(struct vinteg_backing *backing,
			      struct list_head *batch)
{
	struct vinteg_sync_waiter *waiter;
	int error, first_error = 0;

	list_for_each_entry(waiter, batch, entry) {
		error = vfs_fsync_range(backing->sync, waiter->start,
					waiter->end, 1);
		first_error = first_error ?: error;
	}
	return first_error;
}

static void vinteg_sync_may_go(struct vinteg_range *range)
{
	complete(&container_of(range, struct vinteg_syncer, range)->alone);
}

static void vinteg_sync_enter(struct vinteg *dev)
{
	struct vinteg_syncer *syncer = &dev->syncer;

	/* Before the sync; pairs with vinteg_native_in_doubt(). */
	smp_store_mb(syncer->syncing, true);
	if (!dev->backing->syncs_alone)
		return;
	/* Those who want to write wait until the sync is over. */
	syncer->range = (struct vinteg_range) {
		.last		= LLONG_MAX,
		.kind		= VINTEG_RANGE_ALONE,
		.granted	= vinteg_sync_may_go,
	};
	reinit_completion(&syncer->alone);
	if (!vinteg_range_lock(&dev->ranges, &syncer->range))
		wait_for_completion(&syncer->alone);
}

static void vinteg_sync_leave(struct vinteg *dev)
{
	if (dev->backing->syncs_alone)
		vinteg_range_unlock(&dev->ranges, &dev->syncer.range);
	/* After the sticky error has been set; pairs as above. */
	smp_store_release(&dev->syncer.syncing, false);
}

static int vinteg_sync_batch(struct vinteg *dev, struct list_head *batch)
{
	struct vinteg_backing *backing = dev->backing;
	struct vinteg_sync_waiter *waiter;
	loff_t start = LLONG_MAX, end = 0;
	unsigned int nr = 0;
	bool all;
	int error;

	list_for_each_entry(waiter, batch, entry) {
		start = min(start, waiter->start);
		end = max(end, waiter->end);
		nr++;
	}
	all = end == LLONG_MAX;

	vinteg_sync_enter(dev);
	if (!backing->read_only)
		vinteg_backing_knock(backing);
	if (backing->read_only) {
		error = 0;
	} else if (all) {
		clear_bit(VINTEG_UNSYNCED, &dev->flags);
		/* Pairs with vinteg_note_write(). */
		smp_mb__after_atomic();
		error = vfs_fsync_range(backing->sync, 0, LLONG_MAX, 1);
	} else if (backing->one_sync && !test_bit(VINTEG_UNSYNCED, &dev->flags)) {
		/* What is between them is clean, or about to be synced anyway. */
		error = vfs_fsync_range(backing->sync, start, end, 1);
	} else if (backing->one_sync && nr > 1) {
		error = vinteg_sync_ranges_at_once(backing, batch);
	} else {
		error = vinteg_sync_ranges(backing, batch);
	}
	/* Whoever was told, lost writeback is lost for this device too. */
	if (!error && !backing->read_only)
		error = vinteg_backing_stopped(backing) ?:
			errseq_check(&backing->mapping->wb_err,
				     backing->wb_since);
	if (!error && backing->native_dsync)
		vinteg_native_wait(dev);

	vinteg_count(dev, VINTEG_STAT_BACKING_SYNCS);
	trace_vinteg_sync(dev->disk, all ? 0 : start, end, nr, error);
	if (error) {
		set_bit(VINTEG_UNSYNCED, &dev->flags);
		vinteg_fail_durability(dev, error, "sync");
	}
	vinteg_sync_leave(dev);
	return error;
}

/*
 * What went wrong up to now is known to the operator, but for what went wrong
 * since he said so.
 */
static int vinteg_pardon(struct vinteg *dev, unsigned int failures)
{
	struct vinteg_backing *backing = dev->backing;
	int error = READ_ONCE(dev->error);
	bool late;

	if (!error)
		return 0;
	/* The same one or another: they are all forgiven. */
	error = file_check_and_advance_wb_err(backing->sync) ?: error;
	/* Each struct file is told by itself, a durable direct write by this one. */
	error = file_check_and_advance_wb_err(backing->io) ?: error;
	backing->wb_since = filemap_sample_wb_err(backing->mapping);

	spin_lock_irq(&dev->error_lock);
	late = dev->failures != failures;
	if (!late) {
		WRITE_ONCE(dev->pardons, dev->pardons + 1);
		/* Who sees no error sees the pardon; pairs with vinteg_cmd_end(). */
		smp_wmb();
		WRITE_ONCE(dev->error, 0);
	}
	spin_unlock_irq(&dev->error_lock);

	if (late) {
		vinteg_err(dev, "writeback_error not cleared: there was another error meanwhile\n");
		return -EBUSY;
	}
	vinteg_info(dev, "writeback_error cleared (%d)\n", error);
	return 0;
}

static void vinteg_sync_work(struct work_struct *work)
{
	struct vinteg *dev = container_of(work, struct vinteg, syncer.asked.work);
	struct vinteg_syncer *syncer = &dev->syncer;
	struct vinteg_sync_waiter *waiter, *tmp;
	unsigned int pf = vinteg_worker_begin();
	LIST_HEAD(settled);
	LIST_HEAD(batch);
	int error;

	while (vinteg_batcher_take(&syncer->asked, &batch)) {
		list_for_each_entry_safe(waiter, tmp, &batch, entry) {
			if (waiter->settled)
				list_move_tail(&waiter->entry, &settled);
			if (!waiter->forgive)
				continue;
			/* Never beside a sync, which would not see its error. */
			list_del(&waiter->entry);
			waiter->done(waiter,
				     vinteg_pardon(dev, waiter->failures));
		}
		error = 0;
		if (!list_empty(&batch))
			error = vinteg_sync_batch(dev, &batch);
		else if (atomic_read(&syncer->nr_natives))
			vinteg_native_wait(dev);

		/* What they were to be told of has become the sticky error. */
		list_splice_tail_init(&settled, &batch);
		list_for_each_entry_safe(waiter, tmp, &batch, entry) {
			list_del(&waiter->entry);
			waiter->done(waiter, error);
		}
	}
	vinteg_worker_end(pf);
}

/**
 * vinteg_sync_init() - prepare a device that has no file yet
 * @dev: the device
 *
 * Context: any.
 */
void vinteg_sync_init(struct vinteg *dev)
{
	vinteg_batcher_init(&dev->syncer.asked, vinteg_sync_work);
	init_completion(&dev->syncer.alone);
	init_waitqueue_head(&dev->syncer.natives);
	spin_lock_init(&dev->error_lock);
}

/**
 * vinteg_sync_add() - ask for a sync
 * @dev: a bound device
 * @waiter: what to sync and whom to tell; all but its link set
 *
 * All that was written to the file before this call is covered.
 *
 * Context: any; takes the syncer's lock.  @waiter may be done before this
 * returns.
 */
void vinteg_sync_add(struct vinteg *dev, struct vinteg_sync_waiter *waiter)
{
	struct address_space *mapping = dev->backing->mapping;
	struct workqueue_struct *wq = dev->sync_wq;

	/* Writing pages back takes long, and no high priority.  A guess will do. */
	if (!data_race(mapping_tagged(mapping, PAGECACHE_TAG_DIRTY)) &&
	    waiter->end == LLONG_MAX)
		wq = dev->flush_wq;
	vinteg_batcher_add(&dev->syncer.asked, &waiter->entry, wq);
}

struct vinteg_sync_caller {
	struct vinteg_sync_waiter waiter;
	struct completion completion;
	int error;
};

static void vinteg_sync_caller_done(struct vinteg_sync_waiter *waiter,
				    int error)
{
	struct vinteg_sync_caller *caller =
		container_of(waiter, struct vinteg_sync_caller, waiter);

	caller->error = error;
	complete(&caller->completion);
}

static int vinteg_sync_and_wait(struct vinteg *dev, bool forgive,
				unsigned int failures)
{
	struct vinteg_sync_caller caller = {
		.waiter = {
			.start	  = 0,
			.end	  = LLONG_MAX,
			.forgive  = forgive,
			.failures = failures,
			.done	  = vinteg_sync_caller_done,
		},
	};

	init_completion(&caller.completion);
	vinteg_sync_add(dev, &caller.waiter);
	wait_for_completion(&caller.completion);
	return caller.error;
}

/**
 * vinteg_sync_all() - sync the whole file and wait
 * @dev: a bound device
 *
 * Context: process; sleeps.
 * Return: 0, or a negative errno that has also become the sticky error.
 */
int vinteg_sync_all(struct vinteg *dev)
{
	return vinteg_sync_and_wait(dev, false, 0);
}

/**
 * vinteg_sync_forgive() - acknowledge on the operator's word again
 * @dev: a bound device
 * @failures: how often the promise had been broken when the operator spoke
 *
 * Context: process; sleeps.
 * Return: 0, or -EBUSY if it was broken again meanwhile; the error stays then.
 */
int vinteg_sync_forgive(struct vinteg *dev, unsigned int failures)
{
	return vinteg_sync_and_wait(dev, true, failures);
}

/**
 * vinteg_fail_durability() - stop acknowledging anything as durable
 * @dev: the device
 * @error: negative errno
 * @what: what failed, for the log
 *
 * Only the first error is kept.  It is set before any request that it
 * concerns completes.
 *
 * Context: any; takes the error lock.
 */
void vinteg_fail_durability(struct vinteg *dev, int error, const char *what)
{
	unsigned long flags;
	bool first;

	spin_lock_irqsave(&dev->error_lock, flags);
	WRITE_ONCE(dev->failures, dev->failures + 1);
	first = !dev->error;
	if (first)
		WRITE_ONCE(dev->error, error);
	spin_unlock_irqrestore(&dev->error_lock, flags);
	if (first)
		vinteg_warn(dev, "%s failed with %d: durable writes and flushes fail until 0 is written to writeback_error\n",
			    what, error);
}

static void vinteg_upkeep_soon(struct vinteg *dev)
{
	if (!test_bit(VINTEG_UPKEEP, &dev->flags) &&
	    !test_and_set_bit(VINTEG_UPKEEP, &dev->flags))
		/* A little less than the second that is documented. */
		queue_delayed_work(dev->write_wq, &dev->upkeep, HZ * 9 / 10);
}

/**
 * vinteg_upkeep() - what is to be done once a second after writes
 * @work: the device's upkeep
 *
 * Brings the file's timestamps up to date, and looks whether
 * queue/write_cache was overridden while nobody sends requests.
 *
 * Context: a worker of the device.
 */
void vinteg_upkeep(struct work_struct *work)
{
	struct vinteg *dev = container_of(work, struct vinteg, upkeep.work);
	unsigned int pf = vinteg_worker_begin();

	clear_bit(VINTEG_UPKEEP, &dev->flags);
	/* Pairs with vinteg_note_write(). */
	smp_mb__after_atomic();

	if (test_and_clear_bit(VINTEG_MTIME, &dev->flags) &&
	    !vinteg_backing_touch(dev->backing, false))
		set_bit(VINTEG_MTIME, &dev->flags);

	if (vinteg_override(dev) && test_bit(VINTEG_UNSYNCED, &dev->flags))
		vinteg_sync_all(dev);

	if (test_bit(VINTEG_MTIME, &dev->flags) ||
	    test_bit(VINTEG_UNSYNCED, &dev->flags))
		vinteg_upkeep_soon(dev);
	vinteg_worker_end(pf);
}

/**
 * vinteg_note_write() - remember that the file was changed
 * @dev: the device
 * @durable: the change is, or is about to be, on stable storage
 *
 * Context: any.  Called before the request completes.
 */
void vinteg_note_write(struct vinteg *dev, bool durable)
{
	/* The write itself before a look at who would miss it. */
	smp_mb();
	if (!test_bit(VINTEG_MTIME, &dev->flags))
		set_bit(VINTEG_MTIME, &dev->flags);
	if (!durable && !test_bit(VINTEG_UNSYNCED, &dev->flags))
		set_bit(VINTEG_UNSYNCED, &dev->flags);
	/* Pairs with vinteg_upkeep(). */
	smp_mb();
	vinteg_upkeep_soon(dev);
}

/**
 * vinteg_override() - has queue/write_cache been overridden?
 * @dev: a device
 *
 * Set to "write through", the block layer answers FLUSH and strips FUA before
 * the driver sees them.  There is no callback, so this is asked with every
 * request.  Once noticed it lasts until the next policy switch or reset: a
 * bio stripped meanwhile may still wait somewhere when the setting is taken
 * back.
 *
 * Context: any.
 * Return: true if every write has to be durable.
 */
bool vinteg_override(struct vinteg *dev)
{
	if (test_bit(VINTEG_OVERRIDE, &dev->flags))
		return true;
	/* The upkeep holds nothing that keeps it from changing just now. */
	if (likely(data_race(vinteg_write_cache_enabled(dev->disk->queue))))
		return false;
	if (!test_and_set_bit(VINTEG_OVERRIDE, &dev->flags)) {
		vinteg_info(dev, "queue/write_cache is \"write through\": every write is made durable until the next cache_policy write\n");
		/* What has been acknowledged so far is synced at once. */
		if (dev->backing)
			mod_delayed_work(dev->write_wq, &dev->upkeep, 0);
	}
	return true;
}
