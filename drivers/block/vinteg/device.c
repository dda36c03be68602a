// SPDX-License-Identifier: GPL-2.0
/*
 * A device's life from hot_add to hot_remove.
 */
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/xarray.h>

#include "vinteg.h"

/* By number; a number is only reserved while its device goes. */
static DEFINE_XARRAY_ALLOC(vinteg_devices);
/* Keeps a device from going away between look-up and reference; a leaf. */
static DEFINE_MUTEX(vinteg_devices_lock);

static int vinteg_open(VINTEG_OPEN_ARGS)
{
	struct vinteg *dev = VINTEG_OPEN_DISK->private_data;

	lockdep_assert_held(&dev->disk->open_mutex);
	return dev->claimed ? -EBUSY : 0;
}

static const struct block_device_operations vinteg_fops = {
	.owner	= THIS_MODULE,
	.open	= vinteg_open,
};

/**
 * vinteg_claim() - keep everybody from opening the disk
 * @dev: the device
 *
 * Context: process; sleeps; takes the disk's open_mutex.
 * Return: 0, -EBUSY if it is open or claimed, -EINTR if killed.
 */
int vinteg_claim(struct vinteg *dev)
{
	struct gendisk *disk = dev->disk;
	int err = 0;

	if (mutex_lock_killable(&disk->open_mutex))
		return -EINTR;
	if (!dev->added || dev->claimed || disk_openers(disk))
		err = -EBUSY;
	else
		dev->claimed = true;
	mutex_unlock(&disk->open_mutex);
	if (err)
		vinteg_err(dev, "busy: open or being changed\n");
	return err;
}

/**
 * vinteg_unclaim() - let the disk be opened again
 * @dev: a claimed device
 *
 * Context: process; sleeps; takes the disk's open_mutex.
 */
void vinteg_unclaim(struct vinteg *dev)
{
	mutex_lock(&dev->disk->open_mutex);
	dev->claimed = false;
	mutex_unlock(&dev->disk->open_mutex);
}

static void vinteg_free(struct kref *ref)
{
	struct vinteg *dev = container_of(ref, struct vinteg, ref);

	put_disk(dev->disk);
	blk_mq_free_tag_set(&dev->tag_set);
	kfree(dev->writers);
	mempool_exit(&dev->bvecs);
	free_percpu(dev->stats);
	mutex_destroy(&dev->control);
	kfree(dev);
}

/**
 * vinteg_get() - hold a device
 * @dev: the device
 *
 * Context: any.
 */
void vinteg_get(struct vinteg *dev)
{
	kref_get(&dev->ref);
}

/**
 * vinteg_put() - let go of a device, and free it with the last reference
 * @dev: the device
 *
 * Context: process; sleeps.
 */
void vinteg_put(struct vinteg *dev)
{
	kref_put(&dev->ref, vinteg_free);
}

static int vinteg_alloc_tags(struct vinteg *dev)
{
	struct blk_mq_tag_set *set = &dev->tag_set;

	set->ops = &vinteg_mq_ops;
	set->nr_hw_queues = vinteg_nr_hw_queues ?: num_online_cpus();
	set->queue_depth = vinteg_hw_queue_depth;
	set->numa_node = NUMA_NO_NODE;
	set->cmd_size = sizeof(struct vinteg_cmd);
	/* Blocking: see submitter.c. */
	set->flags = BLK_MQ_F_BLOCKING | BLK_MQ_F_STACKING |
		BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	return blk_mq_alloc_tag_set(set);
}

static int vinteg_alloc_writers(struct vinteg *dev)
{
	unsigned int i, nr = dev->tag_set.nr_hw_queues + 1;

	dev->writers = kcalloc(nr, sizeof(*dev->writers), GFP_KERNEL);
	if (!dev->writers)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		vinteg_batcher_init(&dev->writers[i].asked, vinteg_writer_work);
		dev->writers[i].dev = dev;
	}
	return 0;
}

