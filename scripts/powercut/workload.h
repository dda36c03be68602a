/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the workload share. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdbool.h>

#include "ledger.h"
#include "stamp.h"

#define MAX_SECTORS	2048	/* of one request: 1 MiB */

struct workload {
	const char *device;
	const char *sysfs;	/* /sys/block/X, or NULL */
	struct ledger *ledger;
	__u64 run;
	__u64 seed;
	__u64 sectors;		/* of the disk, as far as it is used */
	__u64 direct_sectors;	/* so many are written past the page cache above */
	unsigned int block;	/* the smallest write, in sectors */
	unsigned int pause;	/* microseconds before each request */
	__u64 seq;		/* last one given out */
	__u64 last_seq;		/* then it is time to stop; 0 is never */
	bool stop;
};

struct random {
	__u64 state;
};

__u64 random_next(struct random *r);
__u64 random_below(struct random *r, __u64 limit);

/* A range to write to: more often small than large, half of them close together. */
struct place {
	__u64 lba;
	unsigned int sectors;
};

struct place place_pick(const struct workload *w, struct random *r, __u64 first, __u64 sectors);

/* The next request's number, or 0: it is time to stop. */
__u64 request_number(struct workload *w);

void *buffer_alloc(void);
void buffer_fill(const struct workload *w, void *buffer, struct place at, __u64 seq);

void log_issue(struct workload *w, __u64 seq, enum ledger_op op, struct place at);
void log_done(struct workload *w, __u64 seq, int error);

/* The writers; each runs until it is time to stop. */
struct writer {
	void *(*run)(void *writer);	/* NULL: stays at home */
	struct workload *w;
	unsigned int number;
	unsigned int depth;	/* requests at a time */
	unsigned int fua;	/* percent of the writes */
	unsigned int flushes;	/* percent of the requests */
};

void *write_direct(void *writer);
void *write_cached(void *writer);
void *write_nothing(void *writer);	/* discards, and zeroes */

/* The operator. */
struct operator {
	struct workload *w;
	char *policies;		/* to switch between, with commas */
	const char *claim;	/* policy to be written down in place of the real one */
	unsigned int every;	/* milliseconds between two of his deeds */
	bool override;		/* plays with queue/write_cache */
	bool clear;		/* clears errors */
};

void *operate(void *op);

#endif
