// SPDX-License-Identifier: GPL-2.0
/*
 * Direct and page-cache I/O on one file are not coherent by themselves: a
 * page-cache write to one sector can read its folio while a direct write to
 * the neighbouring sector is in flight, and its writeback then overwrites
 * what the direct write was acknowledged for.  So writes of the two kinds
 * never overlap in time if their ranges share a folio.
 *
 * A direct write that covers only part of a page may be done by the file
 * system through the page cache.  Which it will be is not known before, so it
 * shares its folio with no other write at all.
 *
 * Nobody sleeps here: who can't have a range is called back when it is free.
 */
#include <linux/interval_tree_generic.h>

#include "vinteg.h"

#define VINTEG_RANGE_START(r)	((r)->start)
#define VINTEG_RANGE_LAST(r)	((r)->last)

INTERVAL_TREE_DEFINE(struct vinteg_range, rb, loff_t, subtree_last,
		     VINTEG_RANGE_START, VINTEG_RANGE_LAST, static,
		     vinteg_range_tree)

static bool vinteg_range_compatible(const struct vinteg_range *a,
				    const struct vinteg_range *b)
{
	return a->kind == b->kind && a->kind != VINTEG_RANGE_ALONE;
}

static bool vinteg_range_overlaps(const struct vinteg_range *a,
				  const struct vinteg_range *b)
{
	return a->start <= b->last && b->start <= a->last;
}

/* Those who came before @range, waiting ones included, go first. */
static bool vinteg_range_blocked(struct vinteg_range_lock *lock,
				 struct vinteg_range *range)
{
	struct vinteg_range *other;

	lockdep_assert_held(&lock->lock);

	for (other = vinteg_range_tree_iter_first(&lock->held, range->start,
						  range->last);
	     other;
	     other = vinteg_range_tree_iter_next(other, range->start,
						 range->last))
		if (!vinteg_range_compatible(range, other))
			return true;

	list_for_each_entry(other, &lock->waiting, waiting) {
		if (other == range)
			break;
		if (vinteg_range_overlaps(range, other) &&
		    !vinteg_range_compatible(range, other))
			return true;
	}
	return false;
}

/**
 * vinteg_range_init() - prepare a lock without any range held
 * @lock: the lock
 *
 * Context: any.
 */
void vinteg_range_init(struct vinteg_range_lock *lock)
{
	spin_lock_init(&lock->lock);
	lock->held = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&lock->waiting);
}

/**
 * vinteg_range_lock() - take a range, or be called back when it is free
 * @lock: the lock
 * @range: the range; start and last in bytes, on folio boundaries
 *
 * Context: any; takes @lock->lock.
 * Return: true if @range is now held. False if it will be later: then
 * @range->granted is called when it is, possibly before this returns, and the
 * caller must not touch @range any more.
 */
bool vinteg_range_lock(struct vinteg_range_lock *lock,
		       struct vinteg_range *range)
{
	unsigned long flags;
	bool blocked;

	spin_lock_irqsave(&lock->lock, flags);
	blocked = vinteg_range_blocked(lock, range);
	if (blocked)
		list_add_tail(&range->waiting, &lock->waiting);
	else
		vinteg_range_tree_insert(range, &lock->held);
	spin_unlock_irqrestore(&lock->lock, flags);
	return !blocked;
}

/**
 * vinteg_range_unlock() - give a range back
 * @lock: the lock
 * @range: a range that is held
 *
 * Context: any; takes @lock->lock, calls those who waited without it.
 */
void vinteg_range_unlock(struct vinteg_range_lock *lock,
			 struct vinteg_range *range)
{
	struct vinteg_range *next, *tmp;
	unsigned long flags;
	LIST_HEAD(granted);

	spin_lock_irqsave(&lock->lock, flags);
	vinteg_range_tree_remove(range, &lock->held);
	list_for_each_entry_safe(next, tmp, &lock->waiting, waiting) {
		/* What blocks the others is still there. */
		if (!vinteg_range_overlaps(range, next) ||
		    vinteg_range_blocked(lock, next))
			continue;
		list_move_tail(&next->waiting, &granted);
		vinteg_range_tree_insert(next, &lock->held);
	}
	spin_unlock_irqrestore(&lock->lock, flags);

	list_for_each_entry_safe(next, tmp, &granted, waiting) {
		list_del_init(&next->waiting);
		next->granted(next);
	}
}
