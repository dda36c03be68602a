// SPDX-License-Identifier: GPL-2.0
/*
 * judge LEDGER DISK: compares a disk, or an image of it, after a power cut with the
 * ledger that left the machine before. Exit status: 0 nothing was lost or damaged,
 * 1 something was, 2 it could not be told.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oracle.h"
#include "stamp.h"

#define CHUNK	2048	/* sectors that are read at a time */
#define SHOWN	10
/* No stamp, and no content that a disk has at first. */
#define UNREADABLE	0xa5

static __u64 found[VERDICTS], unreadable;

static void look_at(const struct oracle *oracle, __u64 lba, const void *sector)
{
	__u32 content = oracle_content(oracle, lba, sector);
	enum verdict verdict = oracle_judge(oracle, lba, content);
	char text[256];

	found[verdict]++;
	if (verdict == FINE || found[LOST] + found[BROKEN] + found[STRANGE] > SHOWN)
		return;
	oracle_explain(oracle, lba, content, text, sizeof(text));
	puts(text);
}

/*
 * What can't be read was neither there before nor written: file systems with
 * checksums say so of blocks that their metadata has, and the disk has not.
 */
static void read_sectors(int fd, __u64 lba, __u64 n, unsigned char *buffer)
{
	__u64 i;

	if (pread(fd, buffer, n * SECTOR_SIZE, lba * SECTOR_SIZE) == (ssize_t)(n * SECTOR_SIZE))
		return;
	for (i = 0; i < n; i++, lba++, buffer += SECTOR_SIZE) {
		if (pread(fd, buffer, SECTOR_SIZE, lba * SECTOR_SIZE) == SECTOR_SIZE)
			continue;
		if (unreadable++ < SHOWN)
			printf("sector %llu: can't be read\n", lba);
		memset(buffer, UNREADABLE, SECTOR_SIZE);
	}
}

static void look_at_all(const struct oracle *oracle, const char *path)
{
	__u64 sectors = oracle_counts(oracle)->sectors, lba, i, n;
	unsigned char *buffer = malloc(CHUNK * SECTOR_SIZE);
	int fd = open(path, O_RDONLY);

	if (fd < 0 || !buffer)
		err(2, "%s", path);
	for (lba = 0; lba < sectors; lba += n) {
		n = sectors - lba < CHUNK ? sectors - lba : CHUNK;
		read_sectors(fd, lba, n, buffer);
		for (i = 0; i < n; i++)
			look_at(oracle, lba + i, buffer + i * SECTOR_SIZE);
	}
	if (unreadable == sectors)
		errx(2, "%s: nothing can be read", path);
	close(fd);
	free(buffer);
}

int main(int argc, char **argv)
{
	const struct oracle_counts *counts;
	struct ledger_record *ledger;
	struct oracle *oracle;
	__u64 count, i, objections = 0;

	if (argc != 3)
		errx(2, "usage: judge LEDGER DISK");
	ledger = ledger_read(argv[1], &count);
	if (!count)
		errx(2, "%s is empty", argv[1]);
	oracle = oracle_new(ledger);
	for (i = 1; i < count; i++) {
		if (!oracle_feed(oracle, &ledger[i])) {
			objections++;
			puts(oracle_objection(oracle));
		}
	}
	look_at_all(oracle, argv[2]);
	counts = oracle_counts(oracle);
	printf("acknowledged %llu failed %llu durable %llu flushes %llu ",
	       counts->acknowledged, counts->failed, counts->durable, counts->flushes);
	printf("lost %llu broken %llu strange %llu objections %llu\n",
	       found[LOST], found[BROKEN], found[STRANGE], objections);
	return found[LOST] || found[BROKEN] || found[STRANGE] || objections;
}
