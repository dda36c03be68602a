// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/block/vintegN/stats: one number per file.
 */
#include <linux/device.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "vinteg.h"

/**
 * vinteg_stats_read() - sum a counter over all CPUs
 * @stats: counters of a device
 * @what: which one
 *
 * Context: any.
 * Return: the number of events, exact when nothing is in flight.
 */
u64 vinteg_stats_read(struct vinteg_stats __percpu *stats,
		      enum vinteg_stat what)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(stats, cpu)->count[what]);
	return sum;
}

/**
 * vinteg_stats_clear() - set all counters to 0
 * @stats: counters of a device
 *
 * Context: any; nothing may be in flight.
 */
void vinteg_stats_clear(struct vinteg_stats __percpu *stats)
{
	unsigned int what;
	int cpu;

	/* Somebody may read them. */
	for_each_possible_cpu(cpu)
		for (what = 0; what < VINTEG_NR_STATS; what++)
			WRITE_ONCE(per_cpu_ptr(stats, cpu)->count[what], 0);
}

struct vinteg_stat_attr {
	struct device_attribute attr;
	enum vinteg_stat what;
};

static ssize_t vinteg_stat_show(struct device *d, struct device_attribute *attr,
				char *buf)
{
	struct vinteg *dev = dev_to_disk(d)->private_data;
	struct vinteg_stat_attr *stat =
		container_of(attr, struct vinteg_stat_attr, attr);

	return sysfs_emit(buf, "%llu\n",
			  vinteg_stats_read(dev->stats, stat->what));
}

#define VINTEG_STAT_ATTR(_name, _what)					\
	static struct vinteg_stat_attr vinteg_stat_##_name = {		\
		.attr = __ATTR(_name, 0444, vinteg_stat_show, NULL),	\
		.what = _what,						\
	}

VINTEG_STAT_ATTR(reads, VINTEG_STAT_READS);
VINTEG_STAT_ATTR(writes, VINTEG_STAT_WRITES);
VINTEG_STAT_ATTR(flushes, VINTEG_STAT_FLUSHES);
VINTEG_STAT_ATTR(fua_writes, VINTEG_STAT_FUA_WRITES);
VINTEG_STAT_ATTR(discards, VINTEG_STAT_DISCARDS);
VINTEG_STAT_ATTR(write_zeroes, VINTEG_STAT_WRITE_ZEROES);
VINTEG_STAT_ATTR(backing_syncs, VINTEG_STAT_BACKING_SYNCS);
VINTEG_STAT_ATTR(dsync_writes, VINTEG_STAT_DSYNC_WRITES);
VINTEG_STAT_ATTR(direct_writes, VINTEG_STAT_DIRECT_WRITES);
VINTEG_STAT_ATTR(buffered_writes, VINTEG_STAT_BUFFERED_WRITES);
VINTEG_STAT_ATTR(direct_fallbacks, VINTEG_STAT_DIRECT_FALLBACKS);
VINTEG_STAT_ATTR(ignored_flushes, VINTEG_STAT_IGNORED_FLUSHES);
VINTEG_STAT_ATTR(errors, VINTEG_STAT_ERRORS);

static struct attribute *vinteg_stats_attrs[] = {
	&vinteg_stat_reads.attr.attr,
	&vinteg_stat_writes.attr.attr,
	&vinteg_stat_flushes.attr.attr,
	&vinteg_stat_fua_writes.attr.attr,
	&vinteg_stat_discards.attr.attr,
	&vinteg_stat_write_zeroes.attr.attr,
	&vinteg_stat_backing_syncs.attr.attr,
	&vinteg_stat_dsync_writes.attr.attr,
	&vinteg_stat_direct_writes.attr.attr,
	&vinteg_stat_buffered_writes.attr.attr,
	&vinteg_stat_direct_fallbacks.attr.attr,
	&vinteg_stat_ignored_flushes.attr.attr,
	&vinteg_stat_errors.attr.attr,
	NULL
};

const struct attribute_group vinteg_stats_group = {
	.name	= "stats",
	.attrs	= vinteg_stats_attrs,
};
