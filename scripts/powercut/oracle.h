/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The oracle: is told, in order, what happened to a disk, and says at any moment
 * what may be found on it after a power cut.
 *
 * Must survive: each write, discard or zeroing that completed under a promise that
 * covers it: MODE_ALWAYS; or MODE_FUA, if it was a FUA write, or completed before a
 * flush was issued that completed. Where the promise changed while a request was
 * under way, the weaker one counts; a policy switch that succeeded renews those
 * that were made before.
 *
 * May be there, in a sector: what was issued, unless it is strictly older than
 * something that must survive (it completed before that was issued); and the initial
 * content, unless something must survive. All else is corruption.
 *
 * A flush that failed covers nothing, and nothing that promises to be durable may
 * succeed after it, until the error has been cleared. A policy switch that failed is a
 * flush that failed, unless it was refused. The failure of a FUA write may be that of its
 * own data, after which all goes on, and so may be that of a flush under MODE_ALWAYS; but
 * if the ledger says that only syncs ever fail on the disk below, they count, too.
 *
 * What was done before the error was cleared is not covered by later flushes; nor is what
 * was under way then, because a completion is seen later than it was.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stddef.h>

#include "ledger.h"

enum verdict {
	FINE,
	LOST,		/* what had to survive isn't there, but something older */
	BROKEN,		/* neither blank nor an intact stamp: torn, or garbage */
	STRANGE,	/* a stamp of another place, run, or of nothing ever issued */
	VERDICTS
};

/* What a sector holds: the number of a write, or one of these. */
#define CONTENT_BLANK	0
#define CONTENT_BROKEN	(~0U)
#define CONTENT_STRANGE	(~0U - 1)

struct oracle;

/**
 * oracle_new() - a new oracle that knows the first record of a ledger
 * @first: a LEDGER_START
 */
struct oracle *oracle_new(const struct ledger_record *first);
void oracle_free(struct oracle *oracle);

/**
 * oracle_feed() - tell what happened next
 * @oracle: the oracle
 * @record: any but a LEDGER_START, in the ledger's order
 *
 * Return: true if that is compatible with what was promised; else see
 * oracle_objection(). It ends the program if the ledger contradicts itself.
 */
bool oracle_feed(struct oracle *oracle, const struct ledger_record *record);

/**
 * oracle_content() - tell what is in a sector
 * @oracle: the oracle
 * @lba: where it was found
 * @sector: its 512 bytes
 */
__u32 oracle_content(const struct oracle *oracle, __u64 lba, const void *sector);

/**
 * oracle_judge() - may this be found after a power cut at this moment?
 * @oracle: the oracle
 * @lba: where it was found
 * @content: of oracle_content()
 */
enum verdict oracle_judge(const struct oracle *oracle, __u64 lba, __u32 content);

/**
 * oracle_changes() - sectors of which more is demanded than before
 * @oracle: the oracle
 * @lbas: set to their numbers, good until the next call of oracle_feed()
 *
 * Return: how many there were since the last call.
 */
__u64 oracle_changes(struct oracle *oracle, const __u32 **lbas);

/* The number of the newest request that has to survive there, or 0. */
__u64 oracle_demand(const struct oracle *oracle, __u64 lba);

/* Must this write survive? */
bool oracle_is_durable(const struct oracle *oracle, __u32 content);

const char *oracle_objection(const struct oracle *oracle);
const char *verdict_name(enum verdict verdict);

/* One line about a sector, for people. */
void oracle_explain(const struct oracle *oracle, __u64 lba, __u32 content, char *text,
		    size_t size);

struct oracle_counts {
	__u64 sectors;		/* of the disk */
	__u64 acknowledged;	/* requests that succeeded */
	__u64 failed;
	__u64 durable;		/* writes that must survive */
	__u64 flushes;		/* that covered something, or could have */
};

const struct oracle_counts *oracle_counts(const struct oracle *oracle);

#endif
