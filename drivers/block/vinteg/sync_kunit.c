// SPDX-License-Identifier: GPL-2.0
/*
 * Who is served by which sync, who is told of its error, and what sticks.
 *
 * The file is one that does nothing but say when it is synced, and how that
 * ends is up to the test.
 */
#include <kunit/test.h>
#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/pagemap.h>
#include <linux/string.h>

#include "vinteg.h"

#define NR_WAITERS	8
#define NR_SYNCS	16
#define PATIENCE	(10 * HZ)

struct sync_test;

/* One who asked for a sync, and what he was told. */
struct test_waiter {
	struct vinteg_sync_waiter waiter;
	struct sync_test *owner;
	unsigned int told;	/* how often */
	unsigned int syncs;	/* how many there had been by then */
	int error;
	struct completion done;
};

struct sync_test {
	struct vinteg dev;
	struct vinteg_backing backing;
	struct gendisk disk;
	struct test_waiter w[NR_WAITERS];
	/* Of the file. */
	struct {
		loff_t start, end;
	} sync[NR_SYNCS];
	unsigned int syncs;
	int error;		/* of the next sync */
	bool hold;		/* the next sync waits for @release */
	struct completion held, release;
};

static int test_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct sync_test *t = file->private_data;
	int error = t->error;

	if (t->syncs < NR_SYNCS) {
		t->sync[t->syncs].start = start;
		t->sync[t->syncs].end = end;
	}
	t->syncs++;
	t->error = 0;
	if (t->hold) {
		t->hold = false;
		complete(&t->held);
		wait_for_completion(&t->release);
	}
	return datasync ? error : -EINVAL;
}

static const struct file_operations test_fops = {
	.owner	= THIS_MODULE,
	.fsync	= test_fsync,
};

static void test_told(struct vinteg_sync_waiter *waiter, int error)
{
	struct test_waiter *w = container_of(waiter, struct test_waiter, waiter);

	w->told++;
	w->error = error;
	w->syncs = w->owner->syncs;
	complete(&w->done);
}

static void ask_for(struct sync_test *t, int i,
		    const struct vinteg_sync_waiter waiter)
{
	struct test_waiter *w = &t->w[i];

	*w = (struct test_waiter) { .waiter = waiter, .owner = t };
	w->waiter.done = test_told;
	init_completion(&w->done);
	vinteg_sync_add(&t->dev, &w->waiter);
}

static void ask(struct sync_test *t, int i, loff_t start, loff_t end)
{
	ask_for(t, i, (struct vinteg_sync_waiter) { .start = start, .end = end });
}

static void ask_to_forgive(struct sync_test *t, int i, unsigned int failures)
{
	ask_for(t, i, (struct vinteg_sync_waiter) {
		.forgive = true, .failures = failures });
}

static void ask_settled(struct sync_test *t, int i)
{
	ask_for(t, i, (struct vinteg_sync_waiter) { .settled = true });
}

static int granted;

static void test_granted(struct vinteg_range *range)
{
	granted++;
}

/* Asks for a sync by waiter 0 that runs until let_go(). */
static void hold_a_sync(struct kunit *test, int error)
{
	struct sync_test *t = test->priv;

	t->hold = true;
	t->error = error;
	reinit_completion(&t->held);
	reinit_completion(&t->release);
	ask(t, 0, 0, LLONG_MAX);
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&t->held, PATIENCE),
			0);
}

static void let_go(struct sync_test *t)
{
	complete(&t->release);
}

static void expect_told(struct kunit *test, int i, int error)
{
	struct sync_test *t = test->priv;
	struct test_waiter *w = &t->w[i];

	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&w->done, PATIENCE),
			0);
	KUNIT_EXPECT_EQ(test, w->told, 1);
	KUNIT_EXPECT_EQ(test, w->error, error);
}

static void expect_sync(struct kunit *test, int i, loff_t start, loff_t end)
{
	struct sync_test *t = test->priv;

	KUNIT_ASSERT_GT(test, t->syncs, i);
	KUNIT_EXPECT_EQ(test, t->sync[i].start, start);
	KUNIT_EXPECT_EQ(test, t->sync[i].end, end);
}

