// SPDX-License-Identifier: GPL-2.0
/*
 * Neighbouring sectors of 512 bytes, the even ones written with direct I/O and
 * the odd ones through the page cache, all at once for a while. Then the caches
 * are dropped, and each sector must hold what was written to it last.
 *
 * DIRECT and BUFFERED are two names of the same sectors (a dm-linear device and
 * the disk below it), so that the only page cache in which the two kinds meet is
 * the one of FILE, the backing file.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/types.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SECTOR	512
#define PAGES	4		/* few, so that the writers meet often */
#define SECTORS	(PAGES * 8)
#define THREADS	4		/* two of each kind, each with its own sectors */

struct content {
	__u64 sector, turn;
	char rest[SECTOR - 16];
};

static const char *path[2];	/* direct, buffered */
static __u64 last[SECTORS];
static unsigned long writes[THREADS];
static time_t end;

static void make(struct content *c, __u64 sector, __u64 turn)
{
	c->sector = sector;
	c->turn = turn;
	memset(c->rest, (int)(sector * 31 + turn), sizeof(c->rest));
}

static void check(int failed, const char *what)
{
	if (failed) {
		printf("%s: %m\n", what);
		exit(1);
	}
}

static void *writer(void *arg)
{
	unsigned int me = (uintptr_t)arg, buffered = me & 1;
	__u64 turn = 1, sector;
	struct content *c;
	unsigned int seed = me;
	int fd;

	fd = open(path[buffered], O_RDWR | (buffered ? 0 : O_DIRECT));
	check(fd < 0, path[buffered]);
	check(posix_memalign((void **)&c, SECTOR, SECTOR), "memory");
	for (; time(NULL) < end; turn++) {
		struct iovec iov = { c, SECTOR };

		/* Threads 0 to 3 own the sectors 0 to 3 modulo 4. */
		sector = rand_r(&seed) / 16 % (SECTORS / THREADS) * THREADS + me;
		make(c, sector, turn);
		check(pwritev2(fd, &iov, 1, sector * SECTOR,
			       !buffered && turn % 16 == 0 ? RWF_DSYNC : 0) != SECTOR, "write");
		if (buffered)
			check(sync_file_range(fd, sector * SECTOR, SECTOR,
					      SYNC_FILE_RANGE_WRITE_AND_WAIT), "writeback");
		last[sector] = turn;
		writes[me]++;
	}
	check(fsync(fd), "fsync");
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];
	struct content got, want;
	unsigned int i, bad = 0;
	int fd;

	if (argc != 5) {
		fprintf(stderr, "usage: neighbours DIRECT BUFFERED FILE SECONDS\n");
		return 2;
	}
	path[0] = argv[1];
	path[1] = argv[2];
	end = time(NULL) + atoi(argv[4]);
	for (i = 0; i < THREADS; i++)
		check(pthread_create(&thread[i], NULL, writer, (void *)(uintptr_t)i), "thread");
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);

	fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	check(fd < 0 || write(fd, "3", 1) != 1, "drop_caches");
	close(fd);
	fd = open(argv[3], O_RDONLY);
	check(fd < 0, argv[3]);
	for (i = 0; i < SECTORS; i++) {
		check(pread(fd, &got, SECTOR, i * SECTOR) != SECTOR, argv[3]);
		make(&want, i, last[i]);
		if (!last[i] || !memcmp(&got, &want, SECTOR))
			continue;
		bad++;
		printf("sector %u: turn %llu was written last, turn %llu is there\n", i,
		       (unsigned long long)last[i], (unsigned long long)got.turn);
	}
	printf("%lu direct and %lu buffered writes, %u of %u sectors are wrong\n",
	       writes[0] + writes[2], writes[1] + writes[3], bad, SECTORS);
	for (i = 0; i < THREADS; i++)
		bad += !writes[i];
	return !!bad;
}
