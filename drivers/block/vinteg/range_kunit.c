// SPDX-License-Identifier: GPL-2.0
/*
 * Which writes exclude each other, who goes first, and who is called back.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/string.h>

#include "vinteg.h"

#define NR_RANGES	32
#define UNIT		4096

/* A range with its story: who got it, and when. */
struct test_range {
	struct vinteg_range range;
	struct range_test *owner;
	unsigned int granted;	/* how often it was */
	unsigned int order;	/* when it was, counted from 1 */
	bool unlock_at_once;
};

struct range_test {
	struct vinteg_range_lock lock;
	struct test_range r[NR_RANGES];
	unsigned int order;
};

static void note_granted(struct test_range *r)
{
	r->granted++;
	r->order = ++r->owner->order;
}

static void test_granted(struct vinteg_range *range)
{
	struct test_range *r = container_of(range, struct test_range, range);

	note_granted(r);
	if (r->unlock_at_once)
		vinteg_range_unlock(&r->owner->lock, range);
}

/* Takes units @first to @last; returns true if that was possible at once. */
static bool take(struct range_test *t, int i, enum vinteg_range_kind kind,
		 unsigned int first, unsigned int last)
{
	struct test_range *r = &t->r[i];

	memset(r, 0, sizeof(*r));
	r->owner = t;
	r->range.kind = kind;
	r->range.start = (loff_t)first * UNIT;
	r->range.last = (loff_t)(last + 1) * UNIT - 1;
	r->range.granted = test_granted;
	if (!vinteg_range_lock(&t->lock, &r->range))
		return false;
	note_granted(r);
	return true;
}

static void give(struct range_test *t, int i)
{
	vinteg_range_unlock(&t->lock, &t->r[i].range);
}

static bool held(struct range_test *t, int i)
{
	return t->r[i].granted;
}

static int range_test_init(struct kunit *test)
{
	struct range_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	vinteg_range_init(&t->lock);
	test->priv = t;
	return 0;
}

struct kind_pair {
	const char *desc;
	enum vinteg_range_kind a;
	enum vinteg_range_kind b;
	bool together;
};

static const struct kind_pair kind_pairs[] = {
	{ "direct, direct", VINTEG_RANGE_DIRECT, VINTEG_RANGE_DIRECT, true },
	{ "direct, cached", VINTEG_RANGE_DIRECT, VINTEG_RANGE_CACHED, false },
	{ "direct, alone",  VINTEG_RANGE_DIRECT, VINTEG_RANGE_ALONE,  false },
	{ "cached, direct", VINTEG_RANGE_CACHED, VINTEG_RANGE_DIRECT, false },
	{ "cached, cached", VINTEG_RANGE_CACHED, VINTEG_RANGE_CACHED, true },
	{ "cached, alone",  VINTEG_RANGE_CACHED, VINTEG_RANGE_ALONE,  false },
	{ "alone, direct",  VINTEG_RANGE_ALONE,  VINTEG_RANGE_DIRECT, false },
	{ "alone, cached",  VINTEG_RANGE_ALONE,  VINTEG_RANGE_CACHED, false },
	{ "alone, alone",   VINTEG_RANGE_ALONE,  VINTEG_RANGE_ALONE,  false },
};

