// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"
#include "stamp.h"

#define NEVER	(~0ULL)

struct op {
	__u64 issued;		/* 0: no such request */
	__u64 done;		/* NEVER: not yet */
	__u64 lba;
	__u32 sectors;
	__s32 error;
	__u8 kind;
	__u8 mode;		/* the weakest promise that may have been in force */
	bool forced;		/* the driver knew that every write has to be durable */
	bool bypassed;		/* the block layer may have answered for the driver */
	bool promised;		/* said to be durable, under MODE_NEVER */
	bool durable;
};

struct sector {
	__u64 demand;		/* when the newest that must survive was issued */
	__u64 blanked;		/* when the last discard or zeroing was done */
	__u32 blanking;		/* so many of them are under way */
	__u32 demander;		/* that request's number */
	bool changed;
};

struct list {
	__u32 *items;
	__u64 count;
	__u64 size;
};

struct oracle {
	__u64 run;
	bool unknown_content;
	struct sector *sectors;
	struct op *ops;		/* by their number */
	__u64 nr_ops;
	struct list busy;	/* not done */
	struct list waiting;	/* done, but not durable */
	struct list changes;

	enum ledger_mode mode;
	enum ledger_mode next;	/* that of a switch under way, or 0 */
	__u64 switched;		/* when that began */

	enum { OFF, SETTING, ON, RESETTING } override;
	__u64 overridden;	/* since when for certain */
	bool noticed;		/* by the driver, which stays so until a switch */
	bool forced;		/* every write that is issued now is durable */

	__u64 failed;		/* when a flush failed, 0: none or forgiven */
	__u64 cleared;		/* when it was forgiven, of flushes from before too */
	char objection[128];
	struct oracle_counts counts;
};

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
	};
	list_add(&o->busy, r->seq);
	if (op->kind == LEDGER_DISCARD || op->kind == LEDGER_ZERO)
		for (lba = op->lba; lba < op->lba + op->sectors; lba++)
			o->sectors[lba].blanking++;
}

static bool flushed(struct oracle *o, struct op *op, __u64 seq)
{
	if (op->error) {
		if (!o->failed && op->issued > o->cleared)
			o->failed = op->done;
		return true;
	}
	if (op->bypassed)
		return true;
	if (o->failed && op->issued > o->failed)
		return object(o, "a flush succeeded after one had failed", seq);
	o->counts.flushes++;
	if (op->mode == MODE_NEVER)
		promise(o, op->issued);
	else
		settle(o, op->issued, true);
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
	if (op->error)
		return true;
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
		/* What was lost is lost: no later flush brings it back. */
		o->failed = 0;
		o->cleared = NEVER;
		o->waiting.count = 0;
		return true;
	case LEDGER_CLEAR_DONE:
		o->cleared = r->time;
		o->waiting.count = 0;
		return true;
	case LEDGER_END:
		return true;
	default:
		errx(2, "oracle: a record of type %u", r->type);
	}
}

__u32 oracle_content(const struct oracle *o, __u64 lba, const void *sector)
{
	struct stamp stamp;

	switch (stamp_read(sector, &stamp)) {
	case STAMP_BLANK:
		return CONTENT_BLANK;
	case STAMP_BROKEN:
		return CONTENT_BROKEN;
	case STAMP_VALID:
		break;
	}
	if (stamp.run != o->run || stamp.lba != lba || !stamp.seq ||
	    stamp.seq >= CONTENT_STRANGE)
		return CONTENT_STRANGE;
	return stamp.seq;
}

enum verdict oracle_judge(const struct oracle *o, __u64 lba, __u32 content)
{
	const struct sector *s = &o->sectors[lba];
	const struct op *op;

	if (o->unknown_content && !s->demand &&
	    (content == CONTENT_BROKEN || content == CONTENT_STRANGE))
		return FINE;
	switch (content) {
	case CONTENT_BLANK:
		return !s->demand || s->blanking || s->blanked >= s->demand ? FINE : LOST;
	case CONTENT_BROKEN:
		return BROKEN;
	case CONTENT_STRANGE:
		return STRANGE;
	}
	if (content >= o->nr_ops)
		return STRANGE;
	op = &o->ops[content];
	if (!op->issued || !ledger_is_write(op->kind) || lba < op->lba ||
	    lba >= op->lba + op->sectors)
		return STRANGE;
	return op->done >= s->demand ? FINE : LOST;
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

__u64 oracle_demand(const struct oracle *o, __u64 lba)
{
	return o->sectors[lba].demander;
}

bool oracle_is_durable(const struct oracle *o, __u32 content)
{
	return content < o->nr_ops && o->ops[content].durable;
}

const char *oracle_objection(const struct oracle *o)
{
	return o->objection;
}

const struct oracle_counts *oracle_counts(const struct oracle *o)
{
	return &o->counts;
}

const char *verdict_name(enum verdict verdict)
{
	static const char * const names[VERDICTS] = { "fine", "lost", "broken", "strange" };

	return names[verdict];
}

void oracle_explain(const struct oracle *o, __u64 lba, __u32 content, char *text, size_t size)
{
	__u32 by = o->sectors[lba].demander;
	char what[80];

	if (content == CONTENT_BLANK)
		snprintf(what, sizeof(what), "zeros");
	else if (content == CONTENT_BROKEN)
		snprintf(what, sizeof(what), "neither zeros nor an intact stamp");
	else if (content == CONTENT_STRANGE)
		snprintf(what, sizeof(what), "a stamp of another place or run");
	else if (content < o->nr_ops && o->ops[content].issued)
		snprintf(what, sizeof(what), "request %u (issued at %llu, done at %lld)", content,
			 o->ops[content].issued, (long long)o->ops[content].done);
	else
		snprintf(what, sizeof(what), "request %u, which was never made", content);
	if (!by)
		snprintf(text, size, "sector %llu: %s, %s; nothing had to survive there", lba,
			 verdict_name(oracle_judge(o, lba, content)), what);
	else
		snprintf(text, size,
			 "sector %llu: %s, %s; request %u (%s, issued at %llu, done at %llu) or newer had to survive",
			 lba, verdict_name(oracle_judge(o, lba, content)), what, by,
			 ledger_op_name(o->ops[by].kind), o->ops[by].issued, o->ops[by].done);
}
