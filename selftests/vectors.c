// SPDX-License-Identifier: GPL-2.0
/*
 * vectors write|verify FILE OFFSET SEGMENT COUNT [SEED]: one direct transfer from or to
 * COUNT pieces of memory, SEGMENT bytes each, none of which follows the one before, so
 * that each is a segment of a bio of its own. Says "ok", the name of the error, or where
 * the data is wrong. Every sector holds the seed and its own number.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR	512

static void fill(uint64_t *word, uint64_t pos, size_t len, uint64_t seed)
{
	size_t i;

	for (i = 0; i < len / sizeof(*word); i += 2) {
		word[i] = seed;
		word[i + 1] = (pos + i * sizeof(*word)) / SECTOR;
	}
}

static uint64_t number(const char *s)
{
	char *end;
	uint64_t n = strtoull(s, &end, 0);

	if (*end == 'k' || *end == 'M')
		n <<= *end++ == 'k' ? 10 : 20;
	if (end == s || *end)
		errx(2, "neither digits nor a size: %s", s);
	return n;
}

static int verify(const struct iovec *iov, unsigned int count, uint64_t pos, uint64_t seed)
{
	uint64_t want[SECTOR / sizeof(uint64_t)];
	unsigned int i;
	size_t at;

	for (i = 0; i < count; i++)
		for (at = 0; at < iov[i].iov_len; at += SECTOR, pos += SECTOR) {
			fill(want, pos, SECTOR, seed);
			if (!memcmp((char *)iov[i].iov_base + at, want, SECTOR))
				continue;
			printf("wrong at byte %ju, segment %u\n", (uintmax_t)pos, i);
			return 1;
		}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t pos, at, seed = 1;
	unsigned int count, i;
	struct iovec *iov;
	int fd, writes;
	size_t segment;
	ssize_t got;
	char *room;

	if (argc < 6 || argc > 7)
		errx(2, "usage: vectors write|verify FILE OFFSET SEGMENT COUNT [SEED]");
	writes = !strcmp(argv[1], "write");
	pos = number(argv[3]);
	segment = number(argv[4]);
	count = number(argv[5]);
	if (argc > 6)
		seed = number(argv[6]);

	iov = calloc(count, sizeof(*iov));
	/* Between two of them there is always a gap. */
	if (!iov || posix_memalign((void **)&room, 4096, count * (segment + 2 * SECTOR)))
		err(2, "memory");
	for (i = 0, at = pos; i < count; i++, at += segment) {
		iov[i].iov_base = room + i * (segment + 2 * SECTOR) + (i % 2) * SECTOR;
		iov[i].iov_len = segment;
		if (writes)
			fill(iov[i].iov_base, at, segment, seed);
	}

	fd = open(argv[2], (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
	if (fd < 0)
		err(2, "%s", argv[2]);
	got = writes ? pwritev(fd, iov, count, pos) : preadv(fd, iov, count, pos);
	if (got < 0) {
		puts(strerrorname_np(errno));
		return 1;
	}
	if ((size_t)got != segment * count) {
		printf("%zd of %zu bytes\n", got, segment * count);
		return 1;
	}
	if (!writes && verify(iov, count, pos, seed))
		return 1;
	puts("ok");
	return 0;
}
