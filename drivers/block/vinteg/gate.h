/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Readers who wait until a writer pauses, and then go on together.
 *
 * For where both need one lock, which many share or one has: else whoever comes
 * while the other is at it sleeps at that lock, and is woken up for one read.
 */
#ifndef VINTEG_GATE_H
#define VINTEG_GATE_H

#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>

/* What a reader may have to wait for, beside the write that is under way. */
#define VINTEG_GATE_BYTES SZ_64K

/**
 * struct vinteg_gate - where readers wait
 * @lock: hardirq-safe; a leaf; protects @held, and @shut from being cleared
 * @held: those who wait; empty if @shut is not set
 * @shut: the writer is at it, and will open the gate
 * @bytes: what it has begun to write meanwhile; the writer's
 * @since: when the gate was shut, in jiffies; the writer's
 */
struct vinteg_gate {
	spinlock_t lock;	/* see above */
	struct list_head held;
	bool shut;
	unsigned int bytes;
	unsigned long since;
};

/**
 * vinteg_gate_init() - prepare it, open
 * @gate: the gate
 *
 * Context: any.
 */
static inline void vinteg_gate_init(struct vinteg_gate *gate)
{
	spin_lock_init(&gate->lock);
	INIT_LIST_HEAD(&gate->held);
	gate->shut = false;
}

/**
 * vinteg_gate_wait() - leave a reader at the gate
 * @gate: the gate
 * @entry: the reader's link, no longer the caller's if it has to wait
 *
 * Context: any; takes @gate's lock.
 * Return: false if the gate is open.
 */
static inline bool vinteg_gate_wait(struct vinteg_gate *gate,
				    struct list_head *entry)
{
	unsigned long flags;
	bool shut;

	if (!READ_ONCE(gate->shut))
		return false;
	spin_lock_irqsave(&gate->lock, flags);
	shut = READ_ONCE(gate->shut);
	if (shut)
		list_add_tail(entry, &gate->held);
	spin_unlock_irqrestore(&gate->lock, flags);
	return shut;
}

/**
 * vinteg_gate_shut() - let readers wait from now on
 * @gate: the gate
 * @bytes: how much is about to be written
 *
 * Context: the only writer.
 */
static inline void vinteg_gate_shut(struct vinteg_gate *gate,
				    unsigned int bytes)
{
	if (!READ_ONCE(gate->shut)) {
		gate->bytes = 0;
		gate->since = jiffies;
		WRITE_ONCE(gate->shut, true);
	}
	gate->bytes += bytes;
}

/**
 * vinteg_gate_due() - have readers waited long enough?
 * @gate: the gate
 *
 * Context: the only writer, after a write.
 * Return: true if the gate is shut and should be opened before the next write.
 */
static inline bool vinteg_gate_due(struct vinteg_gate *gate)
{
	return READ_ONCE(gate->shut) && (gate->bytes >= VINTEG_GATE_BYTES ||
					 time_after(jiffies, gate->since));
}

/**
 * vinteg_gate_open() - let them go on
 * @gate: the gate
 * @held: an empty list; gets those who have waited, in the order in which they
 *	came
 *
 * Context: any but hardirq; takes @gate's lock.
 */
static inline void vinteg_gate_open(struct vinteg_gate *gate,
				    struct list_head *held)
{
	if (!READ_ONCE(gate->shut))
		return;
	spin_lock_irq(&gate->lock);
	WRITE_ONCE(gate->shut, false);
	list_splice_init(&gate->held, held);
	spin_unlock_irq(&gate->lock);
}

#endif /* VINTEG_GATE_H */
