// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_state.h"

static void *grow(void *array, __u64 count, size_t size)
{
	array = realloc(array, count * size);
	if (!array)
		err(2, "oracle");
	return array;
}

static void list_add(struct list *list, __u32 item)
{
	if (list->count == list->size) {
		list->size = list->size * 2 + 64;
		list->items = grow(list->items, list->size, sizeof(*list->items));
	}
	list->items[list->count++] = item;
}

static void list_remove(struct list *list, __u32 item)
{
	__u64 i;

	for (i = 0; list->items[i] != item; i++)
		;
	list->items[i] = list->items[--list->count];
}

struct oracle *oracle_new(const struct ledger_record *first)
{
	struct oracle *o = calloc(1, sizeof(*o));

	if (!o || first->type != LEDGER_START || first->sectors >= CONTENT_STRANGE)
		errx(2, "oracle: no beginning");
	o->run = first->run;
	o->mode = first->mode;
	o->unknown_content = first->flags & LEDGER_UNKNOWN_CONTENT;
	o->syncs_fail = first->flags & LEDGER_SYNCS_FAIL;
	o->counts.sectors = first->sectors;
	o->sectors = calloc(first->sectors, sizeof(*o->sectors));
	if (!o->sectors)
		err(2, "oracle");
	return o;
}

void oracle_free(struct oracle *o)
{
	free(o->sectors);
	free(o->ops);
	free(o->busy.items);
	free(o->waiting.items);
	free(o->changes.items);
	free(o);
}

static bool object(struct oracle *o, const char *what, __u64 seq)
{
	snprintf(o->objection, sizeof(o->objection), "request %llu: %s", seq, what);
	return false;
}

static struct op *op_of(struct oracle *o, __u64 seq)
{
	if (!seq || seq >= o->nr_ops || !o->ops[seq].issued)
		errx(2, "ledger: request %llu was never issued", seq);
	return &o->ops[seq];
}

static void change(struct oracle *o, __u64 lba)
{
	if (o->sectors[lba].changed)
		return;
	o->sectors[lba].changed = true;
	list_add(&o->changes, lba);
}

static void set_durable(struct oracle *o, __u64 seq)
{
	struct op *op = &o->ops[seq];
	__u64 lba;

	op->durable = true;
	o->counts.durable++;
	for (lba = op->lba; lba < op->lba + op->sectors; lba++) {
		if (o->sectors[lba].demand < op->issued) {
			o->sectors[lba].demand = op->issued;
			o->sectors[lba].demander = seq;
			change(o, lba);
		}
	}
}

/* All that waits and was done before @before, or only what was promised. */
static void settle(struct oracle *o, __u64 before, bool all)
{
	struct list *list = &o->waiting;
	__u64 i = 0;

	while (i < list->count) {
		struct op *op = &o->ops[list->items[i]];

		if (op->done < before && (all || op->promised)) {
			set_durable(o, list->items[i]);
			list->items[i] = list->items[--list->count];
		} else {
			i++;
		}
	}
}

static void promise(struct oracle *o, __u64 before)
{
	__u64 i;

	for (i = 0; i < o->waiting.count; i++)
		if (o->ops[o->waiting.items[i]].done < before)
			o->ops[o->waiting.items[i]].promised = true;
}

static void issue(struct oracle *o, const struct ledger_record *r)
{
	struct op *op;
	__u64 lba;

	if (r->seq >= o->nr_ops) {
		__u64 count = r->seq * 2 + 64;

		o->ops = grow(o->ops, count, sizeof(*o->ops));
		memset(o->ops + o->nr_ops, 0, (count - o->nr_ops) * sizeof(*o->ops));
		o->nr_ops = count;
	}
	op = &o->ops[r->seq];
	if (!r->seq || op->issued || r->lba + r->sectors > o->counts.sectors ||
	    !r->op || r->op >= LEDGER_OPS)
		errx(2, "ledger: request %llu makes no sense", r->seq);
	*op = (struct op){
		.issued = r->time,
		.done = NEVER,
		.lba = r->lba,
		.sectors = r->sectors,
		.kind = r->op,
		.mode = o->next && o->next < o->mode ? o->next : o->mode,
		.forced = o->forced,
		.bypassed = o->override != OFF,
		.pardoned = o->cleared == NEVER,
	};
	list_add(&o->busy, r->seq);
	if (op->kind == LEDGER_DISCARD || op->kind == LEDGER_ZERO)
		for (lba = op->lba; lba < op->lba + op->sectors; lba++)
			o->sectors[lba].blanking++;
}

