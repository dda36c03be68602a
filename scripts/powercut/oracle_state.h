/* SPDX-License-Identifier: GPL-2.0 */
/* What the oracle knows: for those who tell it, and those who ask it. */
#ifndef ORACLE_STATE_H
#define ORACLE_STATE_H

#include "oracle.h"

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
	bool pardoned;		/* under way while an error was being cleared */
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
	bool syncs_fail;	/* nothing else ever does */
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

	__u64 failed;		/* when a sync failed, 0: none or forgiven */
	__u64 cleared;		/* when it was forgiven, of syncs from before too */
	struct {
		__u64 failed, cleared;	/* as they are if it can't be forgiven */
	} kept;
	char objection[128];
	struct oracle_counts counts;
};

#endif
