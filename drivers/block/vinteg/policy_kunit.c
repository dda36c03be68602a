// SPDX-License-Identifier: GPL-2.0
/*
 * The contract of the cache policies, written down a second time: the table
 * below is the one of the admin guide, spelled out for each operation.
 */
#include <kunit/test.h>
#include <linux/string.h>

#include "policy.h"

/*
 * What a request does to the file.  First how the data gets there: "direct",
 * "cached" (page cache), "falloc"; then "+dsync" if it is durable on completion.
 * A FLUSH is "sync", "empty" or "ignore".
 */
struct policy_contract {
	const char *name;
	const char *read;
	/* By issuer: page cache, direct I/O, both merged into one request. */
	const char *write[3];
	const char *fua_write[3];
	const char *discard;
	const char *fua_discard;
	const char *zero;
	const char *fua_zero;
	const char *flush;
};

static const struct policy_contract contracts[] = {
	{
		.name		= "none",
		.read		= "direct",
		.write		= { "direct", "direct", "direct" },
		.fua_write	= { "direct+dsync", "direct+dsync", "direct+dsync" },
		.discard	= "falloc",
		.fua_discard	= "falloc+dsync",
		.zero		= "direct",
		.fua_zero	= "direct+dsync",
		.flush		= "sync",
	},
	{
		.name		= "directsync",
		.read		= "direct",
		.write		= { "direct+dsync", "direct+dsync", "direct+dsync" },
		.fua_write	= { "direct+dsync", "direct+dsync", "direct+dsync" },
		.discard	= "falloc+dsync",
		.fua_discard	= "falloc+dsync",
		.zero		= "direct+dsync",
		.fua_zero	= "direct+dsync",
		.flush		= "empty",
	},
	{
		.name		= "writethrough",
		.read		= "cached",
		.write		= { "cached+dsync", "cached+dsync", "cached+dsync" },
		.fua_write	= { "cached+dsync", "cached+dsync", "cached+dsync" },
		.discard	= "falloc+dsync",
		.fua_discard	= "falloc+dsync",
		.zero		= "cached+dsync",
		.fua_zero	= "cached+dsync",
		.flush		= "empty",
	},
	{
		.name		= "writeback",
		.read		= "cached",
		.write		= { "cached", "cached", "cached" },
		.fua_write	= { "cached+dsync", "cached+dsync", "cached+dsync" },
		.discard	= "falloc",
		.fua_discard	= "falloc+dsync",
		.zero		= "cached",
		.fua_zero	= "cached+dsync",
		.flush		= "sync",
	},
	{
		.name		= "guest",
		.read		= "cached",
		.write		= { "cached", "direct", "cached+dsync" },
		.fua_write	= { "cached+dsync", "direct+dsync", "cached+dsync" },
		.discard	= "falloc",
		.fua_discard	= "falloc+dsync",
		.zero		= "cached",
		.fua_zero	= "cached+dsync",
		.flush		= "sync",
	},
	{
		.name		= "unsafe",
		.read		= "cached",
		.write		= { "cached", "cached", "cached" },
		.fua_write	= { "cached", "cached", "cached" },
		.discard	= "falloc",
		.fua_discard	= "falloc",
		.zero		= "cached",
		.fua_zero	= "cached",
		.flush		= "ignore",
	},
};

/* While queue/write_cache is overridden: nothing volatile, whatever the row. */
static const struct policy_contract overridden[] = {
	{
		.name		= "none",
		.read		= "direct",
		.write		= { "direct+dsync", "direct+dsync", "direct+dsync" },
		.fua_write	= { "direct+dsync", "direct+dsync", "direct+dsync" },
		.discard	= "falloc+dsync",
		.fua_discard	= "falloc+dsync",
		.zero		= "direct+dsync",
		.fua_zero	= "direct+dsync",
		.flush		= "sync",
	},
	{
		.name		= "directsync",
		.read		= "direct",
		.write		= { "direct+dsync", "direct+dsync", "direct+dsync" },
		.fua_write	= { "direct+dsync", "direct+dsync", "direct+dsync" },
		.discard	= "falloc+dsync",
		.fua_discard	= "falloc+dsync",
		.zero		= "direct+dsync",
		.fua_zero	= "direct+dsync",
		.flush		= "sync",
	},
	{
		.name		= "writethrough",
		.read		= "cached",
		.write		= { "cached+dsync", "cached+dsync", "cached+dsync" },
		.fua_write	= { "cached+dsync", "cached+dsync", "cached+dsync" },
		.discard	= "falloc+dsync",
		.fua_discard	= "falloc+dsync",
		.zero		= "cached+dsync",
		.fua_zero	= "cached+dsync",
		.flush		= "sync",
	},
	{
		.name		= "writeback",
		.read		= "cached",
		.write		= { "cached+dsync", "cached+dsync", "cached+dsync" },
		.fua_write	= { "cached+dsync", "cached+dsync", "cached+dsync" },
		.discard	= "falloc+dsync",
		.fua_discard	= "falloc+dsync",
		.zero		= "cached+dsync",
		.fua_zero	= "cached+dsync",
		.flush		= "sync",
	},
	{
		.name		= "guest",
		.read		= "cached",
		.write		= { "cached+dsync", "direct+dsync", "cached+dsync" },
		.fua_write	= { "cached+dsync", "direct+dsync", "cached+dsync" },
		.discard	= "falloc+dsync",
		.fua_discard	= "falloc+dsync",
		.zero		= "cached+dsync",
		.fua_zero	= "cached+dsync",
		.flush		= "sync",
	},
	{
		.name		= "unsafe",
		.read		= "cached",
		.write		= { "cached+dsync", "cached+dsync", "cached+dsync" },
		.fua_write	= { "cached+dsync", "cached+dsync", "cached+dsync" },
		.discard	= "falloc+dsync",
		.fua_discard	= "falloc+dsync",
		.zero		= "cached+dsync",
		.fua_zero	= "cached+dsync",
		.flush		= "sync",
	},
};

