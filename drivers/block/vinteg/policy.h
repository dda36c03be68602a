/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VINTEG_POLICY_H
#define VINTEG_POLICY_H

#include <linux/blk_types.h>
#include <linux/types.h>

enum vinteg_policy_id {
	VINTEG_NONE,
	VINTEG_DIRECTSYNC,
	VINTEG_WRITETHROUGH,
	VINTEG_WRITEBACK,
	VINTEG_GUEST,
	VINTEG_UNSAFE,
	VINTEG_NR_POLICIES,
};

/* Which way data takes into and out of the file. */
enum vinteg_path {
	VINTEG_PATH_DIRECT,
	VINTEG_PATH_CACHED,
	VINTEG_PATH_AS_ISSUED,	/* direct if the issuer used direct I/O */
};

/* When a request that changes data has to be durable to complete. */
enum vinteg_durable {
	VINTEG_DURABLE_ALWAYS,
	VINTEG_DURABLE_ON_FUA,
	VINTEG_DURABLE_NEVER,
};

enum vinteg_flush {
	VINTEG_FLUSH_SYNC,	/* fdatasync */
	VINTEG_FLUSH_EMPTY,	/* nothing is volatile, so nothing to do */
	VINTEG_FLUSH_IGNORE,	/* counted, not done */
};

/**
 * struct vinteg_policy - a row of the table of cache policies
 * @name: as in the attribute cache_policy
 * @path: how data reaches the file
 * @durable: which writes, discards and write-zeroes are durable on completion
 * @flush: what a FLUSH does
 */
struct vinteg_policy {
	const char *name;
	enum vinteg_path path;
	enum vinteg_durable durable;
	enum vinteg_flush flush;
};

/* How the bios of a request were issued; see vinteg_request_issuer(). */
enum vinteg_issuer {
	VINTEG_ISSUER_CACHED,
	VINTEG_ISSUER_DIRECT,
	VINTEG_ISSUER_MIXED,
};

enum vinteg_call {
	VINTEG_CALL_NONE,	/* nothing reaches the file */
	VINTEG_CALL_READ,
	VINTEG_CALL_WRITE,
	VINTEG_CALL_DISCARD,
	VINTEG_CALL_ZERO,
	VINTEG_CALL_SYNC,
	VINTEG_CALL_UNKNOWN,	/* not an operation of this driver */
};

/**
 * struct vinteg_plan - what a request means for the file
 * @call: the operation
 * @direct: past the page cache
 * @durable: must be on stable storage when the request completes
 * @promise: fails while the sticky error is set
 * @ignored: a FLUSH that was not honoured
 */
struct vinteg_plan {
	enum vinteg_call call;
	bool direct;
	bool durable;
	bool promise;
	bool ignored;
};

extern const struct vinteg_policy vinteg_policies[VINTEG_NR_POLICIES];

const struct vinteg_policy *vinteg_policy_find(const char *name);
bool vinteg_policy_needs_direct(const struct vinteg_policy *policy);
struct vinteg_plan vinteg_make_plan(const struct vinteg_policy *policy,
				    blk_opf_t opf, enum vinteg_issuer issuer,
				    bool override);

#endif /* VINTEG_POLICY_H */
