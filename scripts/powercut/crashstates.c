// SPDX-License-Identifier: GPL-2.0
/*
 * crashstates LEDGER LOG EXTENTS [STATES [SEED]]: what a power cut could have left, at
 * each moment of a run, and whether it would have been a loss. LEDGER is the workload's,
 * LOG that of the disk below, EXTENTS says where on it the data was.
 *
 * At each moment: all that isn't flushed is lost; all is kept; one write is lost; one
 * write is kept; random ones are; random sectors are. About STATES different ones are
 * judged, over the whole run. Only those count where something is at risk that the
 * last flush, or a FUA write since then, has made durable, or should have.
 *
 * Exit status: 0 no state was a loss, 1 one was, 2 it could not be told.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"
#include "stamp.h"

#define SHOWN	3	/* violations that are told of */

enum choice { LOSE_ALL, KEEP_ALL, LOSE_ONE, KEEP_ONE, SOME_WRITES, SOME_SECTORS };

struct states {
	struct oracle *oracle;
	struct model *model;
	__u64 random;
	__u64 wanted;

	/* Of what is stable. */
	__u8 *verdicts;
	__u64 nr_bad;
	__u64 image;		/* a hash that is a sum over the sectors */
	__u32 *hashed;		/* the content that went into it */
	__u64 demands;		/* how often these have changed */

	/* Of the state that is looked at. */
	__u32 *overlay;		/* contents in place of the stable ones... */
	__u32 *stamp;		/* ... if this is the number of the state */
	__u32 state;
	__u32 *touched;		/* sectors that may differ from the stable ones */
	__u64 nr_touched;
	__u32 *touched_at;	/* the cut when it was put there last */
	__u32 cut;

	__u64 *seen;		/* hashes of states, open addressing */
	__u64 seen_size;

	__u64 cuts, judged, distinct, risky, bad, objections;
};

static void *get(__u64 count, size_t size)
{
	void *memory = calloc(count + 1, size);

	if (!memory)
		err(2, "memory");
	return memory;
}

