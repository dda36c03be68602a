// SPDX-License-Identifier: GPL-2.0
/*
 * oracle_test: the oracle's own tests. Each is a history of a disk with eight sectors,
 * in words that are separated by blanks:
 *
 *   w1:0+2   request 1 is issued: a write of two sectors from sector 0 on
 *   a s d z  in place of the w: FUA write, write with fdatasync, discard, zeroing
 *   f1       a flush is issued
 *   .1  !1   request 1 succeeds, fails
 *   mA m. m! a switch to MODE_ALWAYS (F: MODE_FUA, N: MODE_NEVER) begins, succeeds, fails
 *   m-       it is refused
 *   o+ o+.   queue/write_cache is about to be "write through", is; o- o-. back again
 *   n        the driver has noticed that
 *   c c. c!  writeback_error is about to be cleared, is, could not be
 *   %        first of all: on the disk below only syncs ever fail
 *   ~        in front of any of these: the oracle has to object
 *
 * and of what may be found, and what not, if the power is cut here:
 *
 *   0=1      in sector 0 the data of request 1 is fine (0: zeros)
 *   0/1      it is not: something newer had to survive
 *   0?9      it is not: no such thing was ever written there
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"
#include "stamp.h"

#define RUN	7
#define SECTORS	8

static const struct history {
	const char *name;
	enum ledger_mode mode;
	const char *words;
} histories[] = {
	{ "a disk nobody wrote to is blank", MODE_FUA, "0=0 0?1" },
	{ "an issued write may be there or not", MODE_FUA, "w1:0+2 0=0 0=1 1=1 2?1" },
	{ "a completed write may be lost", MODE_FUA, "w1:0+1 .1 0=0 0=1" },
	{ "an older write may come back", MODE_FUA, "w1:0+1 .1 w2:0+1 .2 0=0 0=1 0=2" },
	{ "a FUA write must survive", MODE_FUA, "a1:0+1 0=0 .1 0=1 0/0" },
	{ "a FUA write doesn't cover others", MODE_FUA, "w1:0+1 .1 a2:1+1 .2 0=0 1/0" },
	{ "a write with fdatasync must survive", MODE_FUA, "s1:0+1 .1 0=1 0/0" },
	{ "a FUA write that failed need not", MODE_FUA, "a1:0+1 !1 0=0 0=1" },
	{ "what was flushed must survive", MODE_FUA, "w1:0+1 .1 f2 0=0 .2 0=1 0/0" },
	{ "a flush covers what was done before", MODE_FUA,
	  "w1:0+1 f2 .1 .2 0=0 0=1" },
	{ "a flush doesn't cover what comes later", MODE_FUA,
	  "f1 w2:0+1 .2 .1 0=0 0=2" },
	{ "a flush covers all of a disk", MODE_FUA,
	  "w1:0+1 .1 w2:7+1 .2 f3 .3 0/0 7/0" },
	{ "of two writes one after the other the last counts", MODE_FUA,
	  "w1:0+1 .1 w2:0+1 .2 f3 .3 0/0 0/1 0=2" },
	{ "of two at a time any counts", MODE_FUA,
	  "w1:0+1 w2:0+1 .2 .1 f3 .3 0/0 0=1 0=2" },
	{ "one that overlaps a durable one in time may win", MODE_FUA,
	  "w1:0+1 a2:0+1 .2 0=1 0=2 0/0 .1 0=1" },
	{ "one that was done before the durable one began may not", MODE_FUA,
	  "w1:0+1 .1 a2:0+1 .2 0/1" },
	{ "older than one of several durable ones is too old", MODE_FUA,
	  "a1:0+1 a2:0+1 .1 .2 a3:0+1 .3 0/1 0/2 0=3" },
	{ "what becomes durable late doesn't weaken what is", MODE_FUA,
	  "w1:0+1 w3:0+1 .3 a2:0+1 .2 0/3 .1 f4 .4 0/3 0=1" },
	{ "newer than the durable one is fine", MODE_FUA,
	  "a1:0+1 .1 w2:0+1 0=1 0=2 .2 0=1 0=2" },
	{ "overlaps count sector by sector", MODE_FUA,
	  "w1:0+4 .1 a2:2+4 .2 0=0 0=1 2/1 2=2 3=2 4=2 4/0 6=0" },
	{ "a write is found where it belongs only", MODE_FUA, "a1:2+2 .1 1?1 4?1" },
	{ "a flush or a discard leaves no data", MODE_FUA, "d1:0+1 f2 .2 .1 0?1 0?2" },
	{ "a flush that failed covers nothing", MODE_FUA, "w1:0+1 .1 f2 !2 0=0 0=1" },
	{ "a flush may not succeed after one failed", MODE_FUA, "f1 !1 f2 ~.2" },
	{ "one that was under way when it failed may", MODE_FUA, "f1 f2 !1 .2" },
	{ "a FUA write may not succeed after a flush failed", MODE_FUA,
	  "f1 !1 a2:0+1 ~.2" },
	{ "a plain write may", MODE_FUA, "f1 !1 w2:0+1 .2" },
	{ "unless it is promised to be durable", MODE_ALWAYS, "% f1 !1 w2:0+1 ~.2" },
	{ "a policy switch may not succeed after a flush failed", MODE_FUA,
	  "f1 !1 mA ~m." },
	{ "it may fail", MODE_FUA, "f1 !1 mA m!" },
	{ "flushes may succeed when the error is cleared", MODE_FUA, "f1 !1 c c. f2 .2" },
	{ "a flush while it is being cleared may", MODE_FUA, "f1 !1 c f2 .2" },
	{ "a failure from before is told late", MODE_FUA,
	  "f1 f2 !1 c c. !2 f3 .3 a4:0+1 .4" },
	{ "or while it is being cleared", MODE_FUA, "f1 f2 !1 c !2 c. f3 .3" },
	{ "one of a later flush counts", MODE_FUA, "f1 !1 c c. f2 !2 f3 ~.3" },
	{ "what a failed flush lost is not covered later", MODE_FUA,
	  "w1:0+1 .1 f2 !2 c c. f3 .3 0=0 0=1" },
	{ "nor what was under way until the error was cleared", MODE_FUA,
	  "w1:0+1 f2 !2 c c. .1 f3 .3 0=0 0=1" },
	{ "or while it was being cleared", MODE_FUA,
	  "f1 !1 c w2:0+1 .2 f3 .3 0=0 c. w4:1+1 .4 f5 .5 0=0 1/0" },
	{ "or until it is cleared but for a write that is durable by itself", MODE_FUA,
	  "a1:0+1 f2 !2 c c. .1 0/0" },
	{ "what begins then is", MODE_FUA, "f1 !1 c c. w2:0+1 .2 f3 .3 0/0" },
	{ "not even while the error is being cleared", MODE_FUA,
	  "w1:0+1 .1 f2 !2 c f3 .3 0=0" },
	{ "nor is what is written meanwhile", MODE_FUA, "f1 !1 c w2:0+1 .2 c. f3 .3 0=0" },
	{ "what is written later is", MODE_FUA, "f1 !1 c c. w2:0+1 .2 f3 .3 0/0" },
	{ "what was durable before a failure stays so", MODE_FUA,
	  "a1:0+1 .1 f2 !2 c c. 0/0 0=1" },
	{ "a flush under unsafe covers nothing", MODE_NEVER, "w1:0+1 .1 f2 .2 0=0 0=1" },
	{ "nor is a FUA write durable", MODE_NEVER, "a1:0+1 .1 0=0 0=1" },
	{ "under write-through every write is", MODE_ALWAYS, "w1:0+1 0=0 .1 0/0 0=1" },
	{ "and every discard", MODE_ALWAYS, "w1:0+1 .1 d2:0+1 0=1 0=0 .2 0/1 0=0" },
	{ "and every zeroing", MODE_ALWAYS, "w1:0+1 .1 z2:0+1 0=1 .2 0/1 0=0" },
	{ "a discard may be lost, or be there at once", MODE_FUA,
	  "a1:0+1 .1 d2:0+1 0=1 0=0 .2 0=1 0=0" },
	{ "a flushed discard must survive", MODE_FUA,
	  "a1:0+1 .1 d2:0+1 .2 f3 .3 0/1 0=0" },
	{ "a discard that was done before is too old", MODE_FUA,
	  "d1:0+1 .1 a2:0+1 .2 0/0 0=2" },
	{ "a discard at the same time is not", MODE_FUA, "d1:0+1 a2:0+1 .2 0=0 .1 0=0 0=2" },
	{ "a discard that failed may have done its work", MODE_FUA,
	  "a1:0+1 .1 d2:0+1 !2 0=0 0=1" },
	{ "a switch to write-through covers all that was done", MODE_FUA,
	  "w1:0+1 .1 mA 0=0 m. 0/0" },
	{ "what is under way at its end it does not", MODE_FUA,
	  "mA w1:0+1 m. .1 0=0 w2:1+1 .2 1/0" },
	{ "a switch that failed changes nothing", MODE_FUA,
	  "w1:0+1 .1 mA m! 0=0 w2:1+1 .2 1=0" },
	{ "a switch away from write-through weakens what is under way", MODE_ALWAYS,
	  "w1:0+1 mF .1 0=0 m. 0=0 f2 .2 0/0" },
	{ "and what is issued meanwhile", MODE_ALWAYS, "mF w1:0+1 m! .1 0=0" },
	{ "what was durable before stays so", MODE_ALWAYS, "w1:0+1 .1 mN m. 0/0" },
	{ "a switch from unsafe keeps what unsafe had promised", MODE_NEVER,
	  "a1:0+1 .1 w2:1+1 .2 f3 .3 w4:2+1 .4 mF 0=0 1=0 m. 0/0 1/0 2=0" },
	{ "a FUA write during a switch from unsafe counts at its end", MODE_NEVER,
	  "mF a1:0+1 .1 0=0 m. 0/0" },
	{ "a switch to unsafe promises nothing more", MODE_FUA,
	  "w1:0+1 .1 mN m. f2 .2 0=0" },
	{ "overridden, the block layer answers flushes", MODE_FUA,
	  "w1:0+1 .1 o+ f2 .2 0=0 o+. f3 .3 0=0" },
	{ "even one that was issued before", MODE_FUA, "w1:0+1 .1 f2 o+ .2 0=0" },
	{ "overridden, every write is durable", MODE_FUA, "o+ o+. w1:0+1 .1 0/0" },
	{ "even under unsafe", MODE_NEVER, "o+ o+. w1:0+1 .1 0/0" },
	{ "noticed, all is covered that was done before", MODE_FUA,
	  "w1:0+1 .1 o+ w2:1+1 .2 o+. 0=0 n 0/0 1/0" },
	{ "what was under way when it was set need not be", MODE_FUA,
	  "w1:0+1 o+ o+. .1 n 0=0" },
	{ "nor is a FUA write under unsafe that may have lost its mark", MODE_NEVER,
	  "a1:0+1 o+ .1 o+. o- o-. mF m. 0=0" },
	{ "the override lasts until the next switch if noticed", MODE_FUA,
	  "o+ o+. n o- o-. w1:0+1 .1 0/0 mF m. w2:1+1 .2 1=0" },
	{ "it may be missed if it was short", MODE_FUA,
	  "o+ o+. a1:0+1 o- .1 0=0 o-. w2:1+1 .2 1=0" },
	{ "flushes are heard again when it is taken back", MODE_FUA,
	  "w1:0+1 .1 o+ o+. o- o-. f2 .2 0/0" },
	{ "a write with fdatasync covers what was done before, too", MODE_FUA,
	  "w1:0+1 .1 s2:1+1 0=0 .2 0/0 0=1" },
	{ "but not what was under way", MODE_FUA, "w1:0+1 s2:1+1 .1 .2 0=0" },
	{ "nor if it fails", MODE_FUA, "w1:0+1 .1 s2:1+1 !2 0=0" },
	{ "nor under unsafe, before a switch away", MODE_NEVER,
	  "w1:0+1 .1 s2:1+1 .2 0=0 mF m. 0/0" },
	{ "nor overridden: the block layer answers it", MODE_FUA,
	  "w1:0+1 .1 o+ s2:1+1 .2 0=0" },
	{ "nor after a flush has failed", MODE_FUA, "w1:0+1 .1 f2 !2 s3:1+1 ~.3 0=0" },
	{ "under write-through a flush may fail for a write's sake", MODE_ALWAYS, "f1 !1 f2 .2" },
	{ "but not where only syncs fail", MODE_ALWAYS, "% f1 !1 f2 ~.2" },
	{ "a switch that fails is a flush that fails", MODE_FUA, "mA m! f1 ~.1" },
	{ "a FUA write may not succeed after it", MODE_FUA, "mA m! a1:0+1 ~.1" },
	{ "one that was under way may", MODE_FUA, "a1:0+1 mA m! .1 0/0" },
	{ "nor may another switch", MODE_FUA, "mA m! mF ~m." },
	{ "they may when the error is cleared", MODE_FUA, "mA m! c c. f1 .1 mA m." },
	{ "a switch that was refused is none that failed", MODE_FUA, "mA m- f1 .1 mA m." },
	{ "a FUA write may fail on its own", MODE_FUA, "a1:0+1 !1 f2 .2 a3:0+1 .3" },
	{ "but not where only syncs fail", MODE_FUA, "% a1:0+1 !1 f2 ~.2" },
	{ "nor a write with fdatasync", MODE_FUA, "% s1:0+1 !1 a2:0+1 ~.2" },
	{ "nor any write under write-through", MODE_ALWAYS, "% w1:0+1 !1 w2:0+1 ~.2" },
	{ "a plain write may even there", MODE_FUA, "% w1:0+1 !1 f2 .2" },
	{ "so may a FUA write under unsafe", MODE_NEVER, "% a1:0+1 !1 f2 .2" },
	{ "its failure from before is told late", MODE_FUA,
	  "% a1:0+1 f2 !2 c c. !1 f3 .3" },
	{ "an error that could not be cleared stays", MODE_FUA, "f1 !1 c c! f2 ~.2" },
	{ "so does one of meanwhile", MODE_FUA, "c f1 !1 c! f2 ~.2" },
	{ "and no other comes of it", MODE_FUA, "f1 .1 c c! f2 .2" },
	{ "nor one from before the last that was cleared", MODE_FUA,
	  "f1 f2 !1 c c. c !2 c! f3 .3" },
	{ "what was lost stays lost then", MODE_FUA,
	  "w1:0+1 .1 f2 !2 c c! c c. f3 .3 0=0" },
};

static const char kinds[LEDGER_OPS] = {
	[LEDGER_WRITE] = 'w', [LEDGER_FUA] = 'a', [LEDGER_SYNCED] = 's',
	[LEDGER_DISCARD] = 'd', [LEDGER_ZERO] = 'z', [LEDGER_FLUSH] = 'f',
};

/* Returns false if the word isn't an event. */
static bool read_event(const char *word, struct ledger_record *r)
{
	int at = 0, seq, op, len = strlen(word);

	if (sscanf(word, ".%d%n", &seq, &at) == 1 || sscanf(word, "!%d%n", &seq, &at) == 1) {
		r->type = LEDGER_DONE;
		r->error = *word == '!' ? EIO : 0;
		r->seq = seq;
	} else if (!strcmp(word, "m.") || !strcmp(word, "m!") || !strcmp(word, "m-")) {
		r->type = LEDGER_MODE_DONE;
		r->error = word[1] == '!' ? EIO : word[1] == '-' ? EINVAL : 0;
		at = len;
	} else if (*word == 'm') {
		r->type = LEDGER_MODE;
		r->mode = word[1] == 'A' ? MODE_ALWAYS : word[1] == 'F' ? MODE_FUA : MODE_NEVER;
		at = len;
	} else if (*word == 'o') {
		r->type = word[2] ? LEDGER_OVERRIDE_DONE : LEDGER_OVERRIDE;
		r->mode = word[1] == '+' ? OVERRIDE_ON : OVERRIDE_OFF;
		at = len;
	} else if (*word == 'c') {
		r->type = word[1] ? LEDGER_CLEAR_DONE : LEDGER_CLEAR;
		r->error = word[1] == '!' ? EINTR : 0;
		at = len;
	} else if (!strcmp(word, "n")) {
		r->type = LEDGER_NOTICED;
		at = len;
	} else {
		for (op = 1; op < LEDGER_OPS && kinds[op] != *word; op++)
			;
		if (op == LEDGER_OPS || sscanf(word + 1, "%llu%n:%llu+%u%n", &r->seq, &at,
					       &r->lba, &r->sectors, &at) < 1)
			return false;
		at++;
		r->type = LEDGER_ISSUE;
		r->op = op;
	}
	return at == len;
}