static void kind_pair_desc(const struct kind_pair *pair, char *desc)
{
	strscpy(desc, pair->desc, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(kind_pair, kind_pairs, kind_pair_desc);

static void range_kinds(struct kunit *test)
{
	/* Each overlaps units 4 to 7 in another way. */
	static const unsigned int overlapping[][2] = {
		{ 4, 7 }, { 5, 6 }, { 2, 9 }, { 0, 4 }, { 7, 9 }, { 4, 4 },
	};
	static const unsigned int apart[][2] = { { 0, 3 }, { 8, 9 } };
	const struct kind_pair *pair = test->param_value;
	struct range_test *t = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(overlapping); i++) {
		KUNIT_ASSERT_TRUE(test, take(t, 0, pair->a, 4, 7));
		KUNIT_ASSERT_EQ_MSG(test, pair->together,
				    take(t, 1, pair->b, overlapping[i][0],
					 overlapping[i][1]),
				    "units 4 to 7 are held, %u to %u wanted",
				    overlapping[i][0], overlapping[i][1]);
		give(t, 0);
		KUNIT_ASSERT_EQ(test, t->r[1].granted, 1U);
		give(t, 1);
	}
	for (i = 0; i < ARRAY_SIZE(apart); i++) {
		KUNIT_ASSERT_TRUE(test, take(t, 0, pair->a, 4, 7));
		KUNIT_ASSERT_TRUE(test, take(t, 1, pair->b, apart[i][0],
					     apart[i][1]));
		give(t, 1);
		give(t, 0);
	}
}

static void range_no_overtaking(struct kunit *test)
{
	struct range_test *t = test->priv;

	KUNIT_ASSERT_TRUE(test, take(t, 0, VINTEG_RANGE_DIRECT, 0, 0));
	KUNIT_ASSERT_FALSE(test, take(t, 1, VINTEG_RANGE_CACHED, 0, 3));
	/* Would fit with the one held, but one is waiting before it. */
	KUNIT_EXPECT_FALSE(test, take(t, 2, VINTEG_RANGE_DIRECT, 0, 0));
	/* Overlaps only the one who waits. */
	KUNIT_EXPECT_FALSE(test, take(t, 3, VINTEG_RANGE_DIRECT, 3, 3));
	/* Goes with the one who waits, but not with the one held. */
	KUNIT_EXPECT_FALSE(test, take(t, 4, VINTEG_RANGE_CACHED, 0, 0));
	/* In nobody's way: must not wait. */
	KUNIT_EXPECT_TRUE(test, take(t, 5, VINTEG_RANGE_ALONE, 4, 4));
	/* Overlaps only the one who waits, and goes with it. */
	KUNIT_EXPECT_FALSE(test, take(t, 6, VINTEG_RANGE_CACHED, 3, 4));

	give(t, 0);
	KUNIT_EXPECT_TRUE(test, held(t, 1));
	KUNIT_EXPECT_FALSE(test, held(t, 2));
	KUNIT_EXPECT_FALSE(test, held(t, 3));
	/* Not before 2, which came first and is not compatible. */
	KUNIT_EXPECT_FALSE(test, held(t, 4));
	KUNIT_EXPECT_FALSE(test, held(t, 6));

	give(t, 5);
	/* Now only 3, which came first, is in its way. */
	KUNIT_EXPECT_FALSE(test, held(t, 6));
	give(t, 1);
	KUNIT_EXPECT_TRUE(test, held(t, 2));
	KUNIT_EXPECT_TRUE(test, held(t, 3));
	KUNIT_EXPECT_FALSE(test, held(t, 4));
	KUNIT_EXPECT_FALSE(test, held(t, 6));
	give(t, 3);
	KUNIT_EXPECT_TRUE(test, held(t, 6));
	KUNIT_EXPECT_FALSE(test, held(t, 4));
	give(t, 2);
	KUNIT_EXPECT_TRUE(test, held(t, 4));
	give(t, 4);
	give(t, 6);
}

static void range_grants_in_order(struct kunit *test)
{
	struct range_test *t = test->priv;
	int i;

	KUNIT_ASSERT_TRUE(test, take(t, 0, VINTEG_RANGE_ALONE, 0, 9));
	for (i = 1; i <= 5; i++)
		KUNIT_ASSERT_FALSE(test, take(t, i, VINTEG_RANGE_CACHED, i, i));
	KUNIT_ASSERT_FALSE(test, take(t, 6, VINTEG_RANGE_DIRECT, 1, 5));
	KUNIT_ASSERT_FALSE(test, take(t, 7, VINTEG_RANGE_ALONE, 9, 9));

	give(t, 0);
	/* All that fit are granted by the one unlock, first come first. */
	for (i = 1; i <= 5; i++)
		KUNIT_EXPECT_EQ(test, t->r[i].order, i + 1U);
	KUNIT_EXPECT_FALSE(test, held(t, 6));
	KUNIT_EXPECT_TRUE(test, held(t, 7));

	/* The last of those in its way lets it go, not the first. */
	for (i = 1; i <= 5; i++) {
		KUNIT_EXPECT_FALSE(test, held(t, 6));
		give(t, i);
	}
	KUNIT_EXPECT_TRUE(test, held(t, 6));
	give(t, 6);
	give(t, 7);
	for (i = 0; i <= 7; i++)
		KUNIT_EXPECT_EQ(test, t->r[i].granted, 1U);
}

static void range_unlock_in_callback(struct kunit *test)
{
	struct range_test *t = test->priv;
	int i;

	/* Would deadlock if the callback ran with the lock held. */
	KUNIT_ASSERT_TRUE(test, take(t, 0, VINTEG_RANGE_ALONE, 0, 0));
	for (i = 1; i < NR_RANGES; i++) {
		KUNIT_ASSERT_FALSE(test, take(t, i, VINTEG_RANGE_ALONE, 0, 0));
		t->r[i].unlock_at_once = true;
	}
	give(t, 0);
	for (i = 1; i < NR_RANGES; i++) {
		KUNIT_EXPECT_EQ(test, t->r[i].granted, 1U);
		KUNIT_EXPECT_EQ(test, t->r[i].order, i + 1U);
	}
	KUNIT_EXPECT_TRUE(test, take(t, 0, VINTEG_RANGE_ALONE, 0, 0));
	give(t, 0);
}

/* Independent of the implementation: unit by unit, kind by kind. */
static bool must_exclude(const struct test_range *a, const struct test_range *b)
{
	loff_t unit;

	if (a->range.kind == b->range.kind &&
	    a->range.kind != VINTEG_RANGE_ALONE)
		return false;
	for (unit = a->range.start; unit < a->range.last; unit += UNIT)
		if (unit >= b->range.start && unit < b->range.last)
			return true;
	return false;
}

struct model {
	/* Sequence number of each range in use, 0 for one that is free. */
	unsigned int arrived[NR_RANGES];
	unsigned int next;
};

/* Held exactly if nobody who came earlier and is still there excludes it. */
static void expect_model(struct kunit *test, struct range_test *t,
			 struct model *m)
{
	int i, j;

	for (i = 0; i < NR_RANGES; i++) {
		bool blocked = false;

		if (!m->arrived[i])
			continue;
		for (j = 0; j < NR_RANGES; j++)
			if (m->arrived[j] && m->arrived[j] < m->arrived[i] &&
			    must_exclude(&t->r[i], &t->r[j]))
				blocked = true;
		KUNIT_ASSERT_EQ_MSG(test, !blocked, held(t, i),
				    "range %d after %u arrivals", i, m->next);
		KUNIT_ASSERT_LE(test, t->r[i].granted, 1U);
	}
}

static void range_random(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	struct range_test *t = test->priv;
	struct rnd_state rnd;
	int step, i;

	KUNIT_ASSERT_NOT_NULL(test, m);
	prandom_seed_state(&rnd, 20081009);
	for (step = 0; step < 5000; step++) {
		unsigned int first = prandom_u32_state(&rnd) % 24;
		unsigned int len = prandom_u32_state(&rnd) % 6;
		unsigned int kind = prandom_u32_state(&rnd) % 3;

		i = prandom_u32_state(&rnd) % NR_RANGES;
		if (!m->arrived[i]) {
			take(t, i, kind, first, first + len);
			m->arrived[i] = ++m->next;
		} else if (held(t, i)) {
			give(t, i);
			m->arrived[i] = 0;
		}
		expect_model(test, t, m);
	}
	/* Nobody is forgotten: whoever is left gets it as the others leave. */
	for (step = 0; step < NR_RANGES; step++)
		for (i = 0; i < NR_RANGES; i++)
			if (m->arrived[i] && held(t, i)) {
				give(t, i);
				m->arrived[i] = 0;
			}
	for (i = 0; i < NR_RANGES; i++)
		KUNIT_EXPECT_EQ(test, m->arrived[i], 0U);
}

#define NR_THREADS	4
#define NR_ROUNDS	250
#define NR_UNITS	8

struct race {
	struct vinteg_range_lock lock;
	/* Writers of each kind in each unit. */
	atomic_t inside[NR_UNITS][3];
	atomic_t violations;
	atomic_t forgotten;
};

struct racer {
	struct race *race;
	struct vinteg_range range;
	struct completion granted;
	struct completion finished;
	u32 seed;
};

static void racer_granted(struct vinteg_range *range)
{
	complete(&container_of(range, struct racer, range)->granted);
}

static void racer_enter(struct racer *r)
{
	loff_t unit;
	int kind;

	for (unit = r->range.start / UNIT; unit <= r->range.last / UNIT; unit++) {
		atomic_t *inside = r->race->inside[unit];
		int me = atomic_inc_return(&inside[r->range.kind]);

		for (kind = 0; kind < 3; kind++)
			if (kind != r->range.kind && atomic_read(&inside[kind]))
				atomic_inc(&r->race->violations);
		if (r->range.kind == VINTEG_RANGE_ALONE && me != 1)
			atomic_inc(&r->race->violations);
	}
}

static void racer_leave(struct racer *r)
{
	loff_t unit;

	for (unit = r->range.start / UNIT; unit <= r->range.last / UNIT; unit++)
		atomic_dec(&r->race->inside[unit][r->range.kind]);
}

static int racer_run(void *arg)
{
	struct racer *r = arg;
	struct rnd_state rnd;
	int i;

	prandom_seed_state(&rnd, r->seed);
	for (i = 0; i < NR_ROUNDS; i++) {
		unsigned int a = prandom_u32_state(&rnd) % NR_UNITS;
		unsigned int b = prandom_u32_state(&rnd) % NR_UNITS;

		r->range.kind = prandom_u32_state(&rnd) % 3;
		r->range.start = (loff_t)min(a, b) * UNIT;
		r->range.last = (loff_t)(max(a, b) + 1) * UNIT - 1;
		reinit_completion(&r->granted);
		if (!vinteg_range_lock(&r->race->lock, &r->range) &&
		    !wait_for_completion_timeout(&r->granted, 20 * HZ)) {
			atomic_inc(&r->race->forgotten);
			break;
		}
		racer_enter(r);
		cond_resched();
		racer_leave(r);
		vinteg_range_unlock(&r->race->lock, &r->range);
	}
	/* Leaves no code of this module to run. */
	kthread_complete_and_exit(&r->finished, 0);
}

static void range_race(struct kunit *test)
{
	struct racer *racers = kunit_kcalloc(test, NR_THREADS, sizeof(*racers),
					     GFP_KERNEL);
	struct race *race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	int i, started = 0;

	KUNIT_ASSERT_NOT_NULL(test, racers);
	KUNIT_ASSERT_NOT_NULL(test, race);
	vinteg_range_init(&race->lock);
	for (i = 0; i < NR_THREADS; i++) {
		struct racer *r = &racers[i];
		struct task_struct *task;

		r->race = race;
		r->seed = i + 1;
		r->range.granted = racer_granted;
		init_completion(&r->granted);
		init_completion(&r->finished);
		task = kthread_run(racer_run, r, "vinteg-race%d", i);
		if (IS_ERR(task))
			break;
		started++;
	}
	for (i = 0; i < started; i++)
		wait_for_completion(&racers[i].finished);
	KUNIT_EXPECT_EQ(test, started, NR_THREADS);
	KUNIT_EXPECT_EQ(test, atomic_read(&race->violations), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&race->forgotten), 0);
}

static struct kunit_case range_cases[] = {
	KUNIT_CASE_PARAM(range_kinds, kind_pair_gen_params),
	KUNIT_CASE(range_no_overtaking),
	KUNIT_CASE(range_grants_in_order),
	KUNIT_CASE(range_unlock_in_callback),
	KUNIT_CASE(range_random),
	KUNIT_CASE(range_race),
	{}
};

static struct kunit_suite range_suite = {
	.name		= "vinteg_range",
	.init		= range_test_init,
	.test_cases	= range_cases,
};

kunit_test_suite(range_suite);
