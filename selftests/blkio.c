// SPDX-License-Identifier: GPL-2.0
/*
 * Sends one kind of request to a block device (or file) and says "ok" or the
 * name of the error. Writes go through io_uring, because a synchronous O_DSYNC
 * writer adds a flush of its own to its FUA write, and the tests count flushes.
 *
 * Every sector that is written holds the seed and its own number, so that it is
 * known again wherever it turns up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/types.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR	512
#define DEPTH	64

struct job {
	const char *path;
	__u64 pos, len;	/* of the first request, in bytes */
	__u64 step;		/* from one request to the next; default: len */
	unsigned int count;	/* of requests */
	unsigned int depth;	/* in flight together */
	__u64 seed;		/* 0 stands for a sector of zeroes */
	int fua, buffered;
	int blocking;		/* never with REQ_NOWAIT */
	int polled;		/* with REQ_POLLED, if the disk knows that */
};

struct ring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void fill(void *buf, __u64 pos, __u64 len, __u64 seed)
{
	__u64 *word = buf, i;

	for (i = 0; i < len / 8; i += 2) {
		word[i] = seed;
		word[i + 1] = seed ? (pos + i * 8) / SECTOR : 0;
	}
}

static void *ring_map(int fd, size_t size, off_t what)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, fd, what);

	if (p == MAP_FAILED) {
		perror("blkio: mmap of io_uring");
		exit(2);
	}
	return p;
}

static void ring_open(struct ring *r, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags };
	char *sq, *cq;

	r->fd = syscall(__NR_io_uring_setup, DEPTH, &p);
	if (r->fd < 0) {
		perror("blkio: io_uring_setup");
		exit(2);
	}
	sq = ring_map(r->fd, p.sq_off.array + p.sq_entries * 4, IORING_OFF_SQ_RING);
	cq = ring_map(r->fd, p.cq_off.cqes + p.cq_entries * sizeof(*r->cqes),
		      IORING_OFF_CQ_RING);
	r->sqes = ring_map(r->fd, p.sq_entries * sizeof(*r->sqes), IORING_OFF_SQES);
	r->sq_tail = (void *)(sq + p.sq_off.tail);
	r->sq_mask = (void *)(sq + p.sq_off.ring_mask);
	r->sq_array = (void *)(sq + p.sq_off.array);
	r->cq_head = (void *)(cq + p.cq_off.head);
	r->cq_tail = (void *)(cq + p.cq_off.tail);
	r->cq_mask = (void *)(cq + p.cq_off.ring_mask);
	r->cqes = (void *)(cq + p.cq_off.cqes);
}

/* Submits @nr writes together and waits for all. Returns 0 or the first error. */
static int write_batch(struct ring *r, int fd, const struct job *j, char *buf,
		       unsigned int first, unsigned int nr)
{
	unsigned int i, slot, head, tail = *r->sq_tail, submit = nr, done = 0;
	int err = 0;

	for (i = 0; i < nr; i++) {
		__u64 pos = j->pos + (first + i) * j->step;
		struct io_uring_sqe *sqe;

		fill(buf + i * j->len, pos, j->len, j->seed);
		slot = tail++ & *r->sq_mask;
		sqe = &r->sqes[slot];
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IORING_OP_WRITE;
		sqe->fd = fd;
		sqe->addr = (uintptr_t)(buf + i * j->len);
		sqe->len = j->len;
		sqe->off = pos;
		sqe->rw_flags = j->fua ? RWF_DSYNC : 0;
		sqe->flags = j->blocking ? IOSQE_ASYNC : 0;
		r->sq_array[slot] = slot;
	}
	__atomic_store_n(r->sq_tail, tail, __ATOMIC_RELEASE);
	/* Who polls may be sent back before all are done. */
	for (head = *r->cq_head; done < nr;) {
		if (syscall(__NR_io_uring_enter, r->fd, submit, nr - done,
			    IORING_ENTER_GETEVENTS, NULL, 0) < 0 && errno != EINTR)
			return -errno;
		submit = 0;
		for (; head != __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE); head++, done++) {
			int res = r->cqes[head & *r->cq_mask].res;

			if (res < 0 && !err)
				err = res;
			else if (res >= 0 && (__u64)res != j->len && !err)
				err = -EREMOTEIO;	/* a short write has no errno */
		}
		__atomic_store_n(r->cq_head, head, __ATOMIC_RELEASE);
	}
	return err;
}

static int write_buffered(int fd, const struct job *j, char *buf)
{
	unsigned int i;

	for (i = 0; i < j->count; i++) {
		__u64 pos = j->pos + i * j->step;

		fill(buf, pos, j->len, j->seed);
		if (pwrite(fd, buf, j->len, pos) != (ssize_t)j->len)
			return -errno;
		if (sync_file_range(fd, pos, j->len, SYNC_FILE_RANGE_WRITE_AND_WAIT))
			return -errno;
	}
	return 0;
}

