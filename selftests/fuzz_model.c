// SPDX-License-Identifier: GPL-2.0
/*
 * Devices and files as they should be, and the comparison with what is.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

struct file files[] = {
	{ .name = "a.img", .first_size = 256 << 10 },
	{ .name = "b.img", .first_size = (64 << 10) + 512 },
	{ .name = "c d.img", .first_size = (128 << 10) + 100 },
	{ .name = "tiny.img", .first_size = 300 },
	{ .name = "sealed.img", .first_size = 64 << 10, .sealed = true },
	{ }
};

struct target targets[24];
const char *schedulers[16];

/* Adds an error to those that a step may end with. */
void may_fail(struct outcome *outcome, bool condition, int error)
{
	if (condition)
		outcome->errors[outcome->nr++] = error;
}

/* Judges how a step has ended. Returns true if it has succeeded. */
bool expect(const struct outcome *outcome, int error)
{
	char expected[256] = "";
	unsigned int i;

	if (!error && !outcome->nr)
		return true;
	for (i = 0; i < outcome->nr; i++)
		if (outcome->errors[i] == error)
			return false;
	for (i = 0; i < outcome->nr; i++) {
		strcat(expected, i ? " or " : "");
		strcat(expected, strerrorname_np(outcome->errors[i]));
	}
	mismatch("ended with %s, expected %s", error ? strerrorname_np(error) : "success",
		 outcome->nr ? expected : "success");
	return false;
}

void attribute_path(char *path, const struct device *dev, const char *name)
{
	sprintf(path, "/sys/block/vinteg%u/%s", dev->number, name);
}

int write_text(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY);
	int error = 0;
	ssize_t n;

	if (fd < 0)
		return errno;
	n = write(fd, text, len);
	if (n < 0)
		error = errno;
	else if ((size_t)n != len)
		mismatch("%zd of %zu bytes written to %s", n, len, path);
	close(fd);
	return error;
}

/* What is looked at after each step. Kept open: that is most of the work otherwise. */
static const char * const attributes[NR_ATTRIBUTES] = {
	"backing_file", "size", "cache_policy", "read_only", "logical_block_size",
	"queue/logical_block_size", "writeback_error", "ro", "queue/write_cache",
	"queue/scheduler",
};

void model_open_attributes(struct device *dev)
{
	char path[128];
	int i;

	for (i = 0; i < NR_ATTRIBUTES; i++) {
		attribute_path(path, dev, attributes[i]);
		dev->attributes[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (dev->attributes[i] < 0)
			mismatch("%s: %m", path);
	}
}

void model_close_attributes(struct device *dev)
{
	int i;

	for (i = 0; i < NR_ATTRIBUTES; i++)
		close(dev->attributes[i]);
}

static void read_attribute(const struct device *dev, int which, char *text)
{
	ssize_t n = pread(dev->attributes[which], text, 4096, 0);

	if (n <= 0 || text[n - 1] != '\n')
		mismatch("%s of vinteg%u: %zd bytes, %m", attributes[which], dev->number, n);
	text[n - 1] = 0;
}

static void check_text(const struct device *dev, int which, const char *want)
{
	char text[4097];

	read_attribute(dev, which, text);
	if (strcmp(text, want))
		mismatch("%s of vinteg%u is \"%s\", expected \"%s\"", attributes[which],
			 dev->number, text, want);
}

static void check_number(const struct device *dev, int which, unsigned long want)
{
	char text[32];

	sprintf(text, "%lu", want);
	check_text(dev, which, text);
}

/* The one in brackets. */
static void check_choice(const struct device *dev, int which, const char *want)
{
	char text[4097], choice[64];

	read_attribute(dev, which, text);
	sprintf(choice, "[%s]", want);
	if (!strstr(text, choice))
		mismatch("%s of vinteg%u is \"%s\", expected %s", attributes[which],
			 dev->number, text, choice);
}

/* Special characters as in /proc/mounts. */
static void escape(char *to, const char *from)
{
	for (; *from; from++) {
		if (strchr(" \t\n\\", *from))
			to += sprintf(to, "\\%03o", *from);
		else
			*to++ = *from;
	}
	*to = 0;
}

void model_check_device(struct device *dev)
{
	char shown[8192] = "";

	if (dev->file)
		escape(shown, dev->path);
	/* An empty line if nothing is bound. */
	check_text(dev, 0, shown);
	check_number(dev, 1, dev->capacity / SECTOR);
	check_choice(dev, 2, dev->policy);
	check_number(dev, 3, dev->read_only_wanted);
	check_number(dev, 4, dev->block_size_wanted);
	check_number(dev, 5, dev->block_size);
	check_number(dev, 6, 0);
	check_number(dev, 7, dev->read_only || dev->set_read_only);
	check_text(dev, 8, dev->write_through ? "write through" : "write back");
	check_choice(dev, 9, dev->scheduler);
}

static void read_file(struct file *file, size_t at, void *to, size_t len)
{
	ssize_t n = pread(file->fd, to, len, at);

	if (n != (ssize_t)len)
		mismatch("%s: %zd of %zu bytes read, %m", file->name, n, len);
}

void model_check_file(struct file *file)
{
	static unsigned char data[MAX_FILE];
	struct stat st;
	size_t at;

	if (fstat(file->fd, &st))
		mismatch("%s: %m", file->name);
	if ((size_t)st.st_size != file->size)
		mismatch("%s has %zu bytes, expected %zu", file->name, (size_t)st.st_size,
			 file->size);
	read_file(file, 0, data, file->size);
	for (at = 0; at < file->size; at++)
		if (data[at] != file->data[at])
			mismatch("byte %zu of %s is %#x, expected %#x", at, file->name,
				 data[at], file->data[at]);
}

/*
 * Something that should have put @new (or zeroes, if NULL) into a range has failed: each
 * sector may be old or new, and nothing else.
 */
void model_accept(struct file *file, size_t at, size_t len, const unsigned char *new)
{
	static const unsigned char zeroes[SECTOR];
	unsigned char now[SECTOR];
	size_t end = at + len < file->size ? at + len : file->size;

	for (; at < end; at += SECTOR) {
		size_t n = end - at < SECTOR ? end - at : SECTOR;

		read_file(file, at, now, n);
		if (memcmp(now, file->data + at, n) && memcmp(now, new ? new : zeroes, n))
			mismatch("sector at %zu of %s is neither old nor new", at, file->name);
		memcpy(file->data + at, now, n);
		new = new ? new + SECTOR : NULL;
	}
}

/* What a reset leaves: all but what belongs to the block layer. */
void model_unbind(struct device *dev)
{
	dev->file = NULL;
	dev->path = NULL;
	dev->policy = "none";
	dev->policy_asked = false;
	dev->read_only_wanted = false;
	dev->read_only = false;
	dev->block_size_wanted = 0;
	dev->block_size = SECTOR;
	dev->capacity = 0;
}

void model_reset_device(struct device *dev)
{
	model_unbind(dev);
	dev->scheduler = "none";
	dev->set_read_only = false;
	dev->write_through = false;
	dev->nr_open = 0;
}

/* What direct I/O on the files needs; 0 if they can't do it. */
static unsigned int direct_alignment(const char *path)
{
	struct statx st;
	int fd;

	if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_DIOALIGN, &st))
		err(2, "%s", path);
	if (st.stx_mask & STATX_DIOALIGN)
		return st.stx_dio_offset_align;
	fd = open(path, O_RDONLY | O_DIRECT);
	if (fd < 0)
		return 0;
	close(fd);
	return st.stx_blksize < 4096 ? st.stx_blksize : 4096;
}

