// SPDX-License-Identifier: GPL-2.0
/*
 * Binding a file to a device, taking over its size, unbinding it.  All of it
 * runs under the control mutex, and all but a rescan with the disk claimed.
 */
#include <linux/kobject.h>
#include <linux/pagemap.h>

#include "vinteg.h"

static int vinteg_apply_limits(struct vinteg *dev,
			       struct vinteg_backing *backing,
			       unsigned int block_size)
{
	struct vinteg_limits lim = {
		.logical_block_size	= block_size,
		.physical_block_size	= block_size,
		.dma_alignment		= SECTOR_SIZE - 1,
		.max_hw_sectors		= VINTEG_MAX_SECTORS,
		.max_segments		= VINTEG_MAX_SEGMENTS,
	};
	unsigned int mem_align;

	if (backing) {
		lim.physical_block_size = max(block_size, backing->block_size);
		mem_align = backing->dio_mem_align;
		/* What begins in the middle of a block ends in one, too. */
		if (VINTEG_DIO_WHOLE_BLOCKS)
			mem_align = max(mem_align, backing->dio_align);
		/* Parts of a page that are whole blocks must be accepted. */
		mem_align = min(mem_align, block_size);
		lim.dma_alignment = max_t(unsigned int, SECTOR_SIZE,
					  mem_align) - 1;
		lim.stable_writes = backing->stable_writes;
	}
	if (backing && !backing->read_only) {
		/* Those that write the zeroes must not take minutes for it. */
		lim.max_write_zeroes_sectors = VINTEG_MAX_SECTORS;
		if (backing->can_discard) {
			lim.max_write_zeroes_sectors = UINT_MAX >> SECTOR_SHIFT;
			lim.max_discard_sectors = UINT_MAX >> SECTOR_SHIFT;
			lim.discard_granularity = lim.physical_block_size;
		}
	}
	return vinteg_set_limits(dev->disk->queue, &lim);
}

static sector_t vinteg_capacity(struct vinteg *dev)
{
	if (!dev->backing)
		return 0;
	return round_down(dev->backing->size,
			  queue_logical_block_size(dev->disk->queue)) >>
		SECTOR_SHIFT;
}

/*
 * Shows the world what is bound now, and lets it open the disk: capacity,
 * diskseq, read-only flag, partitions, and at last the one event that tells
 * udev of it all.  The events that these send by themselves come too early
 * and are held back.
 */
static void vinteg_announce(struct vinteg *dev)
{
	struct vinteg_backing *backing = dev->backing;
	struct gendisk *disk = dev->disk;
	struct device *d = disk_to_dev(disk);

	dev_set_uevent_suppress(d, 1);
	vinteg_media_changed(disk);
	set_capacity(disk, vinteg_capacity(dev));
	set_disk_ro(disk, backing && backing->read_only);
	dev_set_uevent_suppress(d, 0);

	if (backing) {
		/* The next open scans; not before, it sets the block size. */
		set_bit(GD_NEED_PART_SCAN, &disk->state);
		vinteg_unclaim(dev);
		vinteg_open_once(disk_devt(disk));
	} else {
		mutex_lock(&disk->open_mutex);
		bdev_disk_changed(disk, false);
		mutex_unlock(&disk->open_mutex);
		vinteg_unclaim(dev);
	}
	kobject_uevent(&d->kobj, KOBJ_CHANGE);
}

static void vinteg_set_backing(struct vinteg *dev,
			       struct vinteg_backing *backing,
			       const struct vinteg_policy *policy)
{
	unsigned int memflags = vinteg_freeze_queue(dev->disk->queue);

	spin_lock(&dev->backing_lock);
	dev->backing = backing;
	spin_unlock(&dev->backing_lock);
	WRITE_ONCE(dev->policy, policy);
	vinteg_unfreeze_queue(dev->disk->queue, memflags);
}

