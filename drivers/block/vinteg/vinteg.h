/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vinteg: file-backed disks with honest durability.
 *
 * What lives where:
 *
 *   main.c     init and exit, module parameters, /sys/class/vinteg-control
 *   device.c   a device from hot_add to hot_remove
 *   control.c  running an operation for a sysfs writer who may be killed
 *   bind.c     bind, unbind, rescan
 *   settings.c policy switch, how the next file will be bound
 *   backing.c  what there is to know about the file: opening and probing it
 *   trust.c    whether the file system below can be believed
 *   policy.c   the table of cache policies; request -> plan
 *   request.c  blk-mq: a request's way from queue_rq to its completion
 *   worker.c   which worker takes a request's next step
 *   submitter.c  when the lower file system runs in the submitter's context
 *   data.c     a plan's data part: read, write
 *   fallocate.c  discard, write zeroes
 *   charge.c   which control group that is charged to
 *   range.c    keeping direct and page-cache writes to one folio apart
 *   native.c   durable writes in one step, and who has to wait for them
 *   sync.c     grouped syncs, the sticky error, the write_cache override
 *   stats.c, sysfs.c, trace.c, log.h, batch.h, gate.h
 */
#ifndef VINTEG_H
#define VINTEG_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>

#include "batch.h"
#include "compat.h"
#include "gate.h"
#include "log.h"
#include "policy.h"
#include "stats.h"

#define VINTEG_DEF_NUM_DEVICES	1
#define VINTEG_DEF_POLICY	"none"
#define VINTEG_DEF_READ_ONLY	false
#define VINTEG_DEF_BLOCK_SIZE	0
#define VINTEG_DEF_NR_HW_QUEUES	0
#define VINTEG_DEF_QUEUE_DEPTH	128

#define VINTEG_FALLBACK_POLICY	"writethrough"

#define VINTEG_MAX_DEPTH	8
#define VINTEG_MAX_NUM_DEVICES	256
#define VINTEG_MAX_NR_HW_QUEUES	1024
#define VINTEG_MAX_QUEUE_DEPTH	4096
#define VINTEG_MAX_SECTORS	(SZ_4M >> SECTOR_SHIFT)
#define VINTEG_MAX_SEGMENTS	256

struct cgroup_subsys_state;
struct vinteg;

/*
 * How a range of the file is being written; see range.c.
 */
enum vinteg_range_kind {
	VINTEG_RANGE_DIRECT,	/* direct I/O on whole pages */
	VINTEG_RANGE_CACHED,	/* through the page cache */
	VINTEG_RANGE_ALONE,	/* direct I/O on a part of a page, or a sync */
};

struct vinteg_range {
	struct rb_node rb;
	struct list_head waiting;
	loff_t start;
	loff_t last;
	loff_t subtree_last;
	enum vinteg_range_kind kind;
	/* Called with no lock held, in the context of vinteg_range_unlock(). */
	void (*granted)(struct vinteg_range *range);
};

struct vinteg_range_lock {
	spinlock_t lock;	/* hardirq-safe; protects both members below */
	struct rb_root_cached held;
	struct list_head waiting;
};

/**
 * struct vinteg_sync_waiter - one who waits for a sync of the backing file
 * @entry: link in &struct vinteg_syncer.asked
 * @start: first byte that must be durable
 * @end: last byte that must be durable, LLONG_MAX for all of the file
 * @settled: nothing to sync either; whether what has been made durable has
 *	survived what goes on beside it
 * @forgive: nothing to sync; forget the failures up to @failures
 * @failures: how many the operator may have known of
 * @done: called once, in process context, with 0 or a negative errno
 */
struct vinteg_sync_waiter {
	struct list_head entry;
	loff_t start;
	loff_t end;
	bool settled;
	bool forgive;
	unsigned int failures;
	void (*done)(struct vinteg_sync_waiter *waiter, int error);
};

struct vinteg_syncer {
	struct vinteg_batcher asked;
	/* The rest but @nr_natives is the worker's. */
	bool syncing;		/* the file is being synced */
	struct vinteg_range range; /* held meanwhile, if the file needs that */
	struct completion alone;
	unsigned int turn;	/* which durable writes are waited for */
	struct vinteg_cmd *awaited; /* the one of them that wakes up the worker */
	atomic_t nr_natives;	/* under way, if they may flush the disk */
	wait_queue_head_t natives; /* the worker, waiting for durable writes */
};

struct vinteg_writer {
	struct vinteg_batcher asked;
	struct vinteg *dev;
};