static int sync_test_init(struct kunit *test)
{
	struct sync_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct file *file;

	if (!t)
		return -ENOMEM;
	init_completion(&t->held);
	init_completion(&t->release);
	strscpy(t->disk.disk_name, "vinteg-kunit");
	vinteg_range_init(&t->dev.ranges);
	vinteg_sync_init(&t->dev);
	t->dev.disk = &t->disk;
	t->dev.backing = &t->backing;
	t->dev.stats = alloc_percpu(struct vinteg_stats);
	if (!t->dev.stats)
		return -ENOMEM;
	file = anon_inode_getfile("vinteg-kunit", &test_fops, t, O_RDWR);
	if (IS_ERR(file))
		goto out_stats;
	t->backing.io = file;
	t->backing.sync = file;
	t->backing.mapping = file->f_mapping;
	t->backing.wb_since = filemap_sample_wb_err(file->f_mapping);
	t->dev.sync_wq = alloc_workqueue("vinteg-kunit", WQ_UNBOUND, 1);
	if (!t->dev.sync_wq)
		goto out_file;
	t->dev.flush_wq = t->dev.sync_wq;
	test->priv = t;
	return 0;

out_file:
	fput(file);
out_stats:
	free_percpu(t->dev.stats);
	return -ENOMEM;
}

static void sync_test_exit(struct kunit *test)
{
	struct sync_test *t = test->priv;

	if (!t)
		return;
	/* A test that gave up must not leave a worker that waits. */
	complete_all(&t->release);
	destroy_workqueue(t->dev.sync_wq);
	/* At once: nothing of this module may be called later. */
	vinteg_fput_sync(t->backing.io);
	free_percpu(t->dev.stats);
}

static void sync_one(struct kunit *test)
{
	struct sync_test *t = test->priv;

	ask(t, 0, 4096, 8191);
	expect_told(test, 0, 0);
	KUNIT_EXPECT_EQ(test, t->syncs, 1);
	expect_sync(test, 0, 4096, 8191);
	KUNIT_EXPECT_EQ(test, vinteg_sync_all(&t->dev), 0);
	KUNIT_EXPECT_EQ(test, t->syncs, 2);
	expect_sync(test, 1, 0, LLONG_MAX);
	KUNIT_EXPECT_EQ(test, vinteg_stats_read(t->dev.stats, VINTEG_STAT_BACKING_SYNCS), 2);
}

/* Who comes during a sync is not served by it, but all of them by the next. */
static void sync_shared(struct kunit *test)
{
	struct sync_test *t = test->priv;
	int i;

	hold_a_sync(test, 0);
	for (i = 1; i < NR_WAITERS; i++)
		ask(t, i, 0, LLONG_MAX);
	KUNIT_EXPECT_EQ(test, t->syncs, 1);
	for (i = 0; i < NR_WAITERS; i++)
		KUNIT_EXPECT_EQ(test, t->w[i].told, 0);
	let_go(t);
	for (i = 0; i < NR_WAITERS; i++) {
		expect_told(test, i, 0);
		KUNIT_EXPECT_EQ(test, t->w[i].syncs, i ? 2 : 1);
	}
	KUNIT_EXPECT_EQ(test, t->syncs, 2);
	KUNIT_EXPECT_EQ(test, vinteg_stats_read(t->dev.stats, VINTEG_STAT_BACKING_SYNCS), 2);
}

/* One FLUSH among durable writes makes it a sync of all. */
static void sync_shared_with_flush(struct kunit *test)
{
	struct sync_test *t = test->priv;
	int i;

	hold_a_sync(test, 0);
	ask(t, 1, 4096, 8191);
	ask(t, 2, 0, LLONG_MAX);
	ask(t, 3, 12288, 16383);
	let_go(t);
	for (i = 1; i <= 3; i++)
		expect_told(test, i, 0);
	KUNIT_EXPECT_EQ(test, t->syncs, 2);
	expect_sync(test, 1, 0, LLONG_MAX);
}

static void sync_three_ranges(struct kunit *test, unsigned long unsynced)
{
	struct sync_test *t = test->priv;
	int i;

	hold_a_sync(test, 0);
	t->dev.flags = unsynced;
	for (i = 1; i <= 3; i++)
		ask(t, i, i * 8192, i * 8192 + 4095);
	let_go(t);
	for (i = 0; i <= 3; i++)
		expect_told(test, i, 0);
}

/* Where a sync of a range covers no more than that, each gets its own. */
static void sync_ranges_apart(struct kunit *test)
{
	struct sync_test *t = test->priv;
	int i;

	sync_three_ranges(test, 0);
	KUNIT_EXPECT_EQ(test, t->syncs, 4);
	for (i = 1; i <= 3; i++)
		expect_sync(test, i, i * 8192, i * 8192 + 4095);
}

