// SPDX-License-Identifier: GPL-2.0
/*
 * Who waits at a gate, and for how long.
 */
#include <kunit/test.h>

#include "gate.h"

/* Returns how many have waited, who must be in the order of their addresses. */
static unsigned int open_gate(struct kunit *test, struct vinteg_gate *gate)
{
	struct list_head *entry, *last = NULL;
	unsigned int count = 0;
	LIST_HEAD(held);

	vinteg_gate_open(gate, &held);
	list_for_each(entry, &held) {
		KUNIT_EXPECT_TRUE(test, entry > last);
		last = entry;
		count++;
	}
	return count;
}

static void gate_holds(struct kunit *test)
{
	struct vinteg_gate gate;
	struct list_head entries[3];

	vinteg_gate_init(&gate);
	KUNIT_EXPECT_FALSE(test, vinteg_gate_wait(&gate, &entries[0]));
	KUNIT_EXPECT_EQ(test, open_gate(test, &gate), 0);

	vinteg_gate_shut(&gate, 512);
	KUNIT_EXPECT_TRUE(test, vinteg_gate_wait(&gate, &entries[0]));
	vinteg_gate_shut(&gate, 512);
	KUNIT_EXPECT_TRUE(test, vinteg_gate_wait(&gate, &entries[1]));
	KUNIT_EXPECT_TRUE(test, vinteg_gate_wait(&gate, &entries[2]));
	KUNIT_EXPECT_EQ(test, open_gate(test, &gate), 3);

	KUNIT_EXPECT_FALSE(test, vinteg_gate_wait(&gate, &entries[0]));
	KUNIT_EXPECT_EQ(test, open_gate(test, &gate), 0);
}

/* Neither many writes nor a large one is more to wait for than any other. */
static void gate_counts_bytes(struct kunit *test)
{
	const unsigned int writes = VINTEG_GATE_BYTES / SZ_4K;
	struct vinteg_gate gate;
	unsigned int i;

	vinteg_gate_init(&gate);
	KUNIT_EXPECT_FALSE(test, vinteg_gate_due(&gate));
	for (i = 1; i <= 3 * writes; i++) {
		vinteg_gate_shut(&gate, SZ_4K);
		/* Not for the time that it takes. */
		gate.since = jiffies + HZ;
		KUNIT_EXPECT_EQ(test, vinteg_gate_due(&gate), i % writes == 0);
		if (i % writes == 0)
			open_gate(test, &gate);
	}

	vinteg_gate_shut(&gate, SZ_4M);
	KUNIT_EXPECT_TRUE(test, vinteg_gate_due(&gate));
	open_gate(test, &gate);
	KUNIT_EXPECT_FALSE(test, vinteg_gate_due(&gate));
}

static void gate_counts_time(struct kunit *test)
{
	struct vinteg_gate gate;

	vinteg_gate_init(&gate);
	vinteg_gate_shut(&gate, 512);
	gate.since--;
	KUNIT_EXPECT_TRUE(test, vinteg_gate_due(&gate));
	/* It has been shut all the time. */
	vinteg_gate_shut(&gate, 512);
	KUNIT_EXPECT_TRUE(test, vinteg_gate_due(&gate));
	open_gate(test, &gate);
	KUNIT_EXPECT_FALSE(test, vinteg_gate_due(&gate));
}

static struct kunit_case gate_cases[] = {
	KUNIT_CASE(gate_holds),
	KUNIT_CASE(gate_counts_bytes),
	KUNIT_CASE(gate_counts_time),
	{}
};

static struct kunit_suite gate_suite = {
	.name		= "vinteg_gate",
	.test_cases	= gate_cases,
};

kunit_test_suite(gate_suite);