/**
 * struct vinteg_backing - an opened backing file
 * @io: struct file that all data goes through; never synced; holds the claim
 *	on a raw block device
 * @sync: struct file that all syncs go through, so that an error of writeback
 *	is reported to a sync and not stolen by a data write
 * @mapping: page cache of the file
 * @list: link in the list of all bound files
 * @dev: device that the file is, or is being, bound to
 * @size: bytes, as of bind or the last rescan
 * @dio_align: alignment in bytes that direct I/O needs, 0 if there is none
 * @dio_mem_align: alignment in bytes that direct I/O needs of memory
 * @block_size: bytes; writing less makes the file system read and modify
 * @folio_size: bytes; the largest folio of the file's page cache
 * @native_dsync: a direct write with IOCB_DSYNC is at least as cheap as a
 *	write and a sync
 * @native_flushes: and it may flush the disk's cache; if that fails, what
 *	others had there may be lost
 * @disk_fua: a write with FUA needs no flush, nowhere below
 * @syncs_alone: a sync must have no direct write beside it
 * @notices_late: that the journal was aborted, when it is next used
 * @tells_stop: the file system says in a read of nothing that it has shut down
 * @one_sync: a sync of any one range covers the metadata and the disk cache
 *	for all data that has been written back before
 * @can_nowait: IOCB_NOWAIT is worth trying
 * @reads_wait: for a write, at the inode's lock, if through the page cache
 * @late_completion: a direct write ends on a worker of the file system
 * @stable_writes: data must not change while it is being written
 * @can_discard: ranges can be deallocated
 * @must_invalidate: after a direct write, pages read meanwhile are stale
 * @read_only: opened for reading only
 * @wb_since: errors of writeback after this point break the promise
 */
struct vinteg_backing {
	struct file *io;
	struct file *sync;
	struct address_space *mapping;
	struct list_head list;
	struct vinteg *dev;
	loff_t size;
	unsigned int dio_align;
	unsigned int dio_mem_align;
	unsigned int block_size;
	size_t folio_size;
	bool stable_writes;
	bool made_stable;
	bool can_discard;
	bool native_dsync;
	bool native_flushes;
	bool disk_fua;
	bool syncs_alone;
	bool notices_late;
	bool tells_stop;
	bool one_sync;
	bool can_nowait;
	bool reads_wait;
	bool late_completion;
	bool must_invalidate;
	bool read_only;
	errseq_t wb_since;
};

enum vinteg_flag {
	VINTEG_OVERRIDE,	/* queue/write_cache was "write through" */
	VINTEG_SWITCHING,	/* the last sync of a policy switch runs */
	VINTEG_UNSYNCED,	/* written since the last sync of all */
	VINTEG_MTIME,		/* written since the last update of mtime */
	VINTEG_UPKEEP,		/* upkeep work is scheduled */
};

/**
 * struct vinteg - a device
 * @disk: the disk
 * @tag_set: its blk-mq tags
 * @ref: one for the disk's life, one for every operation under way
 * @index: N of /dev/vintegN
 * @ops_lock: protects @ops; a leaf
 * @ops: operations that wait, in the order in which they were asked for
 * @control_work: runs them
 * @control: held while an operation runs; sleeps
 * @added: the disk is complete and announced, not before it can be claimed;
 *	protected by the disk's open_mutex
 * @claimed: bind, reset or hot_remove is under way, nobody can open the disk;
 *	protected by the disk's open_mutex
 * @gone: the disk is being removed; protected by @control
 * @policy: current row of the table; while bound it changes only with the
 *	queue frozen
 * @policy_asked: somebody asked for @policy, it is not just the default
 * @read_only: bind for reading only; protected by @control
 * @logical_block_size: bytes, 0 for the smallest possible; protected by
 *	@control
 * @backing_lock: protects @backing against those who don't hold @control or
 *	a request
 * @backing: the bound file or NULL; changes only with the queue frozen
 * @flags: bits of &enum vinteg_flag
 * @error: the sticky error, 0 or a negative errno; written under @error_lock
 * @error_lock: hardirq-safe; a leaf
 * @failures: counts what broke the promise; protected by @error_lock
 * @pardons: counts how often @error was cleared while bound; as @error
 * @ranges: writes in flight
 * @syncer: those who wait for a sync
 * @writers: each one writes of a hardware queue, the last one those that go
 *	through the page cache of a regular file
 * @gate: reads that wait until the last of @writers pauses
 * @reader: reads through the page cache that are a part of one sequence
 * @read_end: bytes; where the last sequence read through the page cache ends
 * @read_by: the control group that it is charged to; not a reference
 * @read_wq: workers for reads, while bound
 * @write_wq: workers for all that changes data, while bound
 * @sync_wq: worker of @syncer, while bound
 * @flush_wq: its worker if there is no page to be written back
 * @upkeep: runs once a second while there is something to look after
 * @bvecs: bio_vec arrays for requests of several bios
 * @stats: counters
 *
 * Lock order: @control, vinteg_bind_lock, open_mutex of the disk, frozen
 * queue, @backing_lock.  vinteg_devices_lock is a leaf.  A claim is no lock:
 * nobody waits for one.  None of these is held over del_gendisk().
 */
