// SPDX-License-Identifier: GPL-2.0
/*
 * writer RUN FIRST COUNT LEDGER NAME=FILE...: one process per file appends records,
 * from number FIRST on, and calls fsync after each. Once fsync has returned, and
 * not before, the line "NAME NUMBER" goes to LEDGER: a port that leads out of the
 * machine. With COUNT 0 it goes on until the power is cut.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "record.h"

static void append(int fd, __u64 run, __u64 seq)
{
	unsigned char record[RECORD_SIZE];
	unsigned int i;

	for (i = 0; i < RECORD_SECTORS; i++) {
		struct stamp stamp = {
			.run = run,
			.lba = seq * RECORD_SECTORS + i,
			.seq = seq,
		};

		stamp_write(record + i * SECTOR_SIZE, &stamp);
	}
	if (pwrite(fd, record, sizeof(record), seq * RECORD_SIZE) != sizeof(record))
		err(1, "write");
	if (fsync(fd))
		err(1, "fsync");
}

static void write_records(const char *name, const char *path, __u64 run,
			  __u64 first, __u64 count, int ledger)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	__u64 seq;
	char line[64];
	int len;

	if (fd < 0)
		err(1, "%s", path);
	for (seq = first; !count || seq < first + count; seq++) {
		append(fd, run, seq);
		len = snprintf(line, sizeof(line), "%s %llu\n", name,
			       (unsigned long long)seq);
		/* One call, one line: the processes share the ledger. */
		if (write(ledger, line, len) != len)
			err(1, "ledger");
	}
}

int main(int argc, char **argv)
{
	int ledger, status, failed = 0, i;
	char *path;

	if (argc < 6)
		errx(2, "usage: writer RUN FIRST COUNT LEDGER NAME=FILE...");
	ledger = open(argv[4], O_WRONLY | O_APPEND);
	if (ledger < 0)
		err(1, "%s", argv[4]);
	for (i = 5; i < argc; i++) {
		path = strchr(argv[i], '=');
		if (!path)
			errx(2, "no '=' in %s", argv[i]);
		*path++ = 0;
		switch (fork()) {
		case -1:
			err(1, "fork");
		case 0:
			write_records(argv[i], path, strtoull(argv[1], NULL, 0),
				      strtoull(argv[2], NULL, 0),
				      strtoull(argv[3], NULL, 0), ledger);
			return 0;
		}
	}
	while (wait(&status) > 0)
		failed |= status;
	return !!failed;
}
