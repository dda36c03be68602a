// SPDX-License-Identifier: GPL-2.0
/*
 * crashimage LEDGER LOG SEED IMAGE LEDGER-TO: makes an image of what a power cut could
 * have left of a disk, to be mounted. LOG is what the recorder logged, LEDGER the
 * workload's. SEED chooses the moment, and what of the disk's cache is kept. LEDGER-TO
 * gets what had left the machine by then.
 *
 * Says "at TIME of TIME, volatile N, kept N": of so many writes that no flush has made
 * stable, nor FUA, so many are in the image, some of them in part.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disklog.h"
#include "ledger.h"
#include "stamp.h"

enum choice { LOSE_ALL, KEEP_ALL, LOSE_ONE, KEEP_ONE, SOME_WRITES, SOME_SECTORS, CHOICES };

struct request {
	const struct disk_record *record;
	__u64 done;		/* when it was answered, or 0 */
	bool stable;
};

static struct request *requests;	/* by number, which is the order they came in */
static __u64 nr_requests;
static __u64 dice;

static __u64 roll(__u64 sides)
{
	__u64 x = (dice += 0x9e3779b97f4a7c15ULL);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return (x ^ x >> 31) % sides;
}

static const struct disk_record *map_log(const char *path, const char **end)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	void *log;

	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", path);
	log = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (log == MAP_FAILED)
		err(2, "%s", path);
	close(fd);
	*end = (const char *)log + st.st_size;
	return log;
}

static struct request *request_of(const struct disk_record *r)
{
	if (!r->request || r->request > nr_requests)
		errx(2, "log: request %llu was never made", r->request);
	return &requests[r->request];
}

static void add_request(const struct disk_record *r)
{
	if (r->request != nr_requests + 1)
		errx(2, "log: request %llu is out of place", r->request);
	nr_requests++;
	if (!(nr_requests & (nr_requests - 1))) {
		requests = realloc(requests, 2 * nr_requests * sizeof(*requests));
		if (!requests)
			err(2, "memory");
	}
	requests[nr_requests] = (struct request){ .record = r };
}

/* What was answered before a flush came is stable when that is answered. */
static void answer(const struct disk_record *r)
{
	struct request *q = request_of(r);
	__u64 i;

	q->done = r->time;
	if (q->record->event != DISK_FLUSH) {
		q->stable = q->record->flags & DISK_FUA;
		return;
	}
	for (i = 1; i <= nr_requests; i++)
		if (requests[i].done && requests[i].done < q->record->time)
			requests[i].stable = true;
}

static void replay(const struct disk_record *r, const char *end, __u64 cut)
{
	const char *next = (const char *)r;

	for (;;) {
		r = (const struct disk_record *)next;
		next += sizeof(*r);
		if (next > end || r->time > cut)
			break;
		if (r->event == DISK_WRITE)
			next += r->length;
		if (next > end)
			break;
		if (r->event == DISK_DONE)
			answer(r);
		else
			add_request(r);
	}
}

static bool is_volatile(const struct request *q)
{
	return q->record->event != DISK_FLUSH && !q->stable;
}

static void put(int fd, const struct disk_record *r, __u64 from, __u64 len)
{
	const char *data = (const char *)(r + 1);

	if (r->event == DISK_ZERO) {
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      r->offset + from, len))
			err(2, "image");
	} else if (pwrite(fd, data + from, len, r->offset + from) != (ssize_t)len) {
		err(2, "image");
	}
}

static void put_sectors(int fd, const struct disk_record *r)
{
	__u64 at;

	for (at = 0; at < r->length; at += SECTOR_SIZE)
		if (roll(2))
			put(fd, r, at, SECTOR_SIZE);
}

/* In the order in which they came: of two to one place, the later one is seen. */
static __u64 put_all(int fd, enum choice choice, __u64 one)
{
	__u64 i, n = 0, kept = 0;

	for (i = 1; i <= nr_requests; i++) {
		const struct disk_record *r = requests[i].record;
		bool keep = true;

		if (r->event == DISK_FLUSH)
			continue;
		if (is_volatile(&requests[i])) {
			keep = choice == KEEP_ALL || (choice == LOSE_ONE && n != one) ||
				(choice == KEEP_ONE && n == one) ||
				(choice >= SOME_WRITES && roll(2));
			n++;
			kept += keep;
			if (keep && choice == SOME_SECTORS && roll(2)) {
				put_sectors(fd, r);
				continue;
			}
		}
		if (keep)
			put(fd, r, 0, r->length);
	}
	return kept;
}

static void write_ledger(const char *path, const struct ledger_record *all, __u64 count,
			 __u64 cut)
{
	FILE *file = fopen(path, "w");
	__u64 n = 0;

	while (n < count && all[n].time <= cut)
		n++;
	if (!file || fwrite(all, sizeof(*all), n, file) != n || fclose(file))
		err(2, "%s", path);
}

int main(int argc, char **argv)
{
	struct ledger_record *ledger;
	const struct disk_record *log;
	__u64 count, first, last, cut, nr_volatile = 0, kept, i;
	const char *end;
	int fd;

	if (argc != 6)
		errx(2, "usage: crashimage LEDGER LOG SEED IMAGE LEDGER-TO");
	ledger = ledger_read(argv[1], &count);
	log = map_log(argv[2], &end);
	dice = strtoull(argv[3], NULL, 0);
	if (count < 20)
		errx(2, "%s: hardly anything happened", argv[1]);
	/* Not in the first tenth: there is little to be lost. */
	first = ledger[count / 10].time;
	last = ledger[count - 1].time;
	cut = first + roll(last - first + 1);
	replay(log, end, cut);
	for (i = 1; i <= nr_requests; i++)
		nr_volatile += is_volatile(&requests[i]);
	fd = open(argv[4], O_WRONLY);
	if (fd < 0)
		err(2, "%s", argv[4]);
	kept = put_all(fd, roll(CHOICES), nr_volatile ? roll(nr_volatile) : 0);
	if (close(fd))
		err(2, "%s", argv[4]);
	write_ledger(argv[5], ledger, count, cut);
	printf("at %llu of %llu, volatile %llu, kept %llu\n", cut, last, nr_volatile, kept);
	return 0;
}