struct vinteg {
	struct gendisk *disk;
	struct blk_mq_tag_set tag_set;
	struct kref ref;
	unsigned int index;

	spinlock_t ops_lock;	/* protects ops; a leaf */
	struct list_head ops;
	struct work_struct control_work;
	struct mutex control;	/* held while an operation runs */
	bool added;
	bool claimed;
	bool gone;

	const struct vinteg_policy *policy;
	bool policy_asked;
	bool read_only;
	unsigned int logical_block_size;

	spinlock_t backing_lock; /* see above */
	struct vinteg_backing *backing;

	unsigned long flags;
	int error;
	spinlock_t error_lock;	/* see above */
	unsigned int failures;
	unsigned int pardons;
	struct vinteg_range_lock ranges;
	struct vinteg_syncer syncer;
	struct vinteg_writer *writers;
	struct vinteg_gate gate;
	struct vinteg_batcher reader;
	loff_t read_end;
	struct cgroup_subsys_state *read_by;
	struct workqueue_struct *read_wq;
	struct workqueue_struct *write_wq;
	struct workqueue_struct *sync_wq;
	struct workqueue_struct *flush_wq;
	struct delayed_work upkeep;
	mempool_t bvecs;
	struct vinteg_stats __percpu *stats;
};

/**
 * struct vinteg_cmd - driver's part of a request
 * @iocb: the I/O under way
 * @work: runs the next step, unless
 * @entry: one of &struct vinteg.writers or &struct vinteg.reader does
 * @plan: what to do, from the policy in force when the request arrived
 * @follows: a read for &struct vinteg.reader
 * @tried: the data has been tried, and counted; the next attempt may wait
 * @redo: a durable write failed in one step; is it the data?
 * @native: a durable write in one step is under way, its result not yet drawn
 *	consequences from
 * @turn: of the syncer, when @native was set
 * @pardons: of the device, when the request arrived
 * @again: the request has been here before, and has been counted
 * @stale: a direct write is done, but pages in its range are stale
 * @range: held while data of the file changes
 * @range_wanted: @range has to be held to change data
 * @range_held: @range is held, or will be when its granted() is called
 * @fell_back: the file system did a direct write through the page cache
 * @sync: membership in a grouped sync
 * @refs: the submitter and the completion of @iocb each hold one
 * @result: what @iocb returned
 * @done: bytes moved so far
 * @bvec: bio_vec array from the device's mempool, or NULL
 */
struct vinteg_cmd {
	struct kiocb iocb;
	struct work_struct work;
	struct list_head entry;
	struct vinteg_plan plan;
	bool follows;
	bool tried;
	bool redo;
	bool native;
	unsigned int turn;
	unsigned int pardons;
	bool again;
	bool stale;
	struct vinteg_range range;
	bool range_wanted;
	bool range_held;
	bool fell_back;
	struct vinteg_sync_waiter sync;
	refcount_t refs;
	long result;
	unsigned int done;
	struct bio_vec *bvec;
};

static inline struct vinteg *vinteg_of_request(struct request *rq)
{
	return rq->q->queuedata;
}

/*
 * Workers run below a block device: they must not wait for memory that is
 * freed by writing to it, nor be throttled for the dirty pages of others.
 */
static inline unsigned int vinteg_worker_begin(void)
{
	unsigned int flags = current->flags;

	current->flags |= PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE;
	return flags;
}

static inline void vinteg_worker_end(unsigned int flags)
{
	const unsigned int mask = PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE;

	current->flags = (current->flags & ~mask) | (flags & mask);
}

static inline loff_t vinteg_request_pos(struct request *rq)
{
	return (loff_t)blk_rq_pos(rq) << SECTOR_SHIFT;
}

/* main.c */
extern unsigned int vinteg_nr_hw_queues;
extern unsigned int vinteg_hw_queue_depth;

/* device.c */
struct vinteg *vinteg_create(bool claimed);
int vinteg_add(struct vinteg *dev);
struct vinteg *vinteg_find(unsigned int index);
int vinteg_hot_add(void);
int vinteg_hot_remove(int index);
void vinteg_remove_all(void);
void vinteg_get(struct vinteg *dev);
void vinteg_put(struct vinteg *dev);
int vinteg_claim(struct vinteg *dev);
void vinteg_unclaim(struct vinteg *dev);

/* control.c */
typedef int (*vinteg_control_fn)(struct vinteg *dev, void *arg);
typedef void (*vinteg_control_drop_fn)(struct vinteg *dev, void *arg);

/* What a caller who is killed does. */
enum vinteg_control_kind {
	VINTEG_CONTROL_USUAL,	/* takes it back, or leaves it if it runs */
	VINTEG_CONTROL_SHORT,	/* takes it back, or waits if it runs */
	VINTEG_CONTROL_ALWAYS,	/* leaves it, and it runs in any case */
};

