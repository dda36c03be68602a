/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Test data that knows where and when it was written: each sector carries the
 * run, its place, a sequence number and a checksum over all of its 512 bytes.
 */
#ifndef STAMP_H
#define STAMP_H

#include <linux/types.h>

#define SECTOR_SIZE	512

struct stamp {
	__u64 run;	/* unlike in any other run, so that old data never passes */
	__u64 lba;	/* in units of 512 bytes, from the start of file or disk */
	__u64 seq;	/* of the write that this sector was part of */
};

enum stamp_state {
	STAMP_VALID,
	STAMP_BLANK,	/* nothing but zeros */
	STAMP_BROKEN,	/* torn, or never was a stamped sector */
};

/**
 * stamp_write() - fill one sector
 * @sector: SECTOR_SIZE bytes, all of them are set
 * @stamp: what to remember in it
 */
void stamp_write(void *sector, const struct stamp *stamp);

/**
 * stamp_read() - tell what is in a sector
 * @sector: SECTOR_SIZE bytes
 * @stamp: set only if the sector is STAMP_VALID
 */
enum stamp_state stamp_read(const void *sector, struct stamp *stamp);

#endif
