// SPDX-License-Identifier: GPL-2.0
/*
 * ending LEDGER: what was going on when the ledger ended: pairs of a word and a number.
 *
 *   switch N     2: a switch of the policy was under way; 1: one had ended just before
 *   override N   so often queue/write_cache had been set to "write through"
 *   noticed N    so often the driver must have noticed by then
 *   failed N     so many requests had failed
 *   busy N       so many had no answer yet
 */
#include <err.h>
#include <stdio.h>

#include "ledger.h"

/* In records. */
#define JUST_BEFORE	32

int main(int argc, char **argv)
{
	__u64 count, i, override = 0, noticed = 0, failed = 0, switched = 0;
	long long busy = 0;
	struct ledger_record *r;
	bool under_way = false;
	int kind = 0;

	if (argc != 2)
		errx(2, "How to call it: ending LEDGER");
	r = ledger_read(argv[1], &count);
	for (i = 0; i < count; i++) {
		switch ((enum ledger_type)r[i].type) {
		case LEDGER_ISSUE:
			busy++;
			break;
		case LEDGER_DONE:
			busy--;
			failed += !!r[i].error;
			break;
		case LEDGER_MODE:
			under_way = true;
			break;
		case LEDGER_MODE_DONE:
			under_way = false;
			switched = i;
			break;
		case LEDGER_OVERRIDE_DONE:
			override += r[i].mode == OVERRIDE_ON;
			break;
		case LEDGER_NOTICED:
			noticed++;
			break;
		default:
			break;
		}
	}
	if (under_way)
		kind = 2;
	else if (switched && count - switched <= JUST_BEFORE)
		kind = 1;
	printf("switch %d override %llu noticed %llu failed %llu busy %lld\n", kind, override,
	       noticed, failed, busy);
	return 0;
}