static int vinteg_start_workers(struct vinteg *dev)
{
	/*
	 * The last one: the lower file system may flush a workqueue that has
	 * no rescuer, as xfs does when it runs out of space.  It does not do
	 * so to free memory, so there is nothing to warn about.
	 */
	const unsigned int flags = WQ_UNBOUND | WQ_MEM_RECLAIM | __WQ_LEGACY;
	const char *name = dev->disk->disk_name;
	int nr = min_t(u64, WQ_MAX_ACTIVE, (u64)dev->tag_set.nr_hw_queues *
		       dev->tag_set.queue_depth);

	dev->read_wq = alloc_workqueue("%s-read", flags, nr, name);
	if (!dev->read_wq)
		return -ENOMEM;
	/* One more than there are writes, for the upkeep. */
	dev->write_wq = alloc_workqueue("%s-write", flags,
					min(nr + 1, WQ_MAX_ACTIVE), name);
	if (!dev->write_wq)
		goto out_read;
	dev->sync_wq = alloc_workqueue("%s-sync", flags, 1, name);
	if (!dev->sync_wq)
		goto out_write;
	/*
	 * blk-flush.c sends a FLUSH from kblockd.  From a workqueue of the same
	 * kind, the same worker can take the sync, and none has to wake up.
	 */
	dev->flush_wq = alloc_workqueue("%s-flush", WQ_PERCPU | WQ_HIGHPRI |
					WQ_CPU_INTENSIVE | WQ_MEM_RECLAIM |
					__WQ_LEGACY, 1, name);
	if (!dev->flush_wq)
		goto out_sync;
	return 0;

out_sync:
	destroy_workqueue(dev->sync_wq);
out_write:
	destroy_workqueue(dev->write_wq);
out_read:
	destroy_workqueue(dev->read_wq);
	return -ENOMEM;
}

static void vinteg_stop_workers(struct vinteg *dev)
{
	destroy_workqueue(dev->flush_wq);
	destroy_workqueue(dev->sync_wq);
	destroy_workqueue(dev->write_wq);
	destroy_workqueue(dev->read_wq);
}

static int vinteg_bind_checked(struct vinteg *dev,
			       struct vinteg_backing *backing)
{
	const struct vinteg_policy *policy = dev->policy;
	unsigned int block_size = dev->logical_block_size ?:
		max(backing->dio_align, (unsigned int)SECTOR_SIZE);
	int err;

	if (dev->gone)
		return -ENODEV;
	if (dev->backing) {
		vinteg_err(dev, "already bound, reset it first\n");
		return -EBUSY;
	}
	if (backing->read_only != dev->read_only) {
		vinteg_err(dev, "read_only was changed meanwhile\n");
		return -EBUSY;
	}
	if (backing->size < block_size) {
		vinteg_err(dev, "the file is smaller than a block of %u bytes\n",
			   block_size);
		return -EINVAL;
	}

	if (vinteg_policy_needs_direct(policy) && !backing->dio_align &&
	    !dev->policy_asked) {
		policy = vinteg_policy_find(VINTEG_FALLBACK_POLICY);
		vinteg_warn(dev, "no direct I/O on the backing file, falls back to %s\n",
			    policy->name);
	}
	err = vinteg_backing_check(dev, backing, policy, block_size);
	if (err)
		return err;

	/* An error that nobody has been told of yet would be told to us. */
	if (!backing->read_only) {
		err = vfs_fsync(backing->sync, 0);
		if (err) {
			vinteg_err(dev, "the backing file can't be synced (%d)\n",
				   err);
			return err;
		}
	}
	backing->wb_since = filemap_sample_wb_err(backing->mapping);

	err = vinteg_start_workers(dev);
	if (err)
		return err;
	err = vinteg_apply_limits(dev, backing, block_size);
	if (err) {
		vinteg_stop_workers(dev);
		return err;
	}
	vinteg_backing_warn(dev, backing, policy);
	vinteg_set_backing(dev, backing, policy);
	return 0;
}

