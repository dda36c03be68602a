// SPDX-License-Identifier: GPL-2.0
/*
 * checker RUN LEDGER NAME=FILE...: reads the acknowledgments that left the machine
 * before the power cut, looks for each of these records in the files, and prints
 * a line "NAME acknowledged N found N" for each file.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record.h"

static int is_there(int fd, __u64 run, __u64 seq)
{
	unsigned char record[RECORD_SIZE];
	struct stamp stamp;
	unsigned int i;

	if (pread(fd, record, sizeof(record), seq * RECORD_SIZE) != sizeof(record))
		return 0;
	for (i = 0; i < RECORD_SECTORS; i++) {
		if (stamp_read(record + i * SECTOR_SIZE, &stamp) != STAMP_VALID ||
		    stamp.run != run || stamp.seq != seq ||
		    stamp.lba != seq * RECORD_SECTORS + i)
			return 0;
	}
	return 1;
}

static void check(FILE *ledger, const char *name, const char *path, __u64 run)
{
	__u64 seq, acknowledged = 0, found = 0, number = 0;
	char line[128], writer[64], end;
	/* A file that is gone has lost all of its records. */
	int fd = open(path, O_RDONLY);

	rewind(ledger);
	while (fgets(line, sizeof(line), ledger)) {
		number++;
		/* The last line may have been cut, too: then it was no acknowledgment. */
		if (!strchr(line, '\n') && feof(ledger))
			break;
		if (sscanf(line, "%63s %llu%c", writer, &seq, &end) != 3 || end != '\n')
			errx(2, "ledger: line %llu is no acknowledgment", number);
		if (strcmp(writer, name))
			continue;
		acknowledged++;
		if (fd >= 0)
			found += is_there(fd, run, seq);
	}
	printf("%s acknowledged %llu found %llu\n", name,
	       acknowledged, found);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	FILE *ledger;
	char *path;
	int i;

	if (argc < 4)
		errx(2, "usage: checker RUN LEDGER NAME=FILE...");
	ledger = fopen(argv[2], "r");
	if (!ledger)
		err(1, "%s", argv[2]);
	for (i = 3; i < argc; i++) {
		path = strchr(argv[i], '=');
		if (!path)
			errx(2, "no '=' in %s", argv[i]);
		*path++ = 0;
		check(ledger, argv[i], path, strtoull(argv[1], NULL, 0));
	}
	return 0;
}
