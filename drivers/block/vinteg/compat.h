/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver is written to the newest kernel's interfaces.  This file brings
 * older ones up to them, and is the only one that knows kernel versions.
 * Each shim names the upstream commit that made it necessary.
 *
 * Supported are 6.1 and all from 6.12 on, so nothing is told about those in
 * between.
 */
#ifndef VINTEG_COMPAT_H
#define VINTEG_COMPAT_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/device/class.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ratelimit.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#if KERNEL_VERSION(6, 12, 0) > LINUX_VERSION_CODE && \
	KERNEL_VERSION(6, 2, 0) <= LINUX_VERSION_CODE
#error "vinteg supports Linux 6.1, and 6.12 and newer"
#endif

/* What changes in the queue limits when a file is bound. */
struct vinteg_limits {
	unsigned int logical_block_size;
	unsigned int physical_block_size;
	unsigned int dma_alignment;
	unsigned int discard_granularity;
	unsigned int max_discard_sectors;
	unsigned int max_write_zeroes_sectors;
	unsigned int max_hw_sectors;
	unsigned short max_segments;
	bool stable_writes;
};

/* "slab: Introduce kmalloc_obj() and family" */
#ifndef kzalloc_obj
#define vinteg_gfp(none, gfp, ...)	((none) | (gfp))
#define kzalloc_obj(type, ...) \
	kzalloc(sizeof(type), vinteg_gfp(0, ##__VA_ARGS__, GFP_KERNEL))
#endif

/* "fs: provide accessors for ->i_state" */
#if KERNEL_VERSION(6, 19, 0) > LINUX_VERSION_CODE
#define inode_state_read_once(inode)	READ_ONCE((inode)->i_state)
#endif

/* "workqueue: Add new WQ_PERCPU flag" */
#if KERNEL_VERSION(6, 18, 0) > LINUX_VERSION_CODE
#define WQ_PERCPU	0
#endif

/* "block: remove BLK_MQ_F_SHOULD_MERGE" */
#if KERNEL_VERSION(6, 14, 0) <= LINUX_VERSION_CODE
#define BLK_MQ_F_SHOULD_MERGE	0
#endif

/* "block: add a rq_list type" */
#if KERNEL_VERSION(6, 12, 0) > LINUX_VERSION_CODE
#define VINTEG_RQ_LIST	struct request *
#define vinteg_rq_list_peek(list)	(*(list))
#define vinteg_plug_cached(plug)	((plug)->cached_rq)
#else
#define VINTEG_RQ_LIST	struct rq_list
#define vinteg_rq_list_peek(list)	rq_list_peek(list)
#define vinteg_plug_cached(plug)	rq_list_peek(&(plug)->cached_rqs)
#endif

/* "block: add blk_time_get_ns() and blk_time_get() helpers" and what follows */
#if KERNEL_VERSION(6, 12, 0) > LINUX_VERSION_CODE
static inline void blk_plug_invalidate_ts(void)
{
}
#endif

/*
 * blk_mq_start_request() does this in newer kernels; in 6.1 queue_rqs has to,
 * as that of virtio_blk there.
 */
#if KERNEL_VERSION(6, 12, 0) > LINUX_VERSION_CODE
static inline void vinteg_rq_known_by_tag(struct request *rq)
{
	rq->mq_hctx->tags->rqs[rq->tag] = rq;
}
#else
static inline void vinteg_rq_known_by_tag(struct request *rq)
{
}
#endif

/* "block: force noio scope in blk_mq_freeze_queue" */
#if KERNEL_VERSION(6, 14, 0) > LINUX_VERSION_CODE
static inline unsigned int vinteg_freeze_queue(struct request_queue *q)
{
	unsigned int memflags = memalloc_noio_save();

	blk_mq_freeze_queue(q);
	return memflags;
}

static inline void vinteg_unfreeze_queue(struct request_queue *q,
					 unsigned int memflags)
{
	blk_mq_unfreeze_queue(q);
	memalloc_noio_restore(memflags);
}
#else
#define vinteg_freeze_queue	blk_mq_freeze_queue
#define vinteg_unfreeze_queue	blk_mq_unfreeze_queue
#endif

/* "block: move cache control settings out of queue->flags" */
#if KERNEL_VERSION(6, 11, 0) > LINUX_VERSION_CODE
static inline bool vinteg_write_cache_enabled(struct request_queue *q)
{
	return test_bit(QUEUE_FLAG_WC, &q->queue_flags);
}

static inline int vinteg_set_limits(struct request_queue *q,
				    const struct vinteg_limits *lim)
{
	unsigned int memflags = vinteg_freeze_queue(q);

	blk_queue_logical_block_size(q, lim->logical_block_size);
	blk_queue_physical_block_size(q, lim->physical_block_size);
	blk_queue_io_min(q, lim->physical_block_size);
	blk_queue_dma_alignment(q, lim->dma_alignment);
	blk_queue_max_hw_sectors(q, lim->max_hw_sectors);
	blk_queue_max_segments(q, lim->max_segments);
	blk_queue_max_discard_sectors(q, lim->max_discard_sectors);
	q->limits.discard_granularity = lim->discard_granularity;
	blk_queue_max_write_zeroes_sectors(q, lim->max_write_zeroes_sectors);
	if (lim->stable_writes)
		blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, q);
	else
		blk_queue_flag_clear(QUEUE_FLAG_STABLE_WRITES, q);
	vinteg_unfreeze_queue(q, memflags);
	return 0;
}

static inline struct gendisk *vinteg_alloc_disk(struct blk_mq_tag_set *set,
						void *queuedata)
{
	struct gendisk *disk = blk_mq_alloc_disk(set, queuedata);

	if (IS_ERR(disk))
		return disk;
	blk_queue_write_cache(disk->queue, true, true);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, disk->queue);
	return disk;
}
#else
#define vinteg_write_cache_enabled	blk_queue_write_cache