static int vinteg_do_bind(struct vinteg *dev, void *arg)
{
	struct vinteg_backing *backing = arg;
	int err = vinteg_bind_checked(dev, backing);

	if (err)
		vinteg_backing_close(backing);
	return err;
}

static void vinteg_drop_bind(struct vinteg *dev, void *arg)
{
	vinteg_backing_close(arg);
}

static void vinteg_drop_bind_and_publish(struct vinteg *dev, void *arg)
{
	vinteg_backing_close(arg);
	vinteg_unclaim(dev);
}

static int vinteg_do_publish(struct vinteg *dev, void *arg)
{
	if (dev->backing) {
		vinteg_announce(dev);
	} else {
		vinteg_unclaim(dev);
		/* When udev was told of the disk, it could not open it. */
		kobject_uevent(&disk_to_dev(dev->disk)->kobj, KOBJ_CHANGE);
	}
	return 0;
}

static int vinteg_do_bind_and_publish(struct vinteg *dev, void *arg)
{
	int err = vinteg_do_bind(dev, arg);

	if (err)
		vinteg_unclaim(dev);
	else
		vinteg_announce(dev);
	return err;
}

static struct vinteg_backing *vinteg_open_for(struct vinteg *dev,
					      const char *path)
{
	struct vinteg_backing *backing =
		vinteg_backing_open(dev, path, READ_ONCE(dev->read_only));
	int err = PTR_ERR_OR_ZERO(backing);
	const char *end = vinteg_name_end(path);

	if (err)
		vinteg_err(dev, "can't bind %s%*pE: %s (%d)\n",
			   end == path ? "" : "...", (int)strlen(end), end,
			   err == -EISDIR || err == -ENOTBLK ?
			   "neither a regular file nor a block device" :
			   err == -ELOOP ? "on this device itself, too deep, or a loop of links" :
			   err == -EBUSY ? "it is in use" :
			   err == -EINVAL ? "it is no file that holds data" :
			   err == -ENOENT ? "no such file" :
			   "can't be opened", err);
	return backing;
}

/**
 * vinteg_bind_claimed() - bind a file to a device that nobody can open yet
 * @dev: a claimed device; stays claimed until vinteg_publish()
 * @path: as for vinteg_bind_path()
 *
 * Context: process; sleeps.
 * Return: as vinteg_bind_path().
 */
int vinteg_bind_claimed(struct vinteg *dev, const char *path)
{
	struct vinteg_backing *backing = vinteg_open_for(dev, path);

	if (IS_ERR(backing))
		return PTR_ERR(backing);
	return vinteg_control_kind(dev, VINTEG_CONTROL_USUAL, vinteg_do_bind,
				   vinteg_drop_bind, backing);
}

/**
 * vinteg_publish() - let a claimed device be opened
 * @dev: the device
 *
 * Context: process; sleeps.
 * Return: 0, or -EINTR if killed, and it goes on.
 */
int vinteg_publish(struct vinteg *dev)
{
	return vinteg_control_kind(dev, VINTEG_CONTROL_ALWAYS,
				   vinteg_do_publish, NULL, NULL);
}

/**
 * vinteg_bind_path() - bind a file to a device
 * @dev: the device
 * @path: resolved in the caller's mount namespace, with its credentials
 *
 * Context: process; sleeps.
 * Return: 0 or a negative errno: -EBUSY if the disk is open, being changed or
 * bound; else see vinteg_backing_open(); -EINVAL for a file that is too
 * small, -EOPNOTSUPP if a policy that was asked for needs direct I/O and the
 * file can't; -EINTR if killed.
 */
int vinteg_bind_path(struct vinteg *dev, const char *path)
{
	struct vinteg_backing *backing;
	int err = vinteg_claim(dev);

	if (err)
		return err;
	backing = vinteg_open_for(dev, path);
	if (IS_ERR(backing)) {
		vinteg_unclaim(dev);
		return PTR_ERR(backing);
	}
	return vinteg_control_kind(dev, VINTEG_CONTROL_USUAL,
				   vinteg_do_bind_and_publish,
				   vinteg_drop_bind_and_publish, backing);
}