/* What a sector holds that request @seq has written, by way of a real stamp. */
static __u32 content_of(const struct oracle *oracle, __u64 lba, __u64 seq)
{
	unsigned char sector[SECTOR_SIZE] = { };
	struct stamp stamp = { .run = RUN, .lba = lba, .seq = seq };

	if (seq)
		stamp_write(sector, &stamp);
	return oracle_content(oracle, lba, sector);
}

static bool expect(const struct oracle *oracle, const char *word)
{
	unsigned long long lba, seq;
	enum verdict verdict;
	char relation;

	if (sscanf(word, "%llu%c%llu", &lba, &relation, &seq) != 3 || lba >= SECTORS)
		return false;
	verdict = oracle_judge(oracle, lba, content_of(oracle, lba, seq));
	switch (relation) {
	case '=':
		return verdict == FINE;
	case '/':
		return verdict == LOST;
	case '?':
		return verdict == STRANGE;
	}
	return false;
}

/* Returns the word that is wrong, or NULL. */
static const char *play(const struct history *h, char *words)
{
	struct ledger_record first = {
		.type = LEDGER_START, .run = RUN, .sectors = SECTORS, .mode = h->mode, .time = 1,
	};
	struct oracle *oracle;
	__u64 time = 1;
	bool objects;
	char *word;

	if (*words == '%') {
		*words = ' ';
		first.flags = LEDGER_SYNCS_FAIL;
	}
	oracle = oracle_new(&first);
	for (word = strtok(words, " "); word; word = strtok(NULL, " ")) {
		struct ledger_record r = { .run = RUN, .time = ++time };

		objects = *word == '~';
		if (read_event(word + objects, &r)) {
			if (oracle_feed(oracle, &r) == objects)
				break;
		} else if (!expect(oracle, word)) {
			break;
		}
	}
	oracle_free(oracle);
	return word;
}