int vinteg_control_init(void);
void vinteg_control_exit(void);
void vinteg_control_work(struct work_struct *work);
int vinteg_control_kind(struct vinteg *dev, enum vinteg_control_kind kind,
			vinteg_control_fn fn, vinteg_control_drop_fn drop,
			void *arg);
int vinteg_control(struct vinteg *dev, vinteg_control_fn fn, void *arg);

/* bind.c */
int vinteg_bind_claimed(struct vinteg *dev, const char *path);
int vinteg_publish(struct vinteg *dev);
int vinteg_bind_path(struct vinteg *dev, const char *path);
int vinteg_reset(struct vinteg *dev);
int vinteg_rescan(struct vinteg *dev);
int vinteg_unbind(struct vinteg *dev);

/* settings.c */
int vinteg_switch_policy(struct vinteg *dev,
			 const struct vinteg_policy *policy);
int vinteg_set_read_only(struct vinteg *dev, bool read_only);
int vinteg_set_block_size(struct vinteg *dev, unsigned int size);
int vinteg_forgive(struct vinteg *dev);

/* backing.c */
struct vinteg_backing *vinteg_backing_open(struct vinteg *dev,
					   const char *path, bool read_only);
void vinteg_backing_keep_stable(struct vinteg_backing *backing);
void vinteg_backing_close(struct vinteg_backing *backing);
int vinteg_backing_check(struct vinteg *dev, struct vinteg_backing *backing,
			 const struct vinteg_policy *policy,
			 unsigned int block_size);
int vinteg_backing_stat_size(struct vinteg_backing *backing, loff_t *size);
bool vinteg_backing_touch(struct vinteg_backing *backing, bool wait);
static inline loff_t vinteg_backing_size(struct vinteg_backing *backing)
{
	return i_size_read(backing->mapping->host);
}

/* trust.c */
void vinteg_backing_warn(struct vinteg *dev, struct vinteg_backing *backing,
			 const struct vinteg_policy *policy);
int vinteg_backing_stopped(struct vinteg_backing *backing);
void vinteg_backing_knock(struct vinteg_backing *backing);

/* request.c */
extern const struct blk_mq_ops vinteg_mq_ops;
blk_status_t vinteg_status(int error);
bool vinteg_cmd_lock(struct vinteg_cmd *cmd);
void vinteg_cmd_data_done(struct vinteg_cmd *cmd, int error, bool durable);

/* worker.c */
void vinteg_cmd_queue(struct vinteg_cmd *cmd);
void vinteg_let_read(struct vinteg *dev);
void vinteg_cmd_work(struct work_struct *work);
void vinteg_reader_work(struct work_struct *work);
void vinteg_writer_work(struct work_struct *work);

/* data.c */
bool vinteg_start_write(struct vinteg *dev, struct kiocb *iocb);
void vinteg_end_write(struct kiocb *iocb);
bool vinteg_data_try(struct vinteg_cmd *cmd);
void vinteg_data_start(struct vinteg_cmd *cmd);
void vinteg_data_invalidate(struct vinteg_cmd *cmd);

/* fallocate.c */
void vinteg_data_fallocate(struct vinteg_cmd *cmd);

/* range.c */
void vinteg_range_init(struct vinteg_range_lock *lock);
bool vinteg_range_lock(struct vinteg_range_lock *lock,
		       struct vinteg_range *range);
void vinteg_range_unlock(struct vinteg_range_lock *lock,
			 struct vinteg_range *range);

static inline bool vinteg_range_idle(struct vinteg_range_lock *lock)
{
	/* A guess is enough, nothing but speed depends on it. */
	return data_race(RB_EMPTY_ROOT(&lock->held.rb_root));
}

/* native.c */
void vinteg_native_begin(struct vinteg_cmd *cmd);
void vinteg_native_end(struct vinteg_cmd *cmd);
bool vinteg_native_in_doubt(struct vinteg *dev);
void vinteg_native_wait(struct vinteg *dev);

/* sync.c */
void vinteg_sync_init(struct vinteg *dev);
void vinteg_sync_add(struct vinteg *dev, struct vinteg_sync_waiter *waiter);
int vinteg_sync_all(struct vinteg *dev);
void vinteg_fail_durability(struct vinteg *dev, int error, const char *what);
int vinteg_sync_forgive(struct vinteg *dev, unsigned int failures);
void vinteg_note_write(struct vinteg *dev, bool durable);
bool vinteg_override(struct vinteg *dev);
void vinteg_upkeep(struct work_struct *work);

/* sysfs.c */
extern const struct attribute_group *vinteg_disk_groups[];

#endif /* VINTEG_H */