/**
 * vinteg_unbind() - sync and close the file, if there is one
 * @dev: the device; its control mutex is held, and nobody can have it open
 *
 * Context: process; sleeps.
 * Return: 0, or the errno of the sync; the file is unbound all the same.
 */
int vinteg_unbind(struct vinteg *dev)
{
	struct vinteg_backing *backing = dev->backing;
	int err;

	lockdep_assert_held(&dev->control);

	if (!backing)
		return 0;
	err = vinteg_sync_all(dev);
	/* What could not be promised before has not become good by now. */
	err = err ?: READ_ONCE(dev->error);
	cancel_delayed_work_sync(&dev->upkeep);
	if (test_bit(VINTEG_MTIME, &dev->flags))
		vinteg_backing_touch(backing, true);
	vinteg_set_backing(dev, NULL, dev->policy);
	vinteg_stop_workers(dev);
	vinteg_backing_close(backing);
	WRITE_ONCE(dev->flags, 0);
	return err;
}

static int vinteg_do_reset(struct vinteg *dev, void *arg)
{
	bool was_bound = dev->backing;
	int err = vinteg_unbind(dev);

	if (err)
		vinteg_err(dev, "the last sync of the backing file failed (%d)\n",
			   err);
	WRITE_ONCE(dev->policy, vinteg_policy_find(VINTEG_DEF_POLICY));
	dev->policy_asked = false;
	WRITE_ONCE(dev->read_only, VINTEG_DEF_READ_ONLY);
	WRITE_ONCE(dev->logical_block_size, VINTEG_DEF_BLOCK_SIZE);
	WRITE_ONCE(dev->flags, 0);
	WRITE_ONCE(dev->error, 0);
	vinteg_stats_clear(dev->stats);
	if (was_bound) {
		vinteg_apply_limits(dev, NULL, SECTOR_SIZE);
		vinteg_announce(dev);
	} else {
		vinteg_unclaim(dev);
	}
	return err;
}

static void vinteg_drop_reset(struct vinteg *dev, void *arg)
{
	vinteg_unclaim(dev);
}

/**
 * vinteg_reset() - unbind, and back to the defaults
 * @dev: the device
 *
 * Context: process; sleeps.
 * Return: 0; -EBUSY if the disk is open or being changed; the errno of the
 * last sync, with the file unbound all the same; -EINTR if killed, and the
 * reset goes on if it had begun.
 */
int vinteg_reset(struct vinteg *dev)
{
	int err = vinteg_claim(dev);

	return err ?: vinteg_control_kind(dev, VINTEG_CONTROL_USUAL,
					  vinteg_do_reset, vinteg_drop_reset,
					  NULL);
}

static int vinteg_do_rescan(struct vinteg *dev, void *arg)
{
	struct vinteg_backing *backing = dev->backing;
	unsigned int block_size = queue_logical_block_size(dev->disk->queue);
	loff_t size;
	int err;

	if (!backing || dev->gone) {
		vinteg_err(dev, "nothing bound, nothing to rescan\n");
		return -ENODEV;
	}
	err = vinteg_backing_stat_size(backing, &size);
	if (err) {
		vinteg_err(dev, "can't get the size of the file (%d)\n", err);
		return err;
	}
	if (size < block_size) {
		vinteg_err(dev, "the file has become smaller than a block\n");
		return -EINVAL;
	}
	backing->size = size;
	set_capacity_and_notify(dev->disk, vinteg_capacity(dev));
	return 0;
}

/**
 * vinteg_rescan() - take over a changed file size
 * @dev: the device
 *
 * Context: process; sleeps.
 * Return: 0, -ENODEV if nothing is bound, -EINVAL if the file has become too
 * small, what asking for its size gave, -EINTR if killed.
 */
int vinteg_rescan(struct vinteg *dev)
{
	return vinteg_control(dev, vinteg_do_rescan, NULL);
}