/* Data that no history can make up. */
static bool damaged_data_is_seen(void)
{
	struct ledger_record r = { .type = LEDGER_START, .sectors = SECTORS, .run = RUN,
				   .mode = MODE_FUA };
	struct stamp stamp = { .run = RUN, .lba = 1, .seq = 1 };
	struct oracle *oracle = oracle_new(&r);
	unsigned char sector[SECTOR_SIZE];
	bool ok;

	r = (struct ledger_record){ .type = LEDGER_ISSUE, .op = LEDGER_WRITE, .seq = 1,
				    .sectors = 2, .time = 2 };
	oracle_feed(oracle, &r);
	stamp_write(sector, &stamp);
	ok = oracle_judge(oracle, 1, oracle_content(oracle, 1, sector)) == FINE;
	/* At another place, of another run, torn. */
	ok &= oracle_judge(oracle, 0, oracle_content(oracle, 0, sector)) == STRANGE;
	stamp.run++;
	stamp_write(sector, &stamp);
	ok &= oracle_judge(oracle, 1, oracle_content(oracle, 1, sector)) == STRANGE;
	stamp.run--;
	stamp_write(sector, &stamp);
	memset(sector + SECTOR_SIZE / 2, 0, SECTOR_SIZE / 2);
	ok &= oracle_judge(oracle, 1, oracle_content(oracle, 1, sector)) == BROKEN;
	oracle_free(oracle);
	return ok;
}

int main(void)
{
	const unsigned int count = sizeof(histories) / sizeof(*histories);
	unsigned int i, failed = 0;
	const char *wrong;
	char words[256];

	printf("TAP version 13\n1..%u\n", count + 1);
	for (i = 0; i < count; i++) {
		snprintf(words, sizeof(words), "%s", histories[i].words);
		wrong = play(&histories[i], words);
		failed += !!wrong;
		printf("%s %u - oracle: %s%s%s\n", wrong ? "not ok" : "ok", i + 1,
		       histories[i].name, wrong ? ", wrong at " : "", wrong ?: "");
	}
	if (damaged_data_is_seen()) {
		printf("ok %u - oracle: damaged data is seen\n", count + 1);
	} else {
		printf("not ok %u - oracle: damaged data is seen\n", count + 1);
		failed++;
	}
	return failed != 0;
}