static struct target *add_target(const char *name, struct file *file, int error)
{
	struct target *target = &targets[fuzz.nr_targets++];

	snprintf(target->path, sizeof(target->path), "%s%s%s", *name == '/' ? "" : fuzz.dir,
		 *name == '/' ? "" : "/", name);
	target->shown = target->path;
	target->file = file;
	target->error = error;
	return target;
}

static void set_sealed(struct file *file, bool sealed)
{
	int flags = sealed ? FS_IMMUTABLE_FL : 0;

	if (ioctl(file->fd, FS_IOC_SETFLAGS, &flags))
		err(2, "%s can't be made immutable", file->name);
}

/* Files and paths of a worker; its folder is empty, or was prepared before. */
void model_prepare(void)
{
	char long_name[4096], path[4096];
	struct target *target;
	struct file *file;

	for (file = files; file->name; file++) {
		target = add_target(file->name, file, 0);
		file->fd = open(target->path, O_CREAT | (file->sealed ? O_RDONLY : O_RDWR),
				0600);
		file->data = malloc(MAX_FILE);
		if (file->fd < 0 || !file->data)
			err(2, "%s", target->path);
		if (file->sealed) {
			/* It may be so from the last time. */
			set_sealed(file, false);
			if (truncate(target->path, file->first_size))
				err(2, "%s", target->path);
			set_sealed(file, true);
		}
	}
	fuzz.dio_align = direct_alignment(targets[0].path);
	if (fuzz.dio_align && fuzz.dio_align < SECTOR)
		fuzz.dio_align = SECTOR;

	snprintf(path, sizeof(path), "%s/link", fuzz.dir);
	if (symlink("a.img", path) && errno != EEXIST)
		err(2, "%s", path);
	add_target("link", &files[0], 0)->shown = targets[0].path;
	snprintf(path, sizeof(path), "%s/circle", fuzz.dir);
	if (symlink("circle", path) && errno != EEXIST)
		err(2, "%s", path);
	add_target("circle", NULL, ELOOP);
	snprintf(path, sizeof(path), "%s/fifo", fuzz.dir);
	if (mkfifo(path, 0600) && errno != EEXIST)
		err(2, "%s", path);
	add_target("fifo", NULL, ENOTBLK);
	/* Where somebody has mounted the folder once more, for reading only. */
	snprintf(path, sizeof(path), "%s/ro/a.img", fuzz.dir);
	if (!access(path, F_OK))
		add_target("ro/a.img", &files[0], EROFS);
	add_target("missing", NULL, ENOENT);
	add_target("a.img/below", NULL, ENOTDIR);
	add_target(".", NULL, EISDIR);
	add_target("/dev/null", NULL, ENOTBLK);
	memset(long_name, 'x', 300);
	long_name[300] = 0;
	add_target(long_name, NULL, ENAMETOOLONG);
}

/* Every sequence begins with the same files, and no device. */
void model_start(void)
{
	struct file *file;

	for (file = files; file->name; file++) {
		memset(file->data, 0, MAX_FILE);
		file->size = file->first_size;
		if (file->sealed)
			continue;
		if (ftruncate(file->fd, 0) || ftruncate(file->fd, file->size))
			err(2, "%s", file->name);
	}
	fuzz.nr_devices = 0;
}
