// SPDX-License-Identifier: GPL-2.0
/*
 * The steps of the request plane.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuzz.h"

/* A range of a device, and one who has it open. */
struct request {
	struct device *dev;
	struct opened *by;
	size_t at, len;
};

static bool draw_request(struct request *request, size_t longest)
{
	struct device *dev = any_device();
	size_t block = dev->block_size, blocks = dev->capacity / block;

	if (!dev->nr_open)
		return false;
	request->dev = dev;
	request->by = &dev->opened[draw(dev->nr_open)];
	request->at = draw(blocks + 3) * block;
	request->len = (1 + draw(longest / block)) * block;
	/* Mostly inside. */
	if (chance(85) && request->at + request->len > dev->capacity) {
		request->at = blocks ? draw(blocks) * block : 0;
		if (request->at + request->len > dev->capacity)
			request->len = dev->capacity - request->at;
	}
	if (chance(6))
		request->at += 1 + draw(block - 1);
	if (chance(6))
		request->len += 1 + draw(block - 1);
	return request->len;
}

static bool is_read_only(struct device *dev)
{
	return dev->read_only || dev->set_read_only;
}

static bool is_aligned(const struct request *request, size_t len)
{
	return !((request->at | len) % request->dev->block_size);
}

/* The file has become shorter than the device. */
static bool is_cut_off(const struct request *request, size_t len)
{
	return request->dev->file && request->at + len > request->dev->file->size;
}

static void fill(unsigned char *to, size_t len)
{
	__u32 value = draw(0xffffffff);
	size_t i;

	for (i = 0; i < len; i++) {
		if (!(i % SECTOR))
			value = value * 1664525 + 1013904223;
		to[i] = (value >> 24) + i;
	}
}

static int draw_flags(bool write)
{
	int flags = 0;

	if (write && chance(30))
		flags |= RWF_DSYNC;
	if (chance(10))
		flags |= RWF_HIPRI;
	return flags;
}

static const char *flag_names(int flags)
{
	static char names[32];

	sprintf(names, "%s%s", flags & RWF_DSYNC ? " dsync" : "",
		flags & RWF_HIPRI ? " polled" : "");
	return names;
}

static void compare(const struct request *request, const unsigned char *got, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char want = request->dev->file->data[request->at + i];

		if (got[i] != want)
			mismatch("byte %zu of vinteg%u is %#x, expected %#x",
				 request->at + i, request->dev->number, got[i], want);
	}
}

/* Reads or writes. Returns how many bytes, or -1 after an error that was expected. */
static ssize_t transfer(const struct request *request, bool write, int flags)
{
	struct device *dev = request->dev;
	/* Now and then memory that isn't aligned. */
	bool crooked = chance(5);
	struct iovec iov = { fuzz.buffer + (crooked ? 4 : draw(8) * SECTOR /
				dev->block_size * dev->block_size), request->len };
	struct outcome outcome = { 0 };
	size_t want = request->len;
	ssize_t n;

	note("vinteg%u: %s %zu bytes at %zu%s", dev->number, write ? "write" : "read",
	     request->len, request->at, flag_names(flags));
	if (request->at >= dev->capacity)
		want = 0;
	else if (want > dev->capacity - request->at)
		want = dev->capacity - request->at;

	if (write) {
		may_fail(&outcome, !request->by->writable, EBADF);
		may_fail(&outcome, is_read_only(dev), EPERM);
		may_fail(&outcome, !want, ENOSPC);
		fill(iov.iov_base, request->len);
		n = pwritev2(request->by->fd, &iov, 1, request->at, flags);
	} else {
		n = preadv2(request->by->fd, &iov, 1, request->at, flags);
	}
	if (write || want) {
		may_fail(&outcome, !is_aligned(request, want) || crooked, EINVAL);
		may_fail(&outcome, is_cut_off(request, want), EIO);
	}
	if (!expect(&outcome, n < 0 ? errno : 0)) {
		if (write && dev->file && want)
			model_accept(dev->file, request->at, want, iov.iov_base);
		return -1;
	}
	if ((size_t)n != want)
		mismatch("%zd bytes moved, expected %zu", n, want);
	if (write)
		memcpy(dev->file->data + request->at, iov.iov_base, want);
	else
		compare(request, iov.iov_base, want);
	return n;
}

