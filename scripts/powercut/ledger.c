// SPDX-License-Identifier: GPL-2.0
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "ledger.h"

#define MAGIC	0x6c676476

static_assert(sizeof(struct ledger_record) == 64, "a record has no padding");

struct ledger {
	pthread_mutex_t lock;
	__u64 *clock;
	__u64 run;
	__u64 index;
	int fd;
};

static __u64 checksum(const struct ledger_record *r)
{
	const __u64 *word = (const __u64 *)r;
	__u64 sum = MAGIC;

	for (; word < &r->sum; word++) {
		sum = (sum ^ *word) * 0x9fb21c651e98df25ULL;
		sum ^= sum >> 32;
	}
	return sum;
}

struct ledger *ledger_create(int fd, const char *clock, __u64 run)
{
	static __u64 own_clock;
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		err(2, "ledger");
	pthread_mutex_init(&ledger->lock, NULL);
	ledger->fd = fd;
	ledger->run = run;
	ledger->clock = clock ? clock_map(clock) : &own_clock;
	if (!ledger->clock)
		err(2, "%s", clock);
	return ledger;
}

void ledger_write(struct ledger *ledger, struct ledger_record *r)
{
	ssize_t done;

	/* One order for index, time and stream. */
	pthread_mutex_lock(&ledger->lock);
	r->magic = MAGIC;
	r->run = ledger->run;
	r->index = ledger->index++;
	r->time = clock_tick(ledger->clock);
	r->sum = checksum(r);
	for (size_t at = 0; at < sizeof(*r); at += done) {
		done = write(ledger->fd, (char *)r + at, sizeof(*r) - at);
		if (done < 0 && errno == EINTR)
			done = 0;
		else if (done <= 0)
			err(2, "ledger");
	}
	pthread_mutex_unlock(&ledger->lock);
}

static void check(const struct ledger_record *r, __u64 index, const struct ledger_record *all)
{
	if (r->magic != MAGIC || r->sum != checksum(r) || !r->type ||
	    r->type >= LEDGER_TYPES)
		errx(2, "ledger: record %llu is damaged", index);
	if (r->index != index)
		errx(2, "ledger: record %llu is missing", index);
	if (r->run != all->run || (index && r->time <= r[-1].time))
		errx(2, "ledger: record %llu is out of place", index);
	if (index ? r->type == LEDGER_START : r->type != LEDGER_START)
		errx(2, "ledger: begins in the middle");
}

struct ledger_record *ledger_read(const char *path, __u64 *count)
{
	struct ledger_record *all;
	struct stat st;
	FILE *file = fopen(path, "r");
	__u64 i;

	if (!file || fstat(fileno(file), &st))
		err(2, "%s", path);
	*count = st.st_size / sizeof(*all);
	all = malloc(st.st_size + 1);
	if (!all || fread(all, sizeof(*all), *count, file) != *count)
		err(2, "%s", path);
	fclose(file);
	for (i = 0; i < *count; i++)
		check(&all[i], i, all);
	return all;
}

enum ledger_mode ledger_mode_of(const char *policy)
{
	static const struct {
		const char *policy;
		enum ledger_mode mode;
	} modes[] = {
		{ "none", MODE_FUA },
		{ "directsync", MODE_ALWAYS },
		{ "writethrough", MODE_ALWAYS },
		{ "writeback", MODE_FUA },
		{ "guest", MODE_FUA },
		{ "unsafe", MODE_NEVER },
	};
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(policy, modes[i].policy))
			return modes[i].mode;
	return 0;
}

const char *ledger_op_name(enum ledger_op op)
{
	static const char * const names[LEDGER_OPS] = {
		[LEDGER_WRITE] = "write",
		[LEDGER_FUA] = "FUA write",
		[LEDGER_SYNCED] = "write with fdatasync",
		[LEDGER_DISCARD] = "discard",
		[LEDGER_ZERO] = "zeroing",
		[LEDGER_FLUSH] = "flush",
	};

	return op && op < LEDGER_OPS ? names[op] : "nothing";
}