static struct vinteg *vinteg_alloc(void)
{
	struct vinteg *dev = kzalloc_obj(struct vinteg);
	int err = -ENOMEM;

	if (!dev)
		return ERR_PTR(-ENOMEM);
	kref_init(&dev->ref);
	spin_lock_init(&dev->ops_lock);
	INIT_LIST_HEAD(&dev->ops);
	INIT_WORK(&dev->control_work, vinteg_control_work);
	mutex_init(&dev->control);
	spin_lock_init(&dev->backing_lock);
	vinteg_range_init(&dev->ranges);
	vinteg_sync_init(dev);
	vinteg_gate_init(&dev->gate);
	vinteg_batcher_init(&dev->reader, vinteg_reader_work);
	dev->policy = vinteg_policy_find(VINTEG_DEF_POLICY);
	dev->read_only = VINTEG_DEF_READ_ONLY;
	dev->logical_block_size = VINTEG_DEF_BLOCK_SIZE;

	dev->stats = alloc_percpu(struct vinteg_stats);
	if (!dev->stats)
		goto out_free;
	err = mempool_init_kmalloc_pool(&dev->bvecs, 2, VINTEG_MAX_SEGMENTS *
					sizeof(struct bio_vec));
	if (err)
		goto out_stats;
	err = vinteg_alloc_tags(dev);
	if (err)
		goto out_bvecs;
	err = vinteg_alloc_writers(dev);
	if (err)
		goto out_tags;
	dev->disk = vinteg_alloc_disk(&dev->tag_set, dev);
	if (IS_ERR(dev->disk)) {
		err = PTR_ERR(dev->disk);
		goto out_writers;
	}
	INIT_DELAYED_WORK(&dev->upkeep, vinteg_upkeep);
	dev->disk->fops = &vinteg_fops;
	dev->disk->private_data = dev;
	return dev;

out_writers:
	kfree(dev->writers);
out_tags:
	blk_mq_free_tag_set(&dev->tag_set);
out_bvecs:
	mempool_exit(&dev->bvecs);
out_stats:
	free_percpu(dev->stats);
out_free:
	mutex_destroy(&dev->control);
	kfree(dev);
	return ERR_PTR(err);
}

/**
 * vinteg_create() - make a device that is not announced yet
 * @claimed: nobody can open or remove it until vinteg_publish()
 *
 * It can be bound already, which is quicker than later: nobody uses its queue,
 * so freezing it takes no grace period of RCU.
 *
 * Context: process; sleeps.
 * Return: the device or a negative errno.
 */
struct vinteg *vinteg_create(bool claimed)
{
	struct vinteg *dev = vinteg_alloc();
	u32 index;
	int err;

	if (IS_ERR(dev))
		return dev;
	err = xa_alloc(&vinteg_devices, &index, NULL, XA_LIMIT(0, INT_MAX),
		       GFP_KERNEL);
	if (err) {
		vinteg_put(dev);
		return ERR_PTR(err);
	}
	dev->claimed = claimed;
	dev->index = index;
	snprintf(dev->disk->disk_name, DISK_NAME_LEN, "vinteg%u", index);
	/* Needs no memory, the number is reserved. */
	xa_store(&vinteg_devices, index, dev, GFP_KERNEL);
	return dev;
}

/**
 * vinteg_add() - announce a device
 * @dev: the device, as it was created
 *
 * Context: process; sleeps.
 * Return: 0 or a negative errno, and then it is to be destroyed.
 */
int vinteg_add(struct vinteg *dev)
{
	int err = device_add_disk(NULL, dev->disk, vinteg_disk_groups);

	if (err)
		return err;
	/*
	 * Its attributes could be written to since device_add_disk() had made
	 * them, but until here it could still fail.  Opening it was possible:
	 * udev does so as soon as it is told of the disk, and only once.
	 */
	mutex_lock(&dev->disk->open_mutex);
	dev->added = true;
	mutex_unlock(&dev->disk->open_mutex);
	return 0;
}