/* Where it covers what has been written back, one does for all. */
static void sync_ranges_at_once(struct kunit *test)
{
	struct sync_test *t = test->priv;

	t->backing.one_sync = true;
	sync_three_ranges(test, 0);
	expect_sync(test, 1, 8192, 3 * 8192 + 4095);
	sync_three_ranges(test, BIT(VINTEG_UNSYNCED));
	expect_sync(test, 3, 8192, 8192 + 4095);
	KUNIT_EXPECT_EQ(test, t->syncs, 4);
}

/* All who are served by a sync that fails are told, and nobody else. */
static void sync_error(struct kunit *test)
{
	struct sync_test *t = test->priv;

	hold_a_sync(test, -ENOSPC);
	ask(t, 1, 4096, 8191);
	ask(t, 2, 8192, 12287);
	let_go(t);
	expect_told(test, 0, -ENOSPC);
	expect_told(test, 1, 0);
	expect_told(test, 2, 0);
	KUNIT_EXPECT_EQ(test, t->dev.error, -ENOSPC);
	KUNIT_EXPECT_EQ(test, t->dev.failures, 1);

	hold_a_sync(test, 0);
	t->error = -EIO;
	ask(t, 1, 4096, 8191);
	ask(t, 2, 8192, 12287);
	let_go(t);
	expect_told(test, 0, 0);
	/* The first of two ranges fails; the second may still be lost. */
	expect_told(test, 1, -EIO);
	expect_told(test, 2, -EIO);
	/* The first one is kept. */
	KUNIT_EXPECT_EQ(test, t->dev.error, -ENOSPC);
	KUNIT_EXPECT_EQ(test, t->dev.failures, 2);
}

/* Lost writeback that somebody else was told of. */
static void sync_error_of_others(struct kunit *test)
{
	struct sync_test *t = test->priv;

	mapping_set_error(t->backing.mapping, -EIO);
	KUNIT_EXPECT_EQ(test, file_check_and_advance_wb_err(t->backing.sync), -EIO);
	ask(t, 0, 0, LLONG_MAX);
	expect_told(test, 0, -EIO);
	KUNIT_EXPECT_EQ(test, t->dev.error, -EIO);
	ask_to_forgive(t, 1, t->dev.failures);
	expect_told(test, 1, 0);
	ask(t, 0, 0, LLONG_MAX);
	expect_told(test, 0, 0);
	KUNIT_EXPECT_EQ(test, t->dev.error, 0);
}

static void sync_of_a_file_that_is_only_read(struct kunit *test)
{
	struct sync_test *t = test->priv;

	t->backing.read_only = true;
	t->error = -EIO;
	ask(t, 0, 0, LLONG_MAX);
	expect_told(test, 0, 0);
	KUNIT_EXPECT_EQ(test, t->syncs, 0);
}

/* Not beside a sync, or its error would be forgiven before it is known. */
static void sync_forgive_waits(struct kunit *test)
{
	struct sync_test *t = test->priv;

	vinteg_fail_durability(&t->dev, -EIO, "test");
	hold_a_sync(test, -ENOSPC);
	ask_to_forgive(t, 1, t->dev.failures);
	KUNIT_EXPECT_EQ(test, t->w[1].told, 0);
	let_go(t);
	expect_told(test, 0, -ENOSPC);
	/* The operator can't have meant the second. */
	expect_told(test, 1, -EBUSY);
	KUNIT_EXPECT_EQ(test, t->dev.error, -EIO);
	KUNIT_EXPECT_EQ(test, t->dev.pardons, 0);

	ask_to_forgive(t, 1, t->dev.failures);
	expect_told(test, 1, 0);
	KUNIT_EXPECT_EQ(test, t->dev.error, 0);
	KUNIT_EXPECT_EQ(test, t->dev.pardons, 1);
	/* Nothing to forgive is no pardon. */
	ask_to_forgive(t, 1, t->dev.failures);
	expect_told(test, 1, 0);
	KUNIT_EXPECT_EQ(test, t->dev.pardons, 1);
}