static inline int vinteg_set_limits(struct request_queue *q,
				    const struct vinteg_limits *new)
{
	struct queue_limits lim = queue_limits_start_update(q);

	lim.logical_block_size = new->logical_block_size;
	lim.physical_block_size = new->physical_block_size;
	lim.io_min = new->physical_block_size;
	lim.dma_alignment = new->dma_alignment;
	lim.max_hw_sectors = new->max_hw_sectors;
	lim.max_segments = new->max_segments;
	lim.max_hw_discard_sectors = new->max_discard_sectors;
	lim.discard_granularity = new->discard_granularity;
	lim.max_write_zeroes_sectors = new->max_write_zeroes_sectors;
	lim.features &= ~BLK_FEAT_STABLE_WRITES;
	if (new->stable_writes)
		lim.features |= BLK_FEAT_STABLE_WRITES;
	return queue_limits_commit_update_frozen(q, &lim);
}

static inline struct gendisk *vinteg_alloc_disk(struct blk_mq_tag_set *set,
						void *queuedata)
{
	struct queue_limits lim = {
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA,
	};

	return blk_mq_alloc_disk(set, &lim, queuedata);
}
#endif

/* "block: make the numa_node of ->init_request signed" */
#if KERNEL_VERSION(7, 3, 0) > LINUX_VERSION_CODE
#define VINTEG_NUMA_NODE	unsigned int
#else
#define VINTEG_NUMA_NODE	int
#endif

/* "block: pass a gendisk to ->open", "block: replace fmode_t ..." */
#if KERNEL_VERSION(6, 5, 0) > LINUX_VERSION_CODE
#define VINTEG_OPEN_ARGS	struct block_device *bdev, fmode_t mode
#define VINTEG_OPEN_DISK	(bdev->bd_disk)
#else
#define VINTEG_OPEN_ARGS	struct gendisk *disk, blk_mode_t mode
#define VINTEG_OPEN_DISK	(disk)
#endif