/**
 * vinteg_find() - a device by its number
 * @index: the number
 *
 * Context: the caller knows that the device can't be removed.
 * Return: the device or NULL.
 */
struct vinteg *vinteg_find(unsigned int index)
{
	return xa_load(&vinteg_devices, index);
}

static int vinteg_set_gone(struct vinteg *dev, void *arg)
{
	dev->gone = true;
	return 0;
}

static void vinteg_give_back_claim(struct vinteg *dev, void *arg)
{
	vinteg_unclaim(dev);
}

static int vinteg_finish(struct vinteg *dev, void *arg)
{
	int err;

	dev->gone = true;
	err = vinteg_unbind(dev);
	if (err)
		vinteg_err(dev, "the last sync of the backing file failed (%d)\n",
			   err);
	return 0;
}

/* Undoes vinteg_create(): it is not announced, or no longer, and not bound. */
static void vinteg_destroy(struct vinteg *dev)
{
	/* Who has found it meanwhile holds it, but can't claim it. */
	mutex_lock(&vinteg_devices_lock);
	xa_erase(&vinteg_devices, dev->index);
	mutex_unlock(&vinteg_devices_lock);
	vinteg_put(dev);
}

/* Without any lock: del_gendisk() waits for those who use the attributes. */
static void vinteg_remove(struct vinteg *dev)
{
	if (dev->added)
		del_gendisk(dev->disk);
	vinteg_control_kind(dev, VINTEG_CONTROL_ALWAYS, vinteg_finish, NULL,
			    NULL);
	vinteg_destroy(dev);
}

/**
 * vinteg_hot_add() - create and announce a device
 *
 * Context: process; sleeps.
 * Return: its number, or a negative errno.
 */
int vinteg_hot_add(void)
{
	struct vinteg *dev = vinteg_create(false);
	int index, err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	/* It may be removed as soon as it is there. */
	index = dev->index;
	err = vinteg_add(dev);
	if (err) {
		vinteg_destroy(dev);
		return err;
	}
	return index;
}

/**
 * vinteg_hot_remove() - sync and remove a device
 * @index: its number
 *
 * Context: process; sleeps.
 * Return: 0, -ENODEV if there is no such device, -EBUSY if it is open or
 * being changed, -EINTR if killed before it was its turn.
 */
int vinteg_hot_remove(int index)
{
	struct vinteg *dev;
	int err;

	mutex_lock(&vinteg_devices_lock);
	dev = xa_load(&vinteg_devices, index);
	if (dev)
		vinteg_get(dev);
	mutex_unlock(&vinteg_devices_lock);
	if (!dev)
		return -ENODEV;

	err = vinteg_claim(dev);
	/*
	 * Nobody can be killed who waits in del_gendisk() for those who use
	 * the attributes.  So here for what is under way, which can be stuck;
	 * after that all attributes fail at once.  From then on the removal
	 * can't be stopped, and the claim is never given back.
	 */
	err = err ?: vinteg_control_kind(dev, VINTEG_CONTROL_SHORT,
					 vinteg_set_gone,
					 vinteg_give_back_claim, NULL);
	if (!err) {
		mutex_lock(&vinteg_devices_lock);
		xa_store(&vinteg_devices, index, XA_ZERO_ENTRY, GFP_KERNEL);
		mutex_unlock(&vinteg_devices_lock);
		vinteg_remove(dev);
	}
	vinteg_put(dev);
	return err;
}

/**
 * vinteg_remove_all() - at module unload, when nothing can be added any more
 *
 * Context: process; sleeps.
 */
void vinteg_remove_all(void)
{
	unsigned long index;
	struct vinteg *dev;

	xa_for_each(&vinteg_devices, index, dev)
		vinteg_remove(dev);
	xa_destroy(&vinteg_devices);
}
