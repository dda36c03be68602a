// SPDX-License-Identifier: GPL-2.0
/*
 * disk NBD IMAGE PIDFILE [OPTION]...: makes a disk with a volatile cache out of the
 * file IMAGE, and serves it as the block device NBD until its power is cut: by a
 * SIGKILL to the process whose id is in PIDFILE. What was in the cache is in that
 * process's memory only, and gone with it.
 *
 *   fua           forced writes are offered, and done
 *   fua=ignored   forced writes are offered, and treated as any other: a broken disk
 *   flush=ignored flushes do nothing: a broken disk
 *   evict=SEED    now and then some of the cache is written by itself, in any order,
 *                 down to single sectors; otherwise only a flush writes it
 *   evict=pages   if so, a page is written as a whole
 *   delay=SEED    writes and flushes take their time, and complete in any order: a
 *                 flush may overtake writes that came before it, and then need not
 *                 cover them; without it they complete at once
 *
 * Signals: SIGUSR1 makes the next flush, or the next forced write, fail; what was in
 * the cache is then lost for good, as on a disk whose medium is damaged.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/nbd.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECTOR		512
#define PAGE		4096
#define ALL_SECTORS	0xff
/* One write in so many is followed by the eviction of up to so many pages. */
#define EVICT_ONE_IN	8
#define EVICT_PAGES	16
/* Requests take up to so many microseconds, and one in so many much longer. */
#define DELAY_US	1000
#define SLOW_ONE_IN	16
#define SLOW_TIMES	16
/* At a time; nbd never has so many. */
#define MAX_QUEUED	1024

/* Known to kernels and servers for long, but not to all headers. */
#define SEND_WRITE_ZEROES	0x40
#define CMD_WRITE_ZEROES	6
#define CMD_FLAG_FUA_BIT	0x10000
#define CMD_MASK		0xffff

static struct {
	int fd;			/* the stable image */
	size_t size;
	unsigned char *now;	/* what a read sees: the image, privately changed */
	unsigned char *dirty;	/* per page: a bit for each sector only in the cache */
	unsigned int *list;	/* the pages that have such a bit */
	unsigned int nr;
	unsigned int dice;
	bool evicts, evicts_pages, delays;
	bool has_fua, ignores_fua, ignores_flush;
} disk;

/* A request that has come and is not done: what it writes is not in the cache yet. */
struct queued {
	struct nbd_request req;
	void *data;		/* of a write */
	long long due;		/* in nanoseconds */
	int error;
	bool flushed;		/* a flush that covers only what was done when it came */
};

static struct queued queue[MAX_QUEUED];
static unsigned int nr_queued;

static atomic_bool fail_next;

static void on_usr1(int sig)
{
	(void)sig;
	fail_next = true;
}

static void all_of(ssize_t done, size_t wanted, const char *what)
{
	if (done < 0)
		err(1, "%s", what);
	if ((size_t)done != wanted)
		errx(1, "%s: too short", what);
}

/* Makes stable the sectors of a page that are in MASK, and in the cache. */
static void write_page(unsigned int page, unsigned char mask)
{
	unsigned int first = 0, end;
	size_t offset;

	mask &= disk.dirty[page];
	disk.dirty[page] &= ~mask;
	while (first < PAGE / SECTOR) {
		if (!(mask & (1 << first))) {
			first++;
			continue;
		}
		for (end = first; end < PAGE / SECTOR && mask & (1 << end); end++)
			;
		offset = (size_t)page * PAGE + first * SECTOR;
		all_of(pwrite(disk.fd, disk.now + offset, (end - first) * SECTOR, offset),
		       (end - first) * SECTOR, "image");
		first = end;
	}
}

/* A flush that is cut in the middle must not have a pattern either. */
static void flush_cache(void)
{
	unsigned int pick;

	while (disk.nr) {
		pick = disk.evicts ? rand_r(&disk.dice) % disk.nr : disk.nr - 1;
		write_page(disk.list[pick], ALL_SECTORS);
		disk.list[pick] = disk.list[--disk.nr];
	}
}

static void evict(void)
{
	unsigned int n, pick;

	if (!disk.evicts || rand_r(&disk.dice) % EVICT_ONE_IN)
		return;
	for (n = rand_r(&disk.dice) % EVICT_PAGES; n && disk.nr; n--) {
		pick = rand_r(&disk.dice) % disk.nr;
		write_page(disk.list[pick], n % 2 || disk.evicts_pages ?
			   ALL_SECTORS : rand_r(&disk.dice));
		if (!disk.dirty[disk.list[pick]])
			disk.list[pick] = disk.list[--disk.nr];
	}
}

