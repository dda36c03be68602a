/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The log of a disk: all that was asked of it, with the data, and when it answered;
 * in the order in which that happened.
 */
#ifndef DISKLOG_H
#define DISKLOG_H

#include <linux/types.h>

enum disk_event {
	DISK_WRITE = 1,		/* the data follows */
	DISK_ZERO,		/* also discards: this disk reads zeros then */
	DISK_FLUSH,
	DISK_DONE,		/* .request is about to be answered */
};

#define DISK_FUA	1

struct disk_record {
	__u32 event;
	__u32 flags;
	__u64 time;	/* of the clock that the ledger has its times from */
	__u64 request;	/* its number, from 1 on */
	__u64 offset;	/* in bytes */
	__u64 length;
};

#endif