void step_read(void)
{
	struct request request;

	if (draw_request(&request, MAX_IO))
		transfer(&request, false, draw_flags(false));
}

void step_write(void)
{
	struct request request;

	if (draw_request(&request, MAX_IO))
		transfer(&request, true, draw_flags(true));
}

/* Through the disk's page cache, and then out of it. */
void step_write_cached(void)
{
	struct request request;
	char path[32];
	int fd;

	if (!draw_request(&request, MAX_IO) || request.at >= request.dev->capacity ||
	    is_read_only(request.dev) || request.dev->file->size < request.dev->capacity)
		return;
	if (request.len > request.dev->capacity - request.at)
		request.len = request.dev->capacity - request.at;
	sprintf(path, "/dev/vinteg%u", request.dev->number);
	note("%s: write %zu bytes at %zu, cached", path, request.len, request.at);
	fd = open(path, O_RDWR);
	fill(fuzz.buffer, request.len);
	if (fd < 0 ||
	    pwrite(fd, fuzz.buffer, request.len, request.at) != (ssize_t)request.len ||
	    fdatasync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) || close(fd))
		mismatch("%m");
	memcpy(request.dev->file->data + request.at, fuzz.buffer, request.len);
}

void step_flush(void)
{
	struct outcome outcome = { 0 };
	struct request request;

	if (!draw_request(&request, MAX_IO))
		return;
	note("vinteg%u: flush", request.dev->number);
	expect(&outcome, fdatasync(request.by->fd) ? errno : 0);
}

/* What the ways to discard and to zero have in common. */
static void clear(const struct request *request, const char *how,
		  int (*call)(const struct request *request))
{
	struct device *dev = request->dev;
	struct outcome outcome = { 0 };
	bool cut_off = is_cut_off(request, request->len);

	note("vinteg%u: %s %zu bytes at %zu", dev->number, how, request->len, request->at);
	may_fail(&outcome, !request->by->writable, EBADF);
	may_fail(&outcome, is_read_only(dev), EPERM);
	may_fail(&outcome, !dev->file || dev->read_only, EOPNOTSUPP);
	may_fail(&outcome, !is_aligned(request, request->len) ||
		 request->at + request->len > dev->capacity, EINVAL);
	may_fail(&outcome, cut_off, EIO);
	if (expect(&outcome, call(request) ? errno : 0))
		memset(dev->file->data + request->at, 0, request->len);
	else if (cut_off)
		model_accept(dev->file, request->at, request->len, NULL);
}

static int call_discard(const struct request *request)
{
	__u64 range[2] = { request->at, request->len };

	return ioctl(request->by->fd, BLKDISCARD, range);
}

static int call_zero(const struct request *request)
{
	__u64 range[2] = { request->at, request->len };

	return ioctl(request->by->fd, BLKZEROOUT, range);
}

void step_discard(void)
{
	struct request request;

	if (draw_request(&request, MAX_FILE))
		clear(&request, "discard", call_discard);
}

void step_zero(void)
{
	struct request request;

	if (draw_request(&request, MAX_FILE))
		clear(&request, "zero", call_zero);
}

/* All that the device and its file show. */
void step_verify(void)
{
	struct device *dev = any_device();
	struct request request = { .dev = dev };
	struct opened reader;
	char path[32];

	if (!dev->file)
		return;
	model_check_file(dev->file);
	sprintf(path, "/dev/vinteg%u", dev->number);
	reader.fd = open(path, O_RDONLY | O_DIRECT);
	if (reader.fd < 0)
		mismatch("%s: %m", path);
	request.by = &reader;
	for (; request.at < dev->capacity; request.at += request.len) {
		request.len = dev->capacity - request.at;
		if (request.len > MAX_IO)
			request.len = MAX_IO;
		transfer(&request, false, 0);
	}
	close(reader.fd);
}
