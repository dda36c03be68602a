// SPDX-License-Identifier: GPL-2.0
/*
 * The cache policies.  Each is one row of a constant table, and nothing else
 * in the driver knows one policy from another.
 */
#include <linux/string.h>

#include "policy.h"

const struct vinteg_policy vinteg_policies[VINTEG_NR_POLICIES] = {
	[VINTEG_NONE] = {
		.name		= "none",
		.path		= VINTEG_PATH_DIRECT,
		.durable	= VINTEG_DURABLE_ON_FUA,
		.flush		= VINTEG_FLUSH_SYNC,
	},
	[VINTEG_DIRECTSYNC] = {
		.name		= "directsync",
		.path		= VINTEG_PATH_DIRECT,
		.durable	= VINTEG_DURABLE_ALWAYS,
		.flush		= VINTEG_FLUSH_EMPTY,
	},
	[VINTEG_WRITETHROUGH] = {
		.name		= "writethrough",
		.path		= VINTEG_PATH_CACHED,
		.durable	= VINTEG_DURABLE_ALWAYS,
		.flush		= VINTEG_FLUSH_EMPTY,
	},
	[VINTEG_WRITEBACK] = {
		.name		= "writeback",
		.path		= VINTEG_PATH_CACHED,
		.durable	= VINTEG_DURABLE_ON_FUA,
		.flush		= VINTEG_FLUSH_SYNC,
	},
	[VINTEG_GUEST] = {
		.name		= "guest",
		.path		= VINTEG_PATH_AS_ISSUED,
		.durable	= VINTEG_DURABLE_ON_FUA,
		.flush		= VINTEG_FLUSH_SYNC,
	},
	[VINTEG_UNSAFE] = {
		.name		= "unsafe",
		.path		= VINTEG_PATH_CACHED,
		.durable	= VINTEG_DURABLE_NEVER,
		.flush		= VINTEG_FLUSH_IGNORE,
	},
};

/**
 * vinteg_policy_find() - look a policy up by its name
 * @name: the name; one trailing newline is accepted
 *
 * Context: any.
 * Return: the row, or NULL if there is no policy of that name.
 */
const struct vinteg_policy *vinteg_policy_find(const char *name)
{
	int i;

	for (i = 0; i < VINTEG_NR_POLICIES; i++)
		if (sysfs_streq(name, vinteg_policies[i].name))
			return &vinteg_policies[i];
	return NULL;
}

/**
 * vinteg_policy_needs_direct() - does a policy depend on direct I/O?
 * @policy: the row
 *
 * A policy that follows the issuer does not: what the file can't do directly
 * goes through the page cache.
 *
 * Context: any.
 * Return: true if every write has to be direct.
 */
bool vinteg_policy_needs_direct(const struct vinteg_policy *policy)
{
	return policy->path == VINTEG_PATH_DIRECT;
}

static bool vinteg_is_durable(const struct vinteg_policy *policy,
			      blk_opf_t opf, bool override)
{
	/*
	 * With queue/write_cache overridden the block layer strips FUA, so any
	 * write may have been one that asked for it.
	 */
	if (override)
		return true;

	switch (policy->durable) {
	case VINTEG_DURABLE_ALWAYS:
		return true;
	case VINTEG_DURABLE_ON_FUA:
		return opf & REQ_FUA;
	case VINTEG_DURABLE_NEVER:
		break;
	}
	return false;
}

/**
 * vinteg_make_plan() - what a request means under a policy
 * @policy: the row in force
 * @opf: operation and flags of the request
 * @issuer: how its bios were issued
 * @override: queue/write_cache was set to "write through"
 *
 * The only place where a policy is turned into action.
 *
 * Context: any.
 * Return: the plan; its call is VINTEG_CALL_UNKNOWN for an operation that the
 * driver does not offer.
 */
struct vinteg_plan vinteg_make_plan(const struct vinteg_policy *policy,
				    blk_opf_t opf, enum vinteg_issuer issuer,
				    bool override)
{
	struct vinteg_plan plan = { .call = VINTEG_CALL_UNKNOWN };

	switch (opf & REQ_OP_MASK) {
	case REQ_OP_READ:
		plan.call = VINTEG_CALL_READ;
		plan.direct = policy->path == VINTEG_PATH_DIRECT;
		return plan;
	case REQ_OP_FLUSH:
		plan.promise = true;
		if (override || policy->flush == VINTEG_FLUSH_SYNC) {
			plan.call = VINTEG_CALL_SYNC;
		} else {
			plan.call = VINTEG_CALL_NONE;
			plan.ignored = policy->flush == VINTEG_FLUSH_IGNORE;
		}
		return plan;
	case REQ_OP_WRITE:
		plan.call = VINTEG_CALL_WRITE;
		plan.direct = policy->path == VINTEG_PATH_DIRECT ||
			(policy->path == VINTEG_PATH_AS_ISSUED &&
			 issuer == VINTEG_ISSUER_DIRECT);
		break;
	case REQ_OP_DISCARD:
		plan.call = VINTEG_CALL_DISCARD;
		break;
	case REQ_OP_WRITE_ZEROES:
		plan.call = VINTEG_CALL_ZERO;
		/* In case the file can't, and zeroes have to be written. */
		plan.direct = policy->path == VINTEG_PATH_DIRECT;
		break;
	default:
		return plan;
	}

	plan.durable = vinteg_is_durable(policy, opf, override);
	/*
	 * Part of this request was written past the page cache by its issuer,
	 * who may count on it not being lost with the host's memory.
	 */
	if (policy->path == VINTEG_PATH_AS_ISSUED &&
	    issuer == VINTEG_ISSUER_MIXED && plan.call == VINTEG_CALL_WRITE)
		plan.durable = true;
	plan.promise = plan.durable;
	return plan;
}
