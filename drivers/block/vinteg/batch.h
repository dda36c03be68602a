/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A worker that takes all that has come up since it last looked.
 */
#ifndef VINTEG_BATCH_H
#define VINTEG_BATCH_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

/**
 * struct vinteg_batcher - what waits for a worker
 * @lock: hardirq-safe; a leaf; protects @waiting and @running
 * @waiting: entries in the order in which they were added
 * @running: the worker is queued or runs, and will look at @waiting again
 * @work: the worker
 */
struct vinteg_batcher {
	spinlock_t lock;	/* see above */
	struct list_head waiting;
	bool running;
	struct work_struct work;
};

/**
 * vinteg_batcher_init() - prepare it, with nothing waiting
 * @b: the batcher
 * @func: calls vinteg_batcher_take() until there is nothing left
 *
 * Context: any.
 */
static inline void vinteg_batcher_init(struct vinteg_batcher *b,
				       work_func_t func)
{
	spin_lock_init(&b->lock);
	INIT_LIST_HEAD(&b->waiting);
	b->running = false;
	INIT_WORK(&b->work, func);
}

/**
 * vinteg_batcher_add() - leave something for the worker
 * @b: the batcher
 * @entry: its link, no longer the caller's
 * @wq: where the worker is to run, if it does not yet
 *
 * Context: any; takes @b's lock.  The worker may be done with @entry before
 * this returns.
 */
static inline void vinteg_batcher_add(struct vinteg_batcher *b,
				      struct list_head *entry,
				      struct workqueue_struct *wq)
{
	unsigned long flags;
	bool start;

	spin_lock_irqsave(&b->lock, flags);
	list_add_tail(entry, &b->waiting);
	start = !b->running;
	WRITE_ONCE(b->running, true);
	spin_unlock_irqrestore(&b->lock, flags);

	if (start)
		queue_work(wq, &b->work);
}

/**
 * vinteg_batcher_take() - get all that waits
 * @b: the batcher
 * @batch: an empty list
 *
 * Context: the worker; takes @b's lock.
 * Return: true if there is something; else the worker has to return, and may be
 * running anew already.
 */
static inline bool vinteg_batcher_take(struct vinteg_batcher *b,
				       struct list_head *batch)
{
	spin_lock_irq(&b->lock);
	list_splice_init(&b->waiting, batch);
	WRITE_ONCE(b->running, !list_empty(batch));
	spin_unlock_irq(&b->lock);
	return !list_empty(batch);
}

/**
 * vinteg_batcher_busy() - would something new have to wait for others?
 * @b: the batcher
 *
 * Context: any.  The answer may be outdated at once.
 * Return: true if the worker is queued or runs.
 */
static inline bool vinteg_batcher_busy(struct vinteg_batcher *b)
{
	return READ_ONCE(b->running);
}

#endif /* VINTEG_BATCH_H */