/* The range differs from the stable image from now on. */
static void note_range(size_t from, size_t len)
{
	size_t sector;
	unsigned int page;

	for (sector = from / SECTOR; sector < (from + len) / SECTOR; sector++) {
		page = sector / (PAGE / SECTOR);
		if (!disk.dirty[page])
			disk.list[disk.nr++] = page;
		disk.dirty[page] |= 1 << sector % (PAGE / SECTOR);
	}
}

/* Its pages may stay in the list, with nothing left to write. */
static void force_range(size_t from, size_t len)
{
	size_t sector;
	unsigned int page;

	for (sector = from / SECTOR; sector < (from + len) / SECTOR; sector++) {
		page = sector / (PAGE / SECTOR);
		write_page(page, 1 << sector % (PAGE / SECTOR));
	}
}

/* Dirty bits and list have to agree again: a page is in it once, if at all. */
static void tidy_list(void)
{
	unsigned int i;

	for (i = 0; i < disk.nr;) {
		if (disk.dirty[disk.list[i]])
			i++;
		else
			disk.list[i] = disk.list[--disk.nr];
	}
}

/* The medium is damaged: reads show what is stable, and that is old. */
static void lose_cache(void)
{
	memset(disk.dirty, 0, disk.size / PAGE);
	disk.nr = 0;
	if (mmap(disk.now, disk.size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED, disk.fd, 0) == MAP_FAILED)
		err(1, "mmap");
}

static bool make_durable(bool forced, size_t from, size_t len)
{
	if (atomic_exchange(&fail_next, false)) {
		lose_cache();
		return false;
	}
	if (!forced) {
		if (!disk.ignores_flush)
			flush_cache();
	} else if (!disk.ignores_fua) {
		force_range(from, len);
		tidy_list();
	}
	return true;
}

/* A signal may come in the middle, and then it is only a part, MSG_WAITALL or not. */
static void receive(int sock, void *buf, size_t len)
{
	ssize_t n;

	for (; len; buf = (char *)buf + n, len -= n) {
		n = recv(sock, buf, len, MSG_WAITALL);
		if (n <= 0)
			exit(0);
	}
}

static void transmit(int sock, const void *buf, size_t len)
{
	ssize_t n;

	for (; len; buf = (const char *)buf + n, len -= n) {
		n = send(sock, buf, len, MSG_NOSIGNAL);
		if (n <= 0)
			exit(0);
	}
}

static void answer(int sock, const struct nbd_request *req, int error, size_t data)
{
	struct nbd_reply reply = {
		.magic = htonl(NBD_REPLY_MAGIC),
		.error = htonl(error),
	};

	memcpy(&reply.handle, &req->handle, sizeof(reply.handle));
	transmit(sock, &reply, sizeof(reply));
	transmit(sock, disk.now + be64toh(req->from), data);
}

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long delay_ns(void)
{
	unsigned int us = DELAY_US;

	if (!disk.delays)
		return 0;
	if (!(rand_r(&disk.dice) % SLOW_ONE_IN))
		us *= SLOW_TIMES;
	return rand_r(&disk.dice) % us * 1000LL;
}

static void complete(int sock, struct queued *q)
{
	unsigned int type = ntohl(q->req.type);
	size_t from = be64toh(q->req.from), len = ntohl(q->req.len), data = 0;
	int error = q->error;

	switch (type & CMD_MASK) {
	case NBD_CMD_READ:
		data = len;
		break;
	case NBD_CMD_WRITE:
		memcpy(disk.now + from, q->data, len);
		free(q->data);
		note_range(from, len);
		break;
	case NBD_CMD_TRIM:
	case CMD_WRITE_ZEROES:
		memset(disk.now + from, 0, len);
		note_range(from, len);
		break;
	case NBD_CMD_FLUSH:
		if (!q->flushed)
			error = make_durable(false, 0, 0) ? 0 : EIO;
		break;
	default:
		error = EINVAL;
		break;
	}
	if (type & CMD_FLAG_FUA_BIT)
		error = make_durable(true, from, len) ? 0 : EIO;
	else
		evict();
	answer(sock, &q->req, error, error ? 0 : data);
}

/* Reads, and all of a disk without delays, are done at once. */
static void take_request(int sock)
{
	struct queued q = { };
	unsigned int type;

	receive(sock, &q.req, sizeof(q.req));
	if (ntohl(q.req.magic) != NBD_REQUEST_MAGIC ||
	    be64toh(q.req.from) + ntohl(q.req.len) > disk.size)
		errx(1, "a request makes no sense");
	type = ntohl(q.req.type) & CMD_MASK;
	if (type == NBD_CMD_DISC)
		exit(0);
	if (type == NBD_CMD_WRITE) {
		q.data = malloc(ntohl(q.req.len));
		if (!q.data)
			err(1, "memory");
		receive(sock, q.data, ntohl(q.req.len));
	}
	if (!disk.delays || type == NBD_CMD_READ) {
		complete(sock, &q);
		return;
	}
	/* Or it covers what is done when it is done itself. A disk may do either. */
	if (type == NBD_CMD_FLUSH && rand_r(&disk.dice) % 2) {
		q.error = make_durable(false, 0, 0) ? 0 : EIO;
		q.flushed = true;
	}
	if (nr_queued == MAX_QUEUED)
		errx(1, "too many requests at a time");
	q.due = now_ns() + delay_ns();
	queue[nr_queued++] = q;
}