/* Nothing to sync for him, but he hears of the one that was under way. */
static void sync_settled(struct kunit *test)
{
	struct sync_test *t = test->priv;

	ask_settled(t, 0);
	expect_told(test, 0, 0);
	KUNIT_EXPECT_EQ(test, t->syncs, 0);

	hold_a_sync(test, -EIO);
	ask_settled(t, 1);
	KUNIT_EXPECT_EQ(test, t->w[1].told, 0);
	let_go(t);
	expect_told(test, 0, -EIO);
	expect_told(test, 1, 0);
	KUNIT_EXPECT_EQ(test, t->syncs, 1);
	KUNIT_EXPECT_EQ(test, t->dev.error, -EIO);

	/* Among others he shares what they are told. */
	hold_a_sync(test, 0);
	ask_settled(t, 1);
	t->error = -ENOSPC;
	ask(t, 2, 0, LLONG_MAX);
	let_go(t);
	expect_told(test, 1, -ENOSPC);
	expect_told(test, 2, -ENOSPC);
	KUNIT_EXPECT_EQ(test, t->syncs, 3);
}

/* Of a durable write that may have flushed the disk's cache. */
static void sync_native_in_doubt(struct kunit *test)
{
	struct sync_test *t = test->priv;

	hold_a_sync(test, 0);
	KUNIT_EXPECT_FALSE(test, vinteg_native_in_doubt(&t->dev));
	t->backing.native_flushes = true;
	KUNIT_EXPECT_TRUE(test, vinteg_native_in_doubt(&t->dev));
	let_go(t);
	expect_told(test, 0, 0);
	KUNIT_EXPECT_FALSE(test, vinteg_native_in_doubt(&t->dev));

	atomic_inc(&t->dev.syncer.nr_natives);
	KUNIT_EXPECT_TRUE(test, vinteg_native_in_doubt(&t->dev));
	atomic_dec(&t->dev.syncer.nr_natives);
	KUNIT_EXPECT_FALSE(test, vinteg_native_in_doubt(&t->dev));
}

/* Where a sync and direct writes must not meet, each waits for the other. */
static void sync_alone(struct kunit *test)
{
	struct sync_test *t = test->priv;
	struct vinteg_range write = {
		.start	 = 4096,
		.last	 = 8191,
		.kind	 = VINTEG_RANGE_DIRECT,
		.granted = test_granted,
	};

	t->backing.syncs_alone = true;
	KUNIT_EXPECT_TRUE(test, vinteg_range_lock(&t->dev.ranges, &write));
	ask(t, 0, 0, LLONG_MAX);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&t->w[0].done,
							  HZ / 5), 0);
	KUNIT_EXPECT_EQ(test, t->syncs, 0);
	vinteg_range_unlock(&t->dev.ranges, &write);
	expect_told(test, 0, 0);

	hold_a_sync(test, 0);
	granted = 0;
	KUNIT_EXPECT_FALSE(test, vinteg_range_lock(&t->dev.ranges, &write));
	KUNIT_EXPECT_EQ(test, granted, 0);
	let_go(t);
	expect_told(test, 0, 0);
	KUNIT_EXPECT_EQ(test, granted, 1);
	vinteg_range_unlock(&t->dev.ranges, &write);
}

/* Forgiving is no sync, and keeps nobody from his. */
static void sync_forgive_among_others(struct kunit *test)
{
	struct sync_test *t = test->priv;

	hold_a_sync(test, 0);
	ask(t, 1, 4096, 8191);
	ask_to_forgive(t, 2, 0);
	ask(t, 3, 4096, 8191);
	let_go(t);
	expect_told(test, 1, 0);
	expect_told(test, 2, 0);
	expect_told(test, 3, 0);
	KUNIT_EXPECT_EQ(test, t->w[2].syncs, 1);
	KUNIT_EXPECT_EQ(test, t->syncs, 3);
}

static struct kunit_case sync_cases[] = {
	KUNIT_CASE(sync_one),
	KUNIT_CASE(sync_shared),
	KUNIT_CASE(sync_shared_with_flush),
	KUNIT_CASE(sync_ranges_apart),
	KUNIT_CASE(sync_ranges_at_once),
	KUNIT_CASE(sync_error),
	KUNIT_CASE(sync_error_of_others),
	KUNIT_CASE(sync_of_a_file_that_is_only_read),
	KUNIT_CASE(sync_settled),
	KUNIT_CASE(sync_native_in_doubt),
	KUNIT_CASE(sync_alone),
	KUNIT_CASE(sync_forgive_waits),
	KUNIT_CASE(sync_forgive_among_others),
	{}
};

static struct kunit_suite sync_suite = {
	.name		= "vinteg_sync",
	.init		= sync_test_init,
	.exit		= sync_test_exit,
	.test_cases	= sync_cases,
};

kunit_test_suite(sync_suite);
