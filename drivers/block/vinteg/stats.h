/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VINTEG_STATS_H
#define VINTEG_STATS_H

#include <linux/percpu.h>
#include <linux/types.h>

enum vinteg_stat {
	VINTEG_STAT_READS,
	VINTEG_STAT_WRITES,
	VINTEG_STAT_FLUSHES,
	VINTEG_STAT_FUA_WRITES,
	VINTEG_STAT_DISCARDS,
	VINTEG_STAT_WRITE_ZEROES,
	VINTEG_STAT_BACKING_SYNCS,
	VINTEG_STAT_DSYNC_WRITES,
	VINTEG_STAT_DIRECT_WRITES,
	VINTEG_STAT_BUFFERED_WRITES,
	VINTEG_STAT_DIRECT_FALLBACKS,
	VINTEG_STAT_IGNORED_FLUSHES,
	VINTEG_STAT_ERRORS,
	VINTEG_NR_STATS,
};

struct vinteg_stats {
	u64 count[VINTEG_NR_STATS];
};

struct attribute_group;
extern const struct attribute_group vinteg_stats_group;

/* Any context: this_cpu_inc() is safe against interrupts. */
#define vinteg_count(dev, what) this_cpu_inc((dev)->stats->count[what])

u64 vinteg_stats_read(struct vinteg_stats __percpu *stats,
		      enum vinteg_stat what);
void vinteg_stats_clear(struct vinteg_stats __percpu *stats);

#endif /* VINTEG_STATS_H */