static const char * const issuer_names[] = {
	[VINTEG_ISSUER_CACHED]	= "cached",
	[VINTEG_ISSUER_DIRECT]	= "direct",
	[VINTEG_ISSUER_MIXED]	= "mixed",
};

static void contract_desc(const struct policy_contract *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(contract, contracts, contract_desc);
KUNIT_ARRAY_PARAM(overridden, overridden, contract_desc);

static struct vinteg_plan expected_data(enum vinteg_call call, const char *how)
{
	bool durable = strstr(how, "+dsync");

	return (struct vinteg_plan) {
		.call		= call,
		.direct		= strstarts(how, "direct"),
		.durable	= durable,
		.promise	= durable,
	};
}

static struct vinteg_plan expected_flush(const char *how)
{
	/* Even one that does nothing may not hide that data was lost. */
	return (struct vinteg_plan) {
		.call		= strcmp(how, "sync") ? VINTEG_CALL_NONE :
							VINTEG_CALL_SYNC,
		.promise	= true,
		.ignored	= !strcmp(how, "ignore"),
	};
}

static void expect_plan(struct kunit *test, const char *name, blk_opf_t opf,
			enum vinteg_issuer issuer, bool override,
			struct vinteg_plan want)
{
	/* These may not make a difference, alone or together. */
	static const blk_opf_t others[] = {
		REQ_SYNC, REQ_IDLE, REQ_META, REQ_PRIO, REQ_PREFLUSH,
		REQ_RAHEAD, REQ_BACKGROUND, REQ_NOWAIT, REQ_NOUNMAP,
		REQ_FAILFAST_DEV,
	};
	const struct vinteg_policy *policy = vinteg_policy_find(name);
	unsigned int set, i;

	KUNIT_ASSERT_NOT_NULL(test, policy);
	for (set = 0; set < 1 << ARRAY_SIZE(others); set++) {
		struct vinteg_plan got;
		blk_opf_t flags = opf;

		for (i = 0; i < ARRAY_SIZE(others); i++)
			if (set & (1 << i))
				flags |= others[i];
		got = vinteg_make_plan(policy, flags, issuer, override);
		if (got.call == want.call && got.direct == want.direct &&
		    got.durable == want.durable &&
		    got.promise == want.promise && got.ignored == want.ignored)
			continue;

		KUNIT_FAIL(test,
			   "%s: opf %#x, %s issuer, override %d: want call %d direct %d durable %d promise %d ignored %d, got %d %d %d %d %d",
			   name, (__force u32)flags, issuer_names[issuer], override,
			   want.call, want.direct, want.durable, want.promise,
			   want.ignored, got.call, got.direct, got.durable,
			   got.promise, got.ignored);
		return;
	}
}

static void expect_contract(struct kunit *test,
			    const struct policy_contract *c, bool override)
{
	enum vinteg_issuer i;

	for (i = 0; i < ARRAY_SIZE(issuer_names); i++) {
		expect_plan(test, c->name, REQ_OP_READ, i, override,
			    expected_data(VINTEG_CALL_READ, c->read));
		expect_plan(test, c->name, REQ_OP_WRITE, i, override,
			    expected_data(VINTEG_CALL_WRITE, c->write[i]));
		expect_plan(test, c->name, REQ_OP_WRITE | REQ_FUA, i, override,
			    expected_data(VINTEG_CALL_WRITE, c->fua_write[i]));
		expect_plan(test, c->name, REQ_OP_DISCARD, i, override,
			    expected_data(VINTEG_CALL_DISCARD, c->discard));
		expect_plan(test, c->name, REQ_OP_DISCARD | REQ_FUA, i,
			    override, expected_data(VINTEG_CALL_DISCARD,
						    c->fua_discard));
		expect_plan(test, c->name, REQ_OP_WRITE_ZEROES, i, override,
			    expected_data(VINTEG_CALL_ZERO, c->zero));
		expect_plan(test, c->name, REQ_OP_WRITE_ZEROES | REQ_FUA, i,
			    override, expected_data(VINTEG_CALL_ZERO,
						    c->fua_zero));
		expect_plan(test, c->name, REQ_OP_FLUSH, i, override,
			    expected_flush(c->flush));
	}
}

static void policy_keeps_contract(struct kunit *test)
{
	expect_contract(test, test->param_value, false);
}

static void policy_override_wins(struct kunit *test)
{
	expect_contract(test, test->param_value, true);
}

static void policy_refuses_others(struct kunit *test)
{
	static const blk_opf_t ops[] = {
		REQ_OP_SECURE_ERASE, REQ_OP_ZONE_APPEND, REQ_OP_ZONE_OPEN,
		REQ_OP_ZONE_CLOSE, REQ_OP_ZONE_FINISH, REQ_OP_ZONE_RESET,
		REQ_OP_ZONE_RESET_ALL, REQ_OP_DRV_IN, REQ_OP_DRV_OUT,
	};
	const struct policy_contract *c = test->param_value;
	enum vinteg_issuer i;
	unsigned int op;

	for (op = 0; op < ARRAY_SIZE(ops); op++)
		for (i = 0; i < ARRAY_SIZE(issuer_names); i++) {
			struct vinteg_plan want = { .call = VINTEG_CALL_UNKNOWN };

			expect_plan(test, c->name, ops[op], i, false, want);
			expect_plan(test, c->name, ops[op], i, true, want);
		}
}

static void policy_order(struct kunit *test)
{
	int i;

	/* What cache_policy shows, and no row more or less. */
	KUNIT_ASSERT_EQ(test, (int)VINTEG_NR_POLICIES,
			(int)ARRAY_SIZE(contracts));
	KUNIT_ASSERT_EQ(test, (int)VINTEG_NR_POLICIES,
			(int)ARRAY_SIZE(overridden));
	for (i = 0; i < VINTEG_NR_POLICIES; i++) {
		KUNIT_EXPECT_STREQ(test, vinteg_policies[i].name,
				   contracts[i].name);
		KUNIT_EXPECT_STREQ(test, vinteg_policies[i].name,
				   overridden[i].name);
	}
}

static void policy_names(struct kunit *test)
{
	static const char * const refused[] = {
		"", "\n", " none", "none ", "none\n\n", "non", "nonee", "None",
		"NONE", "[none]", "none,unsafe", "write through", "writethroug",
		"writeback\r\n", "\nnone", "0", "default",
	};
	char line[32];
	int i;

	for (i = 0; i < VINTEG_NR_POLICIES; i++) {
		const char *name = contracts[i].name;

		KUNIT_EXPECT_PTR_EQ(test, vinteg_policy_find(name),
				    &vinteg_policies[i]);
		snprintf(line, sizeof(line), "%s\n", name);
		KUNIT_EXPECT_PTR_EQ(test, vinteg_policy_find(line),
				    &vinteg_policies[i]);
	}
	for (i = 0; i < ARRAY_SIZE(refused); i++)
		KUNIT_EXPECT_NULL_MSG(test, vinteg_policy_find(refused[i]),
				      "\"%s\" was taken", refused[i]);
}

static void policy_needs_direct(struct kunit *test)
{
	int i;

	for (i = 0; i < VINTEG_NR_POLICIES; i++) {
		const char *name = vinteg_policies[i].name;
		bool want = !strcmp(name, "none") || !strcmp(name, "directsync");

		KUNIT_EXPECT_EQ_MSG(test, want,
				    vinteg_policy_needs_direct(&vinteg_policies[i]),
				    "%s", name);
	}
}

static struct kunit_case policy_cases[] = {
	KUNIT_CASE(policy_order),
	KUNIT_CASE(policy_names),
	KUNIT_CASE(policy_needs_direct),
	KUNIT_CASE_PARAM(policy_keeps_contract, contract_gen_params),
	KUNIT_CASE_PARAM(policy_override_wins, overridden_gen_params),
	KUNIT_CASE_PARAM(policy_refuses_others, contract_gen_params),
	{}
};

static struct kunit_suite policy_suite = {
	.name		= "vinteg_policy",
	.test_cases	= policy_cases,
};

kunit_test_suite(policy_suite);