static int do_write(int fd, const struct job *j, char *buf)
{
	struct ring ring;
	unsigned int i, nr;
	int err = 0;

	if (j->buffered)
		return write_buffered(fd, j, buf);
	ring_open(&ring, j->polled ? IORING_SETUP_IOPOLL : 0);
	for (i = 0; i < j->count && !err; i += nr) {
		nr = j->count - i < j->depth ? j->count - i : j->depth;
		err = write_batch(&ring, fd, j, buf, i, nr);
	}
	return err;
}

static int do_read(int fd, const struct job *j, char *buf)
{
	unsigned int i;

	for (i = 0; i < j->count; i++) {
		ssize_t got = pread(fd, buf, j->len, j->pos + i * j->step);

		if (got < 0)
			return -errno;
		if (got != (ssize_t)j->len)
			return -ENODATA;
	}
	return 0;
}

/* Compares with what "write" with the same arguments would have left there. */
static int do_verify(int fd, const struct job *j, char *buf)
{
	unsigned long same = 0, zero = 0, total = j->count * (j->len / SECTOR);
	static const char zeroes[SECTOR];
	char want[SECTOR];
	unsigned int i;
	__u64 off;

	for (i = 0; i < j->count; i++) {
		__u64 pos = j->pos + i * j->step;
		ssize_t got = pread(fd, buf, j->len, pos);

		if (got != (ssize_t)j->len)
			return got < 0 ? -errno : -ENODATA;
		for (off = 0; off < j->len; off += SECTOR) {
			fill(want, pos + off, SECTOR, j->seed);
			if (!memcmp(buf + off, want, SECTOR))
				same++;
			else if (!memcmp(buf + off, zeroes, SECTOR))
				zero++;
		}
	}
	if (same == total)
		return 0;
	printf("of %lu sectors %lu are right, %lu are zero, %lu are something else\n",
	       total, same, zero, total - same - zero);
	exit(1);
}

static int do_ioctl(int fd, const struct job *j, unsigned long cmd)
{
	unsigned int i;

	for (i = 0; i < j->count; i++) {
		__u64 range[2] = { j->pos + i * j->step, j->len };

		if (ioctl(fd, cmd, range))
			return -errno;
	}
	return 0;
}

static void bad_usage(void)
{
	fprintf(stderr,
		"usage: blkio write|read|verify|discard|zero FILE OFFSET LENGTH [count=N] [step=N]\n"
		"             [seed=N] [depth=N] [fua] [buffered] [blocking] [polled]\n"
		"       blkio flush FILE\n");
	exit(2);
}

static __u64 number(const char *s)
{
	char *end;
	__u64 n = strtoull(s, &end, 0);

	if (*end == 'k' || *end == 'M')
		n <<= *end++ == 'k' ? 10 : 20;
	if (end == s || *end)
		bad_usage();
	return n;
}

static void parse(struct job *j, char **arg)
{
	for (; *arg; arg++) {
		if (!strcmp(*arg, "fua"))
			j->fua = 1;
		else if (!strcmp(*arg, "buffered"))
			j->buffered = 1;
		else if (!strcmp(*arg, "blocking"))
			j->blocking = 1;
		else if (!strcmp(*arg, "polled"))
			j->polled = 1;
		else if (!strncmp(*arg, "count=", 6))
			j->count = number(*arg + 6);
		else if (!strncmp(*arg, "step=", 5))
			j->step = number(*arg + 5);
		else if (!strncmp(*arg, "seed=", 5))
			j->seed = number(*arg + 5);
		else if (!strncmp(*arg, "depth=", 6))
			j->depth = number(*arg + 6);
		else
			bad_usage();
	}
	if (!j->depth || j->depth > DEPTH)
		bad_usage();
}

int main(int argc, char **argv)
{
	struct job j = { .count = 1, .depth = 1, .seed = 1 };
	int fd, err, flags;
	void *buf;

	if (argc == 3 && !strcmp(argv[1], "flush")) {
		j.len = SECTOR;
	} else if (argc >= 5) {
		j.pos = number(argv[3]);
		j.len = number(argv[4]);
		j.step = j.len;
		parse(&j, argv + 5);
	} else {
		bad_usage();
	}
	j.path = argv[2];

	flags = !strcmp(argv[1], "read") || !strcmp(argv[1], "verify") ? O_RDONLY : O_RDWR;
	fd = open(j.path, flags | (j.buffered ? 0 : O_DIRECT));
	if (fd < 0) {
		fprintf(stderr, "blkio: %s: %m\n", j.path);
		return 2;
	}
	if (posix_memalign(&buf, 4096, j.len * j.depth))
		return 2;

	if (!strcmp(argv[1], "write"))
		err = do_write(fd, &j, buf);
	else if (!strcmp(argv[1], "read"))
		err = do_read(fd, &j, buf);
	else if (!strcmp(argv[1], "verify"))
		err = do_verify(fd, &j, buf);
	else if (!strcmp(argv[1], "flush"))
		err = fsync(fd) ? -errno : 0;
	else if (!strcmp(argv[1], "discard"))
		err = do_ioctl(fd, &j, BLKDISCARD);
	else if (!strcmp(argv[1], "zero"))
		err = do_ioctl(fd, &j, BLKZEROOUT);
	else
		bad_usage();

	puts(!err ? "ok" : err == -EREMOTEIO ? "SHORT" : strerrorname_np(-err));
	return !!err;
}
