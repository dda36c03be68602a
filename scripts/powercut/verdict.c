// SPDX-License-Identifier: GPL-2.0
/* What the oracle says of a sector. */
#include <stdio.h>

#include "oracle_state.h"
#include "stamp.h"

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

__u64 oracle_demand(const struct oracle *o, __u64 lba)
{
	return o->sectors[lba].demander;
}

bool oracle_is_durable(const struct oracle *o, __u32 content)
{
	return content < o->nr_ops && o->ops[content].durable;
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
