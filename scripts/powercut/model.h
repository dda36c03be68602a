/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of a disk with a volatile cache: is told what its log says, and knows what
 * is on stable storage and what is in the cache. Of the latter, any part may be there
 * after a power cut, each sector as a whole. It sees only the part of the disk that
 * holds the workload's data, and speaks of it in the workload's sectors.
 */
#ifndef MODEL_H
#define MODEL_H

#include "disklog.h"
#include "oracle.h"

/* A write in the cache. */
struct cached {
	__u64 request;
	__u64 done;		/* when, or 0 */
	__u32 sectors;		/* so many of them are the workload's */
	__u32 *lbas;
	__u32 *contents;	/* see oracle_content() */
	bool fua;
};

struct model {
	const struct oracle *oracle;
	__u64 sectors;		/* of the workload */
	__u64 disk_sectors;
	__u32 *place;		/* of each of the disk's sectors, or NOWHERE */

	__u32 *stable;		/* contents on stable storage */
	__u64 *since;		/* the request that brought them there */
	__u32 *flush;		/* how many flushes had been before that */
	__u32 flushes;		/* that were done */

	__u64 *came;		/* the flushes: when each request was made, or 0 */
	__u64 nr_came;

	struct cached *cache;	/* in the order in which they came */
	__u64 count;
	__u64 size;

	__u32 *changes;		/* sectors whose stable content is new */
	__u64 nr_changes;	/* whoever has seen to them sets this to 0 */
	bool *changed;		/* and this to false for each of them */
	__u32 *fresh;		/* put there by the last flush, or by FUA since then */
	__u64 nr_fresh;
};

#define NOWHERE	(~0U)

/**
 * model_new() - a disk of zeros
 * @oracle: reads the stamps
 * @extents: a file that says where the workload's sectors are, as by extents.c
 */
struct model *model_new(const struct oracle *oracle, const char *extents);

/**
 * model_feed() - what happened next at the disk
 * @model: the model
 * @record: from the log; the data follows it
 *
 * Return: whether that can have changed what is found after a power cut.
 */
bool model_feed(struct model *model, const struct disk_record *record);

/* Is a sector of a cached write still to be seen if that write is stored? */
static inline bool model_visible(const struct model *model, const struct cached *c, __u32 i)
{
	return model->since[c->lbas[i]] < c->request;
}

#endif
