// SPDX-License-Identifier: GPL-2.0
/* Those who write: each a thread, with its own mix of requests. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "workload.h"

#define MAX_DEPTH	64

struct slot {
	struct iocb iocb;
	void *buffer;
	__u64 seq;
	bool busy;
};

static int open_device(const struct workload *w, int flags)
{
	int fd = open(w->device, O_RDWR | flags);

	if (fd < 0)
		err(2, "%s", w->device);
	return fd;
}

static struct random random_of(const struct writer *writer)
{
	return (struct random){ writer->w->seed * 1000 + writer->number };
}

/* Straight to the kernel: no library is needed where this runs. */
static void submit(aio_context_t context, struct iocb *iocb)
{
	long ret;

	do {
		ret = syscall(SYS_io_submit, context, 1, &iocb);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	if (ret != 1)
		err(2, "io_submit");
}

static bool start(struct writer *writer, struct random *r, aio_context_t context, int fd,
		  struct slot *slot)
{
	struct workload *w = writer->w;
	struct place at = { 0 };
	enum ledger_op op;

	slot->seq = request_number(w);
	if (!slot->seq)
		return false;
	slot->iocb = (struct iocb){
		.aio_data = (__u64)(uintptr_t)slot,
		.aio_fildes = fd,
	};
	if (random_below(r, 100) < writer->flushes) {
		op = LEDGER_FLUSH;
		slot->iocb.aio_lio_opcode = IOCB_CMD_FDSYNC;
	} else {
		op = random_below(r, 100) < writer->fua ? LEDGER_FUA : LEDGER_WRITE;
		at = place_pick(w, r, 0, w->direct_sectors);
		buffer_fill(w, slot->buffer, at, slot->seq);
		slot->iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
		slot->iocb.aio_buf = (__u64)(uintptr_t)slot->buffer;
		slot->iocb.aio_nbytes = at.sectors * SECTOR_SIZE;
		slot->iocb.aio_offset = at.lba * SECTOR_SIZE;
		if (op == LEDGER_FUA)
			slot->iocb.aio_rw_flags = RWF_DSYNC;
	}
	slot->busy = true;
	log_issue(w, slot->seq, op, at);
	submit(context, &slot->iocb);
	return true;
}

static int error_of(const struct slot *slot, __s64 res)
{
	if (res < 0)
		return -res;
	if (slot->iocb.aio_lio_opcode == IOCB_CMD_PWRITE && (__u64)res != slot->iocb.aio_nbytes)
		return EIO;
	return 0;
}

static unsigned int reap(struct workload *w, aio_context_t context)
{
	struct io_event events[MAX_DEPTH];
	struct slot *slot;
	long n, i;

	do {
		n = syscall(SYS_io_getevents, context, 1, MAX_DEPTH, events, NULL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		err(2, "io_getevents");
	for (i = 0; i < n; i++) {
		slot = (struct slot *)(uintptr_t)events[i].data;
		log_done(w, slot->seq, error_of(slot, events[i].res));
		slot->busy = false;
	}
	return n;
}

void *write_direct(void *arg)
{
	struct writer *writer = arg;
	struct random r = random_of(writer);
	struct slot *slots = calloc(writer->depth, sizeof(*slots));
	int fd = open_device(writer->w, O_DIRECT);
	unsigned int i, busy = 0;
	aio_context_t context = 0;
	bool more = true;

	if (!slots || writer->depth > MAX_DEPTH ||
	    syscall(SYS_io_setup, writer->depth, &context))
		err(2, "io_setup");
	for (i = 0; i < writer->depth; i++)
		slots[i].buffer = buffer_alloc();
	do {
		for (i = 0; more && i < writer->depth; i++) {
			if (slots[i].busy)
				continue;
			more = start(writer, &r, context, fd, &slots[i]);
			busy += more;
		}
		if (busy)
			busy -= reap(writer->w, context);
	} while (more || busy);
	close(fd);
	return NULL;
}

/*
 * One request at a time, and in a place of its own: a page is never changed while it
 * is on its way to the disk, which would be a torn write of the program's making.
 */
void *write_cached(void *arg)
{
	struct writer *writer = arg;
	struct workload *w = writer->w;
	struct random r = random_of(writer);
	int fd = open_device(w, 0);
	void *buffer = buffer_alloc();
	struct place at;
	__u64 seq;
	int error;

	while ((seq = request_number(w))) {
		at = place_pick(w, &r, w->direct_sectors, w->sectors - w->direct_sectors);
		buffer_fill(w, buffer, at, seq);
		log_issue(w, seq, LEDGER_SYNCED, at);
		error = 0;
		if (pwrite(fd, buffer, at.sectors * SECTOR_SIZE, at.lba * SECTOR_SIZE) !=
		    (ssize_t)at.sectors * SECTOR_SIZE)
			error = errno ?: EIO;
		if (fdatasync(fd) && !error)
			error = errno;
		log_done(w, seq, error);
	}
	close(fd);
	return NULL;
}

static int discard_or_zero(int fd, enum ledger_op op, struct place at, bool keep)
{
	__u64 range[2] = { at.lba * SECTOR_SIZE, at.sectors * SECTOR_SIZE };
	int ret;

	if (op == LEDGER_DISCARD)
		ret = ioctl(fd, BLKDISCARD, range);
	else if (keep)
		ret = ioctl(fd, BLKZEROOUT, range);
	else
		ret = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				range[0], range[1]);
	return ret ? errno : 0;
}

void *write_nothing(void *arg)
{
	struct writer *writer = arg;
	struct workload *w = writer->w;
	struct random r = random_of(writer);
	int fd = open_device(w, 0);
	enum ledger_op op;
	struct place at;
	bool keep;
	__u64 seq;

	while ((seq = request_number(w))) {
		at = place_pick(w, &r, 0, w->direct_sectors);
		op = random_below(&r, 2) ? LEDGER_DISCARD : LEDGER_ZERO;
		keep = random_below(&r, 2);
		log_issue(w, seq, op, at);
		log_done(w, seq, discard_or_zero(fd, op, at, keep));
	}
	close(fd);
	return NULL;
}
