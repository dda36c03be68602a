// SPDX-License-Identifier: GPL-2.0
/*
 * racer SECONDS FILE FILE: opens, reads, writes, binds, resets, resizes, adds and removes
 * vinteg devices and changes all their attributes, each by a thread of its own, and all
 * at the same time. Fails if something ends with an error that is no consequence of the
 * others, or if something has not succeeded a few times within thirty times the seconds.
 * Prints what happened.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/types.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "attr.h"

#define DEVICES	2
#define ENOUGH	5
#define BLOCK	4096
#define CONTROL	"/sys/class/vinteg-control/"

static const char *files[DEVICES];
static atomic_bool stop;

struct racer {
	const char *name;
	int (*run)(unsigned int round);	/* 0 or an errno */
	int also[6];	/* errors that the others may cause */
	atomic_uint ok;
	unsigned int lost[133];	/* by errno */
};

static int path_of(char *path, size_t size, unsigned int disk, const char *attr)
{
	return snprintf(path, size, "/sys/block/vinteg%u/%s", disk % DEVICES, attr);
}

static int set(unsigned int disk, const char *attr, const char *text)
{
	char path[64];

	path_of(path, sizeof(path), disk, attr);
	return attr_write(path, text);
}

static int race_open(unsigned int round)
{
	char path[32], buf[4096];
	int ret;

	snprintf(path, sizeof(path), "/dev/vinteg%u", round % DEVICES);
	ret = attr_read(path, buf, sizeof(buf));
	/* Leaves the others time in between. */
	usleep(2000);
	return ret;
}

static int race_bind(unsigned int round)
{
	return set(round, "backing_file", files[round / 2 % DEVICES]);
}

static int race_reset(unsigned int round)
{
	return set(round, "reset", "1");
}

static int race_rescan(unsigned int round)
{
	return set(round, "rescan", "1");
}

static int race_policy(unsigned int round)
{
	static const char * const names[] = { "none", "writeback", "unsafe",
					      "writethrough", "guest" };

	return set(round, "cache_policy", names[round % 5]);
}

static int race_read_only(unsigned int round)
{
	return set(round, "read_only", "0");
}

static int race_block_size(unsigned int round)
{
	static const char * const sizes[] = { "0", "4096", "512" };

	return set(round, "logical_block_size", sizes[round % 3]);
}

static int race_forgive(unsigned int round)
{
	return set(round, "writeback_error", "0");
}

static int race_write_cache(unsigned int round)
{
	usleep(5000);
	return set(round, "queue/write_cache", round / 2 % 2 ? "write back" : "write through");
}

static int race_scheduler(unsigned int round)
{
	usleep(20000);
	return set(round, "queue/scheduler", round / 2 % 2 ? "none" : "mq-deadline");
}

/* Opens a disk, lets somebody do something with it, and leaves the others time. */
static int with_disk(unsigned int round, int flags, int (*run)(int fd, unsigned int round))
{
	char path[32];
	int fd, ret;

	snprintf(path, sizeof(path), "/dev/vinteg%u", round % DEVICES);
	fd = open(path, flags);
	ret = fd < 0 || run(fd, round) < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	usleep(5000);
	return ret;
}

static int write_and_read(int fd, unsigned int block)
{
	static char room[2 * BLOCK];
	char *buf = room + BLOCK - (uintptr_t)room % BLOCK;
	off_t at = BLOCK * block;

	if (pwrite(fd, buf, BLOCK, at) < 0)
		return -1;
	return pread(fd, buf, BLOCK, at);
}

static int write_directly(int fd, unsigned int round)
{
	return write_and_read(fd, round / 2 % 64);
}

static int race_direct(unsigned int round)
{
	return with_disk(round, O_RDWR | O_DIRECT | (round / 2 % 2 ? O_DSYNC : 0),
			 write_directly);
}

/*
 * Not where the direct writes go. If one of those can't drop a page because it has just
 * been written to again, the kernel takes that for an error of the disk's page cache, and
 * the next fdatasync() has it: dio_warn_stale_pagecache() of mm/filemap.c.
 */
static int write_and_flush(int fd, unsigned int round)
{
	if (write_and_read(fd, 64 + round / 2 % 64) < 0)
		return -1;
	return fdatasync(fd);
}

static int race_cached(unsigned int round)
{
	return with_disk(round, O_RDWR, write_and_flush);
}

static int discard(int fd, unsigned int round)
{
	__u64 range[2] = { 8192, 65536 };

	return ioctl(fd, round / 2 % 2 ? BLKDISCARD : BLKZEROOUT, range);
}

static int race_discard(unsigned int round)
{
	return with_disk(round, O_RDWR, discard);
}

