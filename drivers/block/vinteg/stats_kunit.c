// SPDX-License-Identifier: GPL-2.0
/*
 * Counters add up over the CPUs, and an error gets the status that says it.
 */
#include <kunit/test.h>
#include <linux/string.h>

#include "vinteg.h"

struct stats_test {
	struct vinteg dev;
};

static int stats_test_init(struct kunit *test)
{
	struct stats_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->dev.stats = alloc_percpu(struct vinteg_stats);
	if (!t->dev.stats)
		return -ENOMEM;
	test->priv = t;
	return 0;
}

static void stats_test_exit(struct kunit *test)
{
	struct stats_test *t = test->priv;

	if (t)
		free_percpu(t->dev.stats);
}

/* Each CPU and each counter has its own power of two. */
static void stats_sum(struct kunit *test)
{
	struct stats_test *t = test->priv;
	unsigned int what, n = 0;
	u64 cpus = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		for (what = 0; what < VINTEG_NR_STATS; what++)
			per_cpu_ptr(t->dev.stats, cpu)->count[what] =
				1ULL << (what + (n % 4) * 16);
		cpus += 1ULL << ((n++ % 4) * 16);
	}
	for (what = 0; what < VINTEG_NR_STATS; what++)
		KUNIT_EXPECT_EQ(test, vinteg_stats_read(t->dev.stats, what),
				cpus << what);
	vinteg_stats_clear(t->dev.stats);
	for (what = 0; what < VINTEG_NR_STATS; what++)
		KUNIT_EXPECT_EQ(test, vinteg_stats_read(t->dev.stats, what), 0);
}

/* Also past what 32 bits hold. */
static void stats_count(struct kunit *test)
{
	struct stats_test *t = test->priv;
	int i;

	migrate_disable();
	this_cpu_ptr(t->dev.stats)->count[VINTEG_STAT_WRITES] = U32_MAX;
	for (i = 0; i < 3; i++)
		vinteg_count(&t->dev, VINTEG_STAT_WRITES);
	migrate_enable();
	vinteg_count(&t->dev, VINTEG_STAT_ERRORS);
	KUNIT_EXPECT_EQ(test, vinteg_stats_read(t->dev.stats,
						VINTEG_STAT_WRITES),
			(u64)U32_MAX + 3);
	KUNIT_EXPECT_EQ(test, vinteg_stats_read(t->dev.stats,
						VINTEG_STAT_ERRORS), 1);
	KUNIT_EXPECT_EQ(test, vinteg_stats_read(t->dev.stats,
						VINTEG_STAT_READS), 0);
}

struct status_case {
	int error;
	blk_status_t status;
};

/* What the block layer would retry, or hide, must not come out of a file. */
static const struct status_case status_cases[] = {
	{ 0,		BLK_STS_OK },
	{ -EIO,		BLK_STS_IOERR },
	{ -ENOSPC,	BLK_STS_NOSPC },
	{ -EDQUOT,	BLK_STS_NOSPC },
	{ -EOPNOTSUPP,	BLK_STS_NOTSUPP },
	{ -ENOMEM,	BLK_STS_IOERR },
	{ -EAGAIN,	BLK_STS_IOERR },
	{ -EBUSY,	BLK_STS_IOERR },
	{ -EINTR,	BLK_STS_IOERR },
	{ -EFBIG,	BLK_STS_IOERR },
	{ -EROFS,	BLK_STS_IOERR },
	{ -EPERM,	BLK_STS_IOERR },
	{ -EINVAL,	BLK_STS_INVAL },
	{ -ETIMEDOUT,	BLK_STS_TIMEOUT },
	{ -ENOLINK,	BLK_STS_TRANSPORT },
	{ -ENODATA,	BLK_STS_MEDIUM },
	{ -EILSEQ,	BLK_STS_PROTECTION },
};

static void status_case_desc(const struct status_case *c, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "errno %d", -c->error);
}

KUNIT_ARRAY_PARAM(status_case, status_cases, status_case_desc);

static void status_of_error(struct kunit *test)
{
	const struct status_case *c = test->param_value;

	KUNIT_EXPECT_EQ(test, (__force u32)vinteg_status(c->error),
			(__force u32)c->status);
}

/* Only success is success, and nothing makes the block layer try again. */
static void status_of_any_error(struct kunit *test)
{
	int error;

	for (error = -MAX_ERRNO; error < 0; error++) {
		blk_status_t status = vinteg_status(error);

		KUNIT_EXPECT_NE(test, (__force u32)status,
				(__force u32)BLK_STS_OK);
		KUNIT_EXPECT_NE(test, (__force u32)status,
				(__force u32)BLK_STS_RESOURCE);
		KUNIT_EXPECT_NE(test, (__force u32)status,
				(__force u32)BLK_STS_DEV_RESOURCE);
		KUNIT_EXPECT_NE(test, (__force u32)status,
				(__force u32)BLK_STS_AGAIN);
	}
}

static struct kunit_case stats_cases[] = {
	KUNIT_CASE(stats_sum),
	KUNIT_CASE(stats_count),
	{}
};

static struct kunit_suite stats_suite = {
	.name		= "vinteg_stats",
	.init		= stats_test_init,
	.exit		= stats_test_exit,
	.test_cases	= stats_cases,
};

static struct kunit_case request_cases[] = {
	KUNIT_CASE_PARAM(status_of_error, status_case_gen_params),
	KUNIT_CASE(status_of_any_error),
	{}
};

static struct kunit_suite request_suite = {
	.name		= "vinteg_request",
	.test_cases	= request_cases,
};

kunit_test_suites(&stats_suite, &request_suite);