/* Returns the time of the next one, or 0 if there is none. */
static long long complete_due(int sock)
{
	long long now = nr_queued ? now_ns() : 0, next = 0;
	struct queued q;
	unsigned int i;

	for (i = 0; i < nr_queued;) {
		q = queue[i];
		if (q.due <= now) {
			queue[i] = queue[--nr_queued];
			complete(sock, &q);
			continue;
		}
		if (!next || q.due < next)
			next = q.due;
		i++;
	}
	return next;
}

static void serve(int sock)
{
	struct pollfd fd = { .fd = sock, .events = POLLIN };
	struct timespec timeout;
	long long next;

	/* The device is closed by its other end if that is gone before. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGUSR1, on_usr1);
	for (;;) {
		next = complete_due(sock);
		if (next) {
			next -= now_ns();
			next = next > 0 ? next : 0;
			timeout.tv_sec = next / 1000000000;
			timeout.tv_nsec = next % 1000000000;
			/* A signal, or nothing new. */
			if (ppoll(&fd, 1, &timeout, NULL) <= 0)
				continue;
		}
		take_request(sock);
	}
}

static void open_image(const char *path)
{
	struct stat st;

	disk.fd = open(path, O_RDWR);
	if (disk.fd < 0 || fstat(disk.fd, &st))
		err(1, "%s", path);
	disk.size = st.st_size & ~(size_t)(PAGE - 1);
	disk.now = mmap(NULL, disk.size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_NORESERVE, disk.fd, 0);
	disk.dirty = calloc(disk.size / PAGE, 1);
	disk.list = calloc(disk.size / PAGE, sizeof(*disk.list));
	if (disk.now == MAP_FAILED || !disk.dirty || !disk.list)
		err(1, "%s", path);
}

static void set_option(const char *option)
{
	if (!strcmp(option, "fua")) {
		disk.has_fua = true;
	} else if (!strcmp(option, "fua=ignored")) {
		disk.has_fua = true;
		disk.ignores_fua = true;
	} else if (!strcmp(option, "flush=ignored")) {
		disk.ignores_flush = true;
	} else if (!strcmp(option, "evict=pages")) {
		disk.evicts_pages = true;
	} else if (!strncmp(option, "evict=", 6)) {
		disk.evicts = true;
		disk.dice = strtoul(option + 6, NULL, 0);
	} else if (!strncmp(option, "delay=", 6)) {
		disk.delays = true;
		disk.dice = strtoul(option + 6, NULL, 0);
	} else {
		errx(2, "unknown option '%s'", option);
	}
}

static void write_pid(const char *path, pid_t pid)
{
	FILE *file = fopen(path, "w");

	if (!file || fprintf(file, "%d\n", pid) < 0 || fclose(file))
		err(1, "%s", path);
}

/* Returns when the process at the other end of the socket is gone. */
static void attach(int nbd, int sock)
{
	unsigned long flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH |
		NBD_FLAG_SEND_TRIM | SEND_WRITE_ZEROES;

	if (disk.has_fua)
		flags |= NBD_FLAG_SEND_FUA;
	ioctl(nbd, NBD_CLEAR_SOCK);
	if (ioctl(nbd, NBD_SET_BLKSIZE, (unsigned long)SECTOR) ||
	    ioctl(nbd, NBD_SET_SIZE_BLOCKS, disk.size / SECTOR) ||
	    ioctl(nbd, NBD_SET_FLAGS, flags) ||
	    ioctl(nbd, NBD_SET_SOCK, sock))
		err(1, "cannot set up the device");
	close(sock);
	ioctl(nbd, NBD_DO_IT);
	ioctl(nbd, NBD_CLEAR_QUE);
	ioctl(nbd, NBD_CLEAR_SOCK);
}

int main(int argc, char **argv)
{
	int sock[2], nbd, i;
	pid_t pid;

	if (argc < 4)
		errx(2, "usage: disk NBD IMAGE PIDFILE [OPTION]...");
	for (i = 4; i < argc; i++)
		set_option(argv[i]);
	open_image(argv[2]);
	nbd = open(argv[1], O_RDWR);
	if (nbd < 0)
		err(1, "%s", argv[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		err(1, "socketpair");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		close(nbd);
		close(sock[0]);
		serve(sock[1]);
	}
	close(sock[1]);
	write_pid(argv[3], pid);
	attach(nbd, sock[0]);
	return 0;
}