/* A sync that was asked for at @issued has failed. */
static void sync_failed(struct oracle *o, __u64 issued, __u64 now)
{
	if (!o->failed && issued > o->cleared)
		o->failed = now;
	if (!o->kept.failed && issued > o->kept.cleared)
		o->kept.failed = now;
}

/* Whoever asked for it at @issued knows now that it is done. */
static void cover(struct oracle *o, enum ledger_mode mode, __u64 issued)
{
	if (mode == MODE_NEVER)
		promise(o, issued);
	else
		settle(o, issued, true);
}

/*
 * Where every write is durable a flush has nothing to do. It fails if a sync has failed; but
 * the page cache above also tells it of a write that has failed on its own.
 */
static bool flushed(struct oracle *o, struct op *op, __u64 seq)
{
	if (op->error) {
		if (op->mode != MODE_ALWAYS || o->syncs_fail)
			sync_failed(o, op->issued, op->done);
		return true;
	}
	if (op->bypassed)
		return true;
	if (o->failed && op->issued > o->failed)
		return object(o, "a flush succeeded after one had failed", seq);
	o->counts.flushes++;
	cover(o, op->mode, op->issued);
	return true;
}

/* Is a write durable that has completed? */
static bool is_durable(const struct op *op)
{
	if (op->forced)
		return true;
	switch (op->mode) {
	case MODE_ALWAYS:
		/* Its flush isn't needed. */
		return true;
	case MODE_FUA:
		return !op->bypassed && (op->kind == LEDGER_FUA || op->kind == LEDGER_SYNCED);
	default:
		return false;
	}
}

static bool done(struct oracle *o, const struct ledger_record *r)
{
	struct op *op = op_of(o, r->seq);
	__u64 lba;

	if (op->done != NEVER)
		errx(2, "ledger: request %llu completed twice", r->seq);
	op->done = r->time;
	op->error = r->error;
	list_remove(&o->busy, r->seq);
	if (op->kind == LEDGER_DISCARD || op->kind == LEDGER_ZERO) {
		for (lba = op->lba; lba < op->lba + op->sectors; lba++) {
			o->sectors[lba].blanking--;
			o->sectors[lba].blanked = op->done;
		}
	}
	if (op->error)
		o->counts.failed++;
	else
		o->counts.acknowledged++;
	if (op->kind == LEDGER_FLUSH)
		return flushed(o, op, r->seq);
	if (op->error) {
		if (o->syncs_fail && op->error == EIO && is_durable(op))
			sync_failed(o, op->issued, op->done);
		return true;
	}
	/* Perhaps it was done before the sync that failed, and is known only now. */
	if (op->pardoned && (!is_durable(op) || op->kind == LEDGER_SYNCED))
		return true;
	/* Its fdatasync is a flush, which is issued later than the write. */
	if (op->kind == LEDGER_SYNCED && !op->bypassed &&
	    !(o->failed && op->issued > o->failed))
		cover(o, op->mode, op->issued);
	if (!is_durable(op)) {
		op->promised = op->kind == LEDGER_FUA || op->kind == LEDGER_SYNCED;
		op->promised &= !op->bypassed;
		list_add(&o->waiting, r->seq);
		return true;
	}
	set_durable(o, r->seq);
	if (o->failed && op->issued > o->failed)
		return object(o, "a durable write succeeded after a flush had failed", r->seq);
	return true;
}