static __u64 mix(__u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static __u64 next_random(struct states *s)
{
	return mix(s->random += 0x9e3779b97f4a7c15ULL);
}

static __u64 hash_of(__u32 lba, __u32 content)
{
	return mix(((__u64)lba << 32) + content + 1);
}

/* Whether there was no such state before. */
static bool is_new(struct states *s, __u64 hash)
{
	__u64 i = hash & (s->seen_size - 1);

	while (s->seen[i]) {
		if (s->seen[i] == hash)
			return false;
		i = (i + 1) & (s->seen_size - 1);
	}
	s->seen[i] = hash;
	return true;
}

static void judge_stable(struct states *s, __u32 lba)
{
	__u32 content = s->model->stable[lba];
	enum verdict verdict = oracle_judge(s->oracle, lba, content);

	s->nr_bad += (verdict != FINE) - (s->verdicts[lba] != FINE);
	s->verdicts[lba] = verdict;
	s->image += hash_of(lba, content) - hash_of(lba, s->hashed[lba]);
	s->hashed[lba] = content;
}

/* Only where something is new, on the disk or in what has to be on it. */
static void judge_changes(struct states *s)
{
	struct model *m = s->model;
	const __u32 *lbas;
	__u64 count = oracle_changes(s->oracle, &lbas), i;

	s->demands += count != 0;
	for (i = 0; i < count; i++)
		judge_stable(s, lbas[i]);
	for (i = 0; i < m->nr_changes; i++) {
		judge_stable(s, m->changes[i]);
		m->changed[m->changes[i]] = false;
	}
	m->nr_changes = 0;
}

static void find_touched(struct states *s)
{
	struct model *m = s->model;
	__u64 i;
	__u32 j, lba;

	s->cut++;
	s->nr_touched = 0;
	for (i = 0; i < m->count; i++) {
		for (j = 0; j < m->cache[i].sectors; j++) {
			lba = m->cache[i].lbas[j];
			if (s->touched_at[lba] == s->cut)
				continue;
			s->touched_at[lba] = s->cut;
			s->touched[s->nr_touched++] = lba;
		}
	}
}

static bool is_at_risk(const struct states *s)
{
	const struct model *m = s->model;
	__u64 i;
	__u32 j;

	for (i = 0; i < m->nr_fresh; i++)
		if (oracle_is_durable(s->oracle, m->stable[m->fresh[i]]))
			return true;
	for (i = 0; i < m->count; i++)
		for (j = 0; j < m->cache[i].sectors; j++)
			if (oracle_is_durable(s->oracle, m->cache[i].contents[j]))
				return true;
	return false;
}

/* Puts together what is found if the cut leaves such a choice of the cache. */
static void make_state(struct states *s, enum choice kind, __u64 one)
{
	const struct model *m = s->model;
	const struct cached *c;
	__u64 i, bits;
	__u32 j;

	s->state++;
	if (kind == LOSE_ALL)
		return;
	for (i = 0; i < m->count; i++) {
		c = &m->cache[i];
		if ((kind == LOSE_ONE && i == one) || (kind == KEEP_ONE && i != one))
			continue;
		bits = kind == SOME_WRITES || kind == SOME_SECTORS ? next_random(s) : 1;
		/* Of some writes a part, of the others all or nothing. */
		if (kind == SOME_SECTORS ? bits & 2 : !(bits & 1))
			continue;
		for (j = 0; j < c->sectors; j++) {
			if (kind == SOME_SECTORS && bits & 4) {
				if (!(j & 31))
					bits = next_random(s) | 7;
				if (!(bits >> (3 + (j & 31)) & 1))
					continue;
			}
			if (!model_visible(m, c, j))
				continue;
			s->overlay[c->lbas[j]] = c->contents[j];
			s->stamp[c->lbas[j]] = s->state;
		}
	}
}

static __u64 hash_state(const struct states *s)
{
	__u64 hash = s->image, i;
	__u32 lba;

	for (i = 0; i < s->nr_touched; i++) {
		lba = s->touched[i];
		if (s->stamp[lba] == s->state)
			hash += hash_of(lba, s->overlay[lba]) -
				hash_of(lba, s->model->stable[lba]);
	}
	return mix(hash + s->demands * 0x9fb21c651e98df25ULL) | 1;
}

static void tell(const struct states *s, enum choice kind, __u64 time)
{
	static const char * const names[] = {
		[LOSE_ALL] = "nothing of the cache",
		[KEEP_ALL] = "all of the cache",
		[LOSE_ONE] = "all of the cache but one write",
		[KEEP_ONE] = "one write of the cache",
		[SOME_WRITES] = "some writes of the cache",
		[SOME_SECTORS] = "some sectors of the cache",
	};
	char text[256];
	__u32 lba, content;

	if (s->bad > SHOWN)
		return;
	for (lba = 0; lba < s->model->sectors; lba++) {
		content = s->stamp[lba] == s->state ? s->overlay[lba] : s->model->stable[lba];
		if (oracle_judge(s->oracle, lba, content) == FINE)
			continue;
		oracle_explain(s->oracle, lba, content, text, sizeof(text));
		printf("cut at %llu, %s kept: %s\n", time, names[kind], text);
		return;
	}
}

static void judge_state(struct states *s, enum choice kind, __u64 one, bool risky, __u64 time)
{
	__s64 bad = s->nr_bad;
	__u64 i;
	__u32 lba;

	make_state(s, kind, one);
	s->judged++;
	if (!is_new(s, hash_state(s)))
		return;
	for (i = 0; i < s->nr_touched; i++) {
		lba = s->touched[i];
		if (s->stamp[lba] == s->state)
			bad += (oracle_judge(s->oracle, lba, s->overlay[lba]) != FINE) -
				(s->verdicts[lba] != FINE);
	}
	s->distinct++;
	s->risky += risky;
	if (!bad)
		return;
	s->bad++;
	tell(s, kind, time);
}

static void cut(struct states *s, __u64 time, __u64 states)
{
	__u64 count = s->model->count, i;
	bool risky;

	judge_changes(s);
	if (!states)
		return;
	s->cuts++;
	find_touched(s);
	risky = is_at_risk(s);
	judge_state(s, LOSE_ALL, 0, risky, time);
	if (!count)
		return;
	judge_state(s, KEEP_ALL, 0, risky, time);
	for (i = 2; i < states; i++) {
		switch (next_random(s) % 4) {
		case 0:
			judge_state(s, LOSE_ONE, next_random(s) % count, risky, time);
			break;
		case 1:
			judge_state(s, KEEP_ONE, next_random(s) % count, risky, time);
			break;
		case 2:
			judge_state(s, SOME_WRITES, 0, risky, time);
			break;
		default:
			judge_state(s, SOME_SECTORS, 0, risky, time);
			break;
		}
	}
}

/* The next record of the log, or NULL at its end. What was cut in the middle is none. */
static const struct disk_record *next_record(const struct disk_record *r,
					     const unsigned char *end)
{
	const unsigned char *at = (const unsigned char *)(r + 1);

	if (r->event == DISK_WRITE)
		at += r->length;
	r = (const struct disk_record *)at;
	if (at + sizeof(*r) > end || (r->event == DISK_WRITE &&
				      (__u64)(end - at) < sizeof(*r) + r->length))
		return NULL;
	return r;
}

static const struct disk_record *map_log(const char *path, const unsigned char **end)
{
	const struct disk_record *first;
	struct stat st;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", path);
	first = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (first == MAP_FAILED || st.st_size < (off_t)sizeof(*first))
		err(2, "%s", path);
	close(fd);
	*end = (const unsigned char *)first + st.st_size;
	return first;
}

static struct states *states_new(const struct ledger_record *first, const char *extents)
{
	struct states *s = get(1, sizeof(*s));

	s->oracle = oracle_new(first);
	s->model = model_new(s->oracle, extents);
	s->verdicts = get(s->model->sectors, sizeof(*s->verdicts));
	s->hashed = get(s->model->sectors, sizeof(*s->hashed));
	s->overlay = get(s->model->sectors, sizeof(*s->overlay));
	s->stamp = get(s->model->sectors, sizeof(*s->stamp));
	s->touched = get(s->model->sectors, sizeof(*s->touched));
	s->touched_at = get(s->model->sectors, sizeof(*s->touched_at));
	return s;
}

static void run(struct states *s, const struct ledger_record *ledger, __u64 count,
		const char *log, __u64 per_cut)
{
	const unsigned char *end;
	const struct disk_record *r = map_log(log, &end);
	__u64 i = 1, time;
	bool matters;

	while (r || i < count) {
		if (!r || (i < count && ledger[i].time < r->time)) {
			time = ledger[i].time;
			matters = ledger[i].type != LEDGER_ISSUE;
			if (!oracle_feed(s->oracle, &ledger[i++])) {
				puts(oracle_objection(s->oracle));
				s->objections++;
			}
		} else {
			time = r->time;
			matters = model_feed(s->model, r);
			r = next_record(r, end);
		}
		/* Before the fill is over there is little to be lost. */
		if (matters)
			cut(s, time, oracle_counts(s->oracle)->flushes ? per_cut : 0);
	}
}

int main(int argc, char **argv)
{
	const struct oracle_counts *counts;
	struct ledger_record *ledger;
	struct states *s;
	__u64 count;

	if (argc < 4 || argc > 6)
		errx(2, "How to call it: crashstates LEDGER LOG EXTENTS [STATES [SEED]]");
	ledger = ledger_read(argv[1], &count);
	if (!count || ledger[count - 1].type != LEDGER_END)
		errx(2, "%s: the workload did not come to its end", argv[1]);
	s = states_new(ledger, argv[3]);
	s->wanted = argc > 4 ? strtoull(argv[4], NULL, 0) : 100000;
	s->random = argc > 5 ? strtoull(argv[5], NULL, 0) : 1;
	for (s->seen_size = 1 << 16; s->seen_size < s->wanted * 8; s->seen_size *= 2)
		;
	s->seen = get(s->seen_size, sizeof(*s->seen));
	/* Each request is a moment in the ledger, and often some more in the log. */
	run(s, ledger, count, argv[2], 2 + s->wanted * 2 / count);
	counts = oracle_counts(s->oracle);
	printf("cuts %llu judged %llu distinct %llu risky %llu bad %llu ",
	       s->cuts, s->judged, s->distinct, s->risky, s->bad);
	printf("acknowledged %llu durable %llu objections %llu\n",
	       counts->acknowledged, counts->durable, s->objections);
	return s->bad || s->objections;
}