static int set_read_only(int fd, unsigned int round)
{
	int on = !(round / 2 % 4);

	return ioctl(fd, BLKROSET, &on);
}

static int race_set_read_only(unsigned int round)
{
	return with_disk(round, O_RDONLY, set_read_only);
}

static int reread_partitions(int fd, unsigned int round)
{
	(void)round;
	return ioctl(fd, BLKRRPART);
}

static int race_partitions(unsigned int round)
{
	return with_disk(round, O_RDONLY, reread_partitions);
}

static int race_look(unsigned int round)
{
	static const char * const names[] = { "backing_file", "cache_policy", "size",
					      "stats/reads", "writeback_error" };
	char path[64], buf[4096];

	path_of(path, sizeof(path), round, names[round % 5]);
	return attr_read(path, buf, sizeof(buf));
}

static int race_remove(unsigned int round)
{
	int ret = attr_write(CONTROL "hot_remove", round % DEVICES ? "1" : "0");

	usleep(20000);
	return ret;
}

/* Fills up what the others have removed. */
static int race_add(unsigned int round)
{
	char path[64], number[16];

	path_of(path, sizeof(path), round, "size");
	if (!access(path, F_OK))
		return EBUSY;
	return attr_read(CONTROL "hot_add", number, sizeof(number));
}

static struct racer racers[] = {
	{ .name = "open", .run = race_open },
	{ .name = "bind", .run = race_bind },
	{ .name = "reset", .run = race_reset },
	{ .name = "rescan", .run = race_rescan },
	{ .name = "policy", .run = race_policy },
	{ .name = "read_only", .run = race_read_only },
	{ .name = "block_size", .run = race_block_size },
	{ .name = "writeback_error", .run = race_forgive },
	{ .name = "write_cache", .run = race_write_cache },
	{ .name = "scheduler", .run = race_scheduler },
	{ .name = "direct", .run = race_direct, .also = { EPERM, EACCES, ENOSPC } },
	{ .name = "cached", .run = race_cached, .also = { EPERM, EACCES, ENOSPC } },
	{ .name = "discard", .run = race_discard,
	  .also = { EPERM, EACCES, EINVAL, EOPNOTSUPP } },
	{ .name = "set_read_only", .run = race_set_read_only },
	{ .name = "partitions", .run = race_partitions },
	{ .name = "look", .run = race_look },
	{ .name = "add", .run = race_add },
	{ .name = "remove", .run = race_remove },
};

#define NR_RACERS (sizeof(racers) / sizeof(racers[0]))

static void *race(void *arg)
{
	struct racer *racer = arg;
	unsigned int round;

	for (round = 0; !stop; round++) {
		int ret = racer->run(round);

		if (ret)
			racer->lost[ret]++;
		else
			racer->ok++;
	}
	return NULL;
}

static int all_succeeded(void)
{
	size_t i;

	for (i = 0; i < NR_RACERS; i++)
		if (racers[i].ok < ENOUGH)
			return 0;
	return 1;
}

/* Busy, gone, or, in the middle of going, nothing to read or rescan there. */
static int is_expected(const struct racer *racer, int error)
{
	size_t i;

	for (i = 0; i < sizeof(racer->also) / sizeof(racer->also[0]); i++)
		if (racer->also[i] == error)
			return 1;
	return error == EBUSY || error == ENODEV || error == ENOENT || error == ENXIO;
}

int main(int argc, char **argv)
{
	pthread_t threads[NR_RACERS];
	int seconds, waited = 0, failed = 0;
	size_t i, e;

	if (argc != 2 + DEVICES)
		errx(2, "usage: racer SECONDS FILE FILE");
	seconds = atoi(argv[1]);
	files[0] = argv[2];
	files[1] = argv[3];

	for (i = 0; i < NR_RACERS; i++)
		if (pthread_create(&threads[i], NULL, race, &racers[i]))
			errx(2, "no thread");
	while (waited < seconds || (!all_succeeded() && waited < 30 * seconds)) {
		sleep(1);
		waited++;
	}
	stop = 1;
	for (i = 0; i < NR_RACERS; i++)
		pthread_join(threads[i], NULL);

	for (i = 0; i < NR_RACERS; i++) {
		printf("%s: %u times", racers[i].name, racers[i].ok);
		for (e = 0; e < 133; e++) {
			if (!racers[i].lost[e])
				continue;
			printf(", %u times %s", racers[i].lost[e], strerrorname_np(e));
			if (!is_expected(&racers[i], e)) {
				printf(" (unexpected)");
				failed = 1;
			}
		}
		if (racers[i].ok < ENOUGH) {
			printf(" (too few)");
			failed = 1;
		}
		putchar('\n');
	}
	return failed;
}