/* What is under way may meet the promise as it was, or as it becomes. */
static void switch_begins(struct oracle *o, const struct ledger_record *r)
{
	__u64 i;

	o->next = r->mode;
	o->switched = r->time;
	/* Until now; a switch that fails need not bring it back. */
	o->forced = false;
	for (i = 0; i < o->busy.count; i++) {
		struct op *op = &o->ops[o->busy.items[i]];

		op->forced = false;
		if (o->next < op->mode)
			op->mode = o->next;
	}
}

/* The old policy stays, and nothing has been tried that can fail. */
static bool is_refused(int error)
{
	return error == EINVAL || error == EOPNOTSUPP || error == ENODEV || error == EINTR;
}

static bool switch_ends(struct oracle *o, const struct ledger_record *r)
{
	if (!o->next)
		errx(2, "ledger: a switch ended that never began");
	if (!r->error) {
		o->mode = o->next;
		if (o->failed && o->switched > o->failed) {
			o->next = 0;
			return object(o, "a policy switch succeeded after a flush had failed", 0);
		}
		if (o->mode != MODE_NEVER)
			settle(o, r->time, o->mode == MODE_ALWAYS);
	} else if (!is_refused(r->error)) {
		sync_failed(o, o->switched, r->time);
	}
	o->next = 0;
	return true;
}

static void override_begins(struct oracle *o, const struct ledger_record *r)
{
	__u64 i;

	if (r->mode == OVERRIDE_ON) {
		o->override = SETTING;
		o->noticed = false;
	} else {
		o->override = RESETTING;
		if (o->noticed)
			return;
		/* The driver may never get to know of it. */
		o->forced = false;
	}
	for (i = 0; i < o->busy.count; i++) {
		o->ops[o->busy.items[i]].bypassed = true;
		if (r->mode == OVERRIDE_OFF)
			o->ops[o->busy.items[i]].forced = false;
	}
}

static void override_ends(struct oracle *o, const struct ledger_record *r)
{
	if (r->error)
		errx(2, "ledger: queue/write_cache could not be set");
	if (r->mode == OVERRIDE_ON) {
		o->override = ON;
		o->overridden = r->time;
		o->forced = !o->next;
	} else {
		o->override = OFF;
	}
}

/* What was lost is lost: no later flush brings it back. Until it has ended see issue(). */
static void clear_begins(struct oracle *o)
{
	__u64 i;

	o->kept.failed = o->failed;
	o->kept.cleared = o->cleared;
	o->failed = 0;
	o->cleared = NEVER;
	o->waiting.count = 0;
	for (i = 0; i < o->busy.count; i++)
		o->ops[o->busy.items[i]].pardoned = true;
}

bool oracle_feed(struct oracle *o, const struct ledger_record *r)
{
	switch ((enum ledger_type)r->type) {
	case LEDGER_ISSUE:
		issue(o, r);
		return true;
	case LEDGER_DONE:
		return done(o, r);
	case LEDGER_MODE:
		switch_begins(o, r);
		return true;
	case LEDGER_MODE_DONE:
		return switch_ends(o, r);
	case LEDGER_OVERRIDE:
		override_begins(o, r);
		return true;
	case LEDGER_OVERRIDE_DONE:
		override_ends(o, r);
		return true;
	case LEDGER_NOTICED:
		if (o->override == ON) {
			o->noticed = true;
			settle(o, o->overridden, true);
		}
		return true;
	case LEDGER_CLEAR:
		clear_begins(o);
		return true;
	case LEDGER_CLEAR_DONE:
		o->failed = r->error ? o->kept.failed : 0;
		o->cleared = r->error ? o->kept.cleared : r->time;
		return true;
	case LEDGER_END:
		return true;
	default:
		errx(2, "oracle: a record of type %u", r->type);
	}
}

__u64 oracle_changes(struct oracle *o, const __u32 **lbas)
{
	__u64 count = o->changes.count, i;

	*lbas = o->changes.items;
	for (i = 0; i < count; i++)
		o->sectors[o->changes.items[i]].changed = false;
	o->changes.count = 0;
	return count;
}

const char *oracle_objection(const struct oracle *o)
{
	return o->objection;
}

const struct oracle_counts *oracle_counts(const struct oracle *o)
{
	return &o->counts;
}
