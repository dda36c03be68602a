// SPDX-License-Identifier: GPL-2.0
/*
 * For faults: the attributes, and the kernel's fault injection.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attr.h"
#include "faults.h"

#define DEBUG		"/sys/kernel/debug/"
#define PERCENT		"8"

int nth = -1;
static int chances[3] = { -1, -1, -1 };	/* of those to be injected otherwise */

/* Without a fault this has to work. */
void must_put(const char *path, const char *text)
{
	int ret = attr_write(path, text);

	if (ret)
		errx(2, "%s := %s: %s", path, text, strerrorname_np(ret));
}

void get(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		err(2, "%s", path);
	n = read(fd, text, size - 1);
	if (n < 0)
		err(2, "%s", path);
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	close(fd);
}

int is_bound(void)
{
	char name[4096], size[32];

	get(SYS "backing_file", name, sizeof(name));
	get(SYS "size", size, sizeof(size));
	if (!*name != !strcmp(size, "0"))
		complain("half bound: file '%s', size %s", name, size);
	return !!*name;
}

int is_stuck(void)
{
	char error[32];

	get(SYS "writeback_error", error, sizeof(error));
	return strcmp(error, "0");
}

void open_chances(char *faults)
{
	char path[128], *fault;
	int i;

	for (i = 0; i < 2; i++) {
		fault = strtok(i ? NULL : faults, ",");
		if (!fault)
			break;
		snprintf(path, sizeof(path), DEBUG "%s/probability", fault);
		chances[i] = open(path, O_WRONLY | O_CLOEXEC);
		if (chances[i] < 0)
			err(2, "%s", path);
	}
}

/* Marks the tasks in which random allocations fail: the kernel's workers, and this one. */
static void mark_tasks(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[300], comm[64];
	int fd;

	if (!dir)
		err(2, "/proc");
	while ((entry = readdir(dir))) {
		ssize_t n;

		if (atoi(entry->d_name) <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		n = read(fd, comm, sizeof(comm) - 1);
		close(fd);
		comm[n > 0 ? n : 0] = 0;
		if (strncmp(comm, "kworker/u", 9) && !strstr(comm, "vinteg"))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/make-it-fail", entry->d_name);
		attr_write(path, "1");
	}
	closedir(dir);
	attr_write("/proc/self/make-it-fail", "1");
}

void inject(unsigned int n)
{
	char text[64];
	int i;

	if (nth >= 0) {
		snprintf(text, sizeof(text), "%u", n);
		if (pwrite(nth, text, strlen(text), 0) < 0)
			err(2, "fail-nth");
		return;
	}
	if (n)
		mark_tasks();
	/* Opened before: that may fail now. They can't be sought in. */
	for (i = 0; chances[i] >= 0; i++)
		if (write(chances[i], n ? PERCENT : "0", 1) != 1)
			err(2, "probability");
}

/* Returns whether the fault has come. */
int injected(void)
{
	char text[16] = "";

	if (nth < 0)
		return 1;
	if (pread(nth, text, sizeof(text) - 1, 0) < 0)
		err(2, "fail-nth");
	inject(0);
	return !atoi(text);
}

static int makes_sense(const struct op *op, int error)
{
	return error == ENOMEM || error == EIO || error == ENOSPC || error == op->also;
}

int note(struct op *op, int ret)
{
	if (!ret) {
		op->ok++;
	} else {
		op->failed[ret]++;
		if (!makes_sense(op, ret))
			complain("%s: %s", op->name, strerrorname_np(ret));
	}
	return ret;
}

void report(const struct op *op)
{
	unsigned int e;

	printf("%s: %u times", op->name, op->ok);
	for (e = 0; e < 134; e++)
		if (op->failed[e])
			printf(", %u times %s", op->failed[e], strerrorname_np(e));
	if (nth >= 0)
		printf("; %u allocations", op->injected);
	putchar('\n');
}