/* "block: add bdev_file_open_by_dev()" */
#if KERNEL_VERSION(6, 12, 0) > LINUX_VERSION_CODE
static inline void vinteg_open_once(dev_t dev)
{
	struct block_device *bdev = blkdev_get_by_dev(dev, FMODE_READ, NULL);

	if (!IS_ERR(bdev))
		blkdev_put(bdev, FMODE_READ);
}
#else
static inline void vinteg_open_once(dev_t dev)
{
	struct file *file = bdev_file_open_by_dev(dev, BLK_OPEN_READ, NULL,
						  NULL);

	if (!IS_ERR(file))
		__fput_sync(file);
}
#endif

/*
 * "fs: use __fput_sync in close(2)": before, only kernel threads could.  A
 * user task closes on its way back to user space.
 */
#if KERNEL_VERSION(6, 12, 0) > LINUX_VERSION_CODE
static inline void vinteg_fput_sync(struct file *file)
{
	if (current->flags & PF_KTHREAD)
		__fput_sync(file);
	else
		fput(file);
}
#else
#define vinteg_fput_sync	__fput_sync
#endif

/* "block: remove the event masks from disk_force_media_change" */
#if KERNEL_VERSION(6, 6, 0) > LINUX_VERSION_CODE
#define vinteg_media_changed(disk) \
	disk_force_media_change(disk, DISK_EVENT_MEDIA_CHANGE)
#else
#define vinteg_media_changed(disk)	disk_force_media_change(disk)
#endif

/* "driver core: class: remove module * from class_create()" and const */
#if KERNEL_VERSION(6, 4, 0) > LINUX_VERSION_CODE
#define VINTEG_CLASS_CONST
#else
#define VINTEG_CLASS_CONST	const
#endif

/* "tracing/treewide: Remove second parameter of __assign_str()" */
#if KERNEL_VERSION(6, 10, 0) > LINUX_VERSION_CODE
#define vinteg_assign_str(dst, src)	__assign_str(dst, src)
#else
#define vinteg_assign_str(dst, ...)	__assign_str(dst)
#endif

/* The one like kiocb_start_write(), to be paired with kiocb_end_write(). */
static inline bool vinteg_kiocb_start_write_trylock(struct kiocb *iocb)
{
	struct super_block *sb = file_inode(iocb->ki_filp)->i_sb;

	if (!sb_start_write_trylock(sb))
		return false;
	__sb_writers_release(sb, SB_FREEZE_WRITE);
	return true;
}

/*
 * "iomap: simplify direct io validity check": before, each segment of memory
 * had to be a number of whole blocks.
 */
#define VINTEG_DIO_WHOLE_BLOCKS	(KERNEL_VERSION(6, 18, 0) > LINUX_VERSION_CODE)

/* "iomap: support write completions from interrupt context" */
#define VINTEG_IOMAP_LATE_COMPLETION \
	(KERNEL_VERSION(7, 0, 0) > LINUX_VERSION_CODE)

/* "ratelimit: Create functions to handle ratelimit_state internals" */
#if KERNEL_VERSION(6, 16, 0) > LINUX_VERSION_CODE
#define ratelimit_state_reset_miss(rs)	xchg(&(rs)->missed, 0)
#endif

/* "block: rename struct bvec_iter bi_bvec_done" */
#if KERNEL_VERSION(7, 3, 0) > LINUX_VERSION_CODE
#define vinteg_bvec_offset(iter)	((iter)->bi_bvec_done)
#else
#define vinteg_bvec_offset(iter)	((iter)->bi_offset)
#endif

/* "block: Add a public bdev helper for nr of bvecs" (blk_rq_nr_bvec) */
static inline unsigned int vinteg_rq_nr_bvec(struct request *rq)
{
	struct req_iterator iter;
	struct bio_vec bv;
	unsigned int nr = 0;

	rq_for_each_bvec(bv, rq, iter)
		nr++;
	return nr;
}

#endif /* VINTEG_COMPAT_H */
