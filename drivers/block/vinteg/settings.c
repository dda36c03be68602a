// SPDX-License-Identifier: GPL-2.0
/*
 * What can be set on a device: its policy, live, and how the next file will
 * be bound.  All of it runs under the control mutex.
 */
#include "vinteg.h"

static void vinteg_set_policy(struct vinteg *dev,
			      const struct vinteg_policy *policy)
{
	unsigned int memflags = vinteg_freeze_queue(dev->disk->queue);

	WRITE_ONCE(dev->policy, policy);
	vinteg_unfreeze_queue(dev->disk->queue, memflags);
}

static int vinteg_do_switch(struct vinteg *dev, void *arg)
{
	const struct vinteg_policy *policy = arg, *old = dev->policy;
	struct vinteg_backing *backing = dev->backing;
	int err;

	if (dev->gone)
		return -ENODEV;
	if (!backing) {
		WRITE_ONCE(dev->policy, policy);
		goto out_switched;
	}
	err = READ_ONCE(dev->error);
	if (err) {
		vinteg_err(dev, "policy not switched: writeback_error is set (%d)\n",
			   err);
		return err;
	}
	err = vinteg_backing_check(dev, backing, policy,
				   queue_logical_block_size(dev->disk->queue));
	if (err)
		return err;

	/* Most of it first, so that the rest is short. */
	err = vinteg_sync_all(dev);
	if (err)
		return err;

	/*
	 * Then what was acknowledged under the old policy up to the moment of
	 * the switch.  Not with the queue frozen: a task that this sync waits
	 * for may itself wait for memory, and thus for a page to be swapped
	 * out to this very device.  Instead, until it is done, every write is
	 * durable and no FLUSH completes without a sync.
	 */
	set_bit(VINTEG_SWITCHING, &dev->flags);
	vinteg_set_policy(dev, policy);
	err = vinteg_sync_all(dev);
	/* A sync of somebody else may have failed in between. */
	err = err ?: READ_ONCE(dev->error);
	if (err)
		vinteg_set_policy(dev, old);
	clear_bit(VINTEG_SWITCHING, &dev->flags);
	if (err)
		return err;
	vinteg_backing_warn(dev, backing, policy);
out_switched:
	dev->policy_asked = true;
	clear_bit(VINTEG_OVERRIDE, &dev->flags);
	return 0;
}

/**
 * vinteg_switch_policy() - switch the cache policy, live
 * @dev: the device
 * @policy: the new row, which may be the current one
 *
 * When this returns 0, all that was acknowledged before meets @policy.
 *
 * Context: process; sleeps.
 * Return: 0; -EOPNOTSUPP or -EINVAL if the file can't do @policy; the sticky
 * error or that of the sync, with the old policy still in force; -EINTR if
 * killed, and the switch goes on.
 */
int vinteg_switch_policy(struct vinteg *dev, const struct vinteg_policy *policy)
{
	return vinteg_control(dev, vinteg_do_switch, (void *)policy);
}

static int vinteg_do_set_read_only(struct vinteg *dev, void *arg)
{
	if (dev->backing) {
		vinteg_err(dev, "read_only can't change while a file is bound\n");
		return -EBUSY;
	}
	WRITE_ONCE(dev->read_only, !!arg);
	return 0;
}

/**
 * vinteg_set_read_only() - how the next file will be bound
 * @dev: the device
 * @read_only: open the file for reading only
 *
 * Context: process; sleeps.
 * Return: 0, -EBUSY while a file is bound, -EINTR if killed.
 */
int vinteg_set_read_only(struct vinteg *dev, bool read_only)
{
	return vinteg_control(dev, vinteg_do_set_read_only,
			      read_only ? dev : NULL);
}

static int vinteg_do_set_block_size(struct vinteg *dev, void *arg)
{
	if (dev->backing) {
		vinteg_err(dev, "logical_block_size can't change while a file is bound\n");
		return -EBUSY;
	}
	WRITE_ONCE(dev->logical_block_size, (unsigned long)arg);
	return 0;
}

/**
 * vinteg_set_block_size() - the logical block size of the next bind
 * @dev: the device
 * @size: bytes: a power of 2 from 512 to 4096, or 0 for the smallest that
 *	direct I/O on the file allows
 *
 * Context: process; sleeps.
 * Return: 0, -EINVAL, -EBUSY while a file is bound, -EINTR if killed.
 */
int vinteg_set_block_size(struct vinteg *dev, unsigned int size)
{
	if (size && (size < SECTOR_SIZE || size > SZ_4K ||
		     !is_power_of_2(size))) {
		vinteg_err(dev, "logical_block_size %u is not 0, 512, 1024, 2048 or 4096\n",
			   size);
		return -EINVAL;
	}
	return vinteg_control(dev, vinteg_do_set_block_size,
			      (void *)(unsigned long)size);
}

static int vinteg_do_forgive(struct vinteg *dev, void *arg)
{
	return dev->backing ?
		vinteg_sync_forgive(dev, (unsigned long)arg) : 0;
}

/**
 * vinteg_forgive() - clear the sticky error
 * @dev: the device
 *
 * Context: process; sleeps.
 * Return: 0; -EBUSY if another error came while this waited, for the operator
 * can't have meant that one; -EINTR if killed.
 */
int vinteg_forgive(struct vinteg *dev)
{
	unsigned long failures = READ_ONCE(dev->failures);

	return vinteg_control(dev, vinteg_do_forgive, (void *)failures);
}
