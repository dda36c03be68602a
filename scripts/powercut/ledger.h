/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ledger: what a workload asked of a disk, and what the disk answered, in the
 * order in which it happened. It leaves the machine record by record, and is all
 * that a judge knows after a power cut.
 *
 * An issue is written before the request is submitted, and a completion after it
 * was seen. So a request that is not in the ledger was never made, and an answer
 * that is in the ledger was given.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <linux/types.h>
#include <stdbool.h>

enum ledger_type {
	LEDGER_START = 1,	/* always the first; .sectors is the disk's size */
	LEDGER_ISSUE,		/* .seq, .op, .lba, .sectors */
	LEDGER_DONE,		/* .seq, .error */
	LEDGER_MODE,		/* about to set the promise .mode */
	LEDGER_MODE_DONE,	/* it is set, unless there is an .error */
	LEDGER_OVERRIDE,	/* about to set queue/write_cache; .mode as below */
	LEDGER_OVERRIDE_DONE,	/* it is set */
	LEDGER_NOTICED,		/* the driver synced because of the override */
	LEDGER_CLEAR,		/* about to clear writeback_error */
	LEDGER_CLEAR_DONE,	/* it is cleared, unless there is an .error */
	LEDGER_END,		/* the workload has come to its end by itself */
	LEDGER_TYPES
};

enum ledger_op {
	LEDGER_WRITE = 1,
	LEDGER_FUA,		/* a write that is durable when it completes */
	LEDGER_SYNCED,		/* a write through the page cache, then fdatasync */
	LEDGER_DISCARD,
	LEDGER_ZERO,
	LEDGER_FLUSH,
	LEDGER_OPS
};

/* What a cache policy promises. In order: each promises more than those before. */
enum ledger_mode {
	MODE_NEVER = 1,		/* nothing */
	MODE_FUA,		/* FUA writes, and all writes before a flush */
	MODE_ALWAYS,		/* every write */
	MODES
};

/* In .mode of LEDGER_OVERRIDE. */
enum ledger_override {
	OVERRIDE_OFF,		/* "write back" */
	OVERRIDE_ON,		/* "write through" */
};

/* In .flags of LEDGER_START. */
#define LEDGER_UNKNOWN_CONTENT	1	/* else the disk is all zeros */
#define LEDGER_SYNCS_FAIL	2	/* of the disk below; reads and plain writes never do */

struct ledger_record {
	__u32 magic;
	__u8 type;
	__u8 op;
	__u8 mode;
	__u8 flags;
	__u64 index;	/* 0, 1, 2, ...: nothing is missing in between */
	__u64 time;	/* of a clock that ticks with each event, and grows */
	__u64 run;
	__u64 seq;	/* number of the request, from 1 on; in the stamps, too */
	__u64 lba;	/* in units of 512 bytes */
	__u32 sectors;
	__s32 error;	/* 0, or a positive errno */
	__u64 sum;
};

struct ledger;

/**
 * ledger_create() - get ready to write
 * @fd: where records go, one write each; anything that keeps their order
 * @clock: a file that is shared with others who take times from the same clock, or
 *	NULL for a clock of its own
 * @run: goes into each record
 *
 * Return: the ledger; it ends the program if it can't.
 */
struct ledger *ledger_create(int fd, const char *clock, __u64 run);

/**
 * ledger_write() - append a record
 * @ledger: the ledger; may be shared by threads
 * @record: @type and what belongs to it; the rest is set here
 *
 * When it returns the record has been handed over. Ends the program if that fails:
 * nothing may happen that is not in the ledger.
 */
void ledger_write(struct ledger *ledger, struct ledger_record *record);

/**
 * ledger_read() - the records of a ledger that was written to a file
 * @path: the file
 * @count: gets their number
 *
 * What was cut in the middle is left out: it can't have been seen by anybody.
 *
 * Return: the records; it ends the program if one of them is missing or damaged.
 */
struct ledger_record *ledger_read(const char *path, __u64 *count);

/**
 * ledger_mode_of() - what a cache policy promises
 * @policy: its name
 *
 * Return: a mode, or 0 if there is no such policy.
 */
enum ledger_mode ledger_mode_of(const char *policy);

/* Names for people. */
const char *ledger_op_name(enum ledger_op op);

static inline bool ledger_is_write(enum ledger_op op)
{
	return op == LEDGER_WRITE || op == LEDGER_FUA || op == LEDGER_SYNCED;
}

#endif
