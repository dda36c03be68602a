// SPDX-License-Identifier: GPL-2.0
/*
 * faults nth FILE
 *	does each operation on vinteg0 again and again: the first allocation in it fails,
 *	then the second, and so on, until it has no more of them.
 * faults FAULT[,FAULT] FILE ROUNDS [SEED]
 *	binds FILE, writes, reads, syncs, switches and resets at random, while some of the
 *	allocations fail in this process and in the kernel's workers (failslab,
 *	fail_page_alloc), or some of the I/O of the disks that are marked for it
 *	(fail_make_request).
 *
 * Whatever is done either succeeds, or fails with an error that makes sense and leaves all
 * as it was. What was acknowledged is there, and if the disk has stopped to acknowledge,
 * what was durable before. Prints what happened. Udev must not be about.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define SYS		"/sys/block/vinteg0/"
#define CONTROL		"/sys/class/vinteg-control/"
#define DEBUG		"/sys/kernel/debug/"
#define BLOCK		4096
#define SECTOR		512
#define NR_BLOCKS	256
#define MOST		2000	/* allocations in one operation */
#define PERCENT		"8"

static const char * const policies[] = { "none", "directsync", "writethrough", "writeback",
					 "guest" };

#define NR_POLICIES	(sizeof(policies) / sizeof(policies[0]))

/* What is known of a block. Each write has a number of its own, and is filled with it. */
static struct {
	uint64_t durable;	/* has to survive everything */
	uint64_t acked;		/* has to be there while nothing sticks */
	uint64_t tried;		/* may be there */
	uint64_t zeroed;	/* the last one that was to write zeroes */
} blocks[NR_BLOCKS];

static const char *file;
static int nth = -1;		/* fail-nth, or -1 */
static int chances[3] = { -1, -1, -1 };	/* of those to be injected otherwise */
static int disk = -1;
static unsigned int policy;
static uint64_t last;
static char *buf;
static int bad;

struct op {
	const char *name;
	int (*run)(void);	/* 0 or an errno; nothing but this may fail */
	unsigned int ok;
	unsigned int failed[134];	/* by errno */
	unsigned int injected;
};

__attribute__((format(printf, 1, 2)))
static void complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	bad = 1;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = errno;
	close(fd);
	return ret;
}

/* Without a fault this has to work. */
static void must_put(const char *path, const char *text)
{
	int ret = put(path, text);

	if (ret)
		errx(2, "%s := %s: %s", path, text, strerrorname_np(ret));
}

static void get(const char *path, char *text, size_t size)
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

static int has(const char *attr, const char *text)
{
	char path[64], now[4096];

	snprintf(path, sizeof(path), SYS "%s", attr);
	get(path, now, sizeof(now));
	return !!strstr(now, text);
}

static int is_bound(void)
{
	char name[4096], size[32];

	get(SYS "backing_file", name, sizeof(name));
	get(SYS "size", size, sizeof(size));
	if (!*name != !strcmp(size, "0"))
		complain("half bound: file '%s', size %s", name, size);
	return !!*name;
}

static int is_stuck(void)
{
	char error[32];

	get(SYS "writeback_error", error, sizeof(error));
	return strcmp(error, "0");
}

static void open_chances(char *faults)
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

static unsigned int nr_disks(void)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	unsigned int n = 0;

	if (!dir)
		err(2, "/sys/block");
	while ((entry = readdir(dir)))
		n += !strncmp(entry->d_name, "vinteg", 6);
	closedir(dir);
	return n;
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
		put(path, "1");
	}
	closedir(dir);
	put("/proc/self/make-it-fail", "1");
}

static void inject(unsigned int n)
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
	/* Opened before: that may fail now. */
	for (i = 0; chances[i] >= 0; i++)
		if (pwrite(chances[i], n ? PERCENT : "0", 1, 0) != 1)
			err(2, "probability");
}

/* Returns whether the fault has come. */
static int injected(void)
{
	char text[16] = "";

	if (nth < 0)
		return 1;
	if (pread(nth, text, sizeof(text) - 1, 0) < 0)
		err(2, "fail-nth");
	inject(0);
	return !atoi(text);
}

static int makes_sense(int error)
{
	return error == ENOMEM || error == EIO || error == ENOSPC;
}

static int note(struct op *op, int ret)
{
	if (!ret) {
		op->ok++;
	} else {
		op->failed[ret]++;
		if (!makes_sense(ret))
			complain("%s: %s", op->name, strerrorname_np(ret));
	}
	return ret;
}

static void report(const struct op *op)
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

static void fill(uint64_t *word, unsigned int block, uint64_t number)
{
	unsigned int i;

	for (i = 0; i < BLOCK / sizeof(*word); i += 2) {
		word[i] = number;
		word[i + 1] = block;
	}
}

/* The state of the device after an operation, and that of the blocks. Nothing is injected. */
static void look(void)
{
	int stuck = is_stuck();
	unsigned int b, s;
	uint64_t low;

	if (!is_bound() || disk < 0)
		return;
	for (b = 0; b < NR_BLOCKS; b++) {
		low = stuck ? blocks[b].durable : blocks[b].acked;
		if (pread(disk, buf, BLOCK, (off_t)b * BLOCK) != BLOCK) {
			complain("block %u: %m", b);
			continue;
		}
		for (s = 0; s < BLOCK; s += SECTOR) {
			uint64_t *word = (uint64_t *)(buf + s);

			if (!word[0] && !word[1] && low <= blocks[b].zeroed)
				continue;
			if (word[0] && word[1] == b && word[0] >= low &&
			    word[0] <= blocks[b].tried)
				continue;
			complain("block %u: has %ju of %ju, must have %ju to %ju, zeroed by %ju%s",
				 b, (uintmax_t)word[0], (uintmax_t)word[1], (uintmax_t)low,
				 (uintmax_t)blocks[b].tried, (uintmax_t)blocks[b].zeroed,
				 stuck ? ", stuck" : "");
			break;
		}
	}
	if (!stuck)
		return;
	/* No promise until the operator says so. */
	if (!fsync(disk))
		complain("a flush while writeback_error is set succeeds");
	must_put(SYS "writeback_error", "0");
	for (b = 0; b < NR_BLOCKS; b++)
		blocks[b].acked = blocks[b].durable;
}

static void all_durable(void)
{
	unsigned int b;

	for (b = 0; b < NR_BLOCKS; b++)
		blocks[b].durable = blocks[b].acked;
}

static int keeps_all_durable(void)
{
	return !strcmp(policies[policy], "directsync") || !strcmp(policies[policy], "writethrough");
}

static int write_block(int flags)
{
	struct iovec iov = { buf, BLOCK };
	unsigned int b = random() % NR_BLOCKS;
	ssize_t n;

	fill((uint64_t *)buf, b, ++last);
	blocks[b].tried = last;
	n = pwritev2(disk, &iov, 1, (off_t)b * BLOCK, flags);
	if (n < 0)
		return errno;
	if (n != BLOCK)
		return ERANGE;
	blocks[b].acked = last;
	if (flags || keeps_all_durable())
		blocks[b].durable = last;
	return 0;
}

static int run_write(void)
{
	return write_block(0);
}

static int run_fua_write(void)
{
	return write_block(RWF_DSYNC);
}

static int run_zero(void)
{
	unsigned int b = random() % NR_BLOCKS;
	uint64_t range[2] = { (uint64_t)b * BLOCK, BLOCK };
	int ret = -1;

	blocks[b].tried = ++last;
	blocks[b].zeroed = last;
	errno = EOPNOTSUPP;
	if (random() % 2)
		ret = ioctl(disk, BLKDISCARD, range);
	/* Of a raw disk only some can. */
	if (ret && errno == EOPNOTSUPP)
		ret = ioctl(disk, BLKZEROOUT, range);
	if (ret)
		return errno;
	blocks[b].acked = last;
	if (keeps_all_durable())
		blocks[b].durable = last;
	return 0;
}

static int run_read(void)
{
	ssize_t n = pread(disk, buf, BLOCK, random() % NR_BLOCKS * BLOCK);

	return n < 0 ? errno : n == BLOCK ? 0 : ERANGE;
}

static int run_flush(void)
{
	if (fsync(disk))
		return errno;
	all_durable();
	return 0;
}

static int run_switch(void)
{
	unsigned int to = random() % NR_POLICIES;
	int ret = put(SYS "cache_policy", policies[to]);

	if (!ret) {
		policy = to;
		all_durable();
	}
	return ret;
}

static int run_rescan(void)
{
	return put(SYS "rescan", "1");
}

static int run_bind(void)
{
	return put(SYS "backing_file", file);
}

static int run_reset(void)
{
	return put(SYS "reset", "1");
}

static int run_show(void)
{
	static const char * const names[] = { "backing_file", "cache_policy", "writeback_error" };
	char path[64], text[4096];
	int fd, ret = 0;

	snprintf(path, sizeof(path), SYS "%s", names[random() % 3]);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return errno;
	if (read(fd, text, sizeof(text)) < 0)
		ret = errno;
	close(fd);
	return ret;
}

static int run_open(void)
{
	int fd = open("/dev/vinteg0", O_RDWR | O_DIRECT);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int run_add(void)
{
	char number[16];
	int ret = 0, fd = open(CONTROL "hot_add", O_RDONLY);

	if (fd < 0)
		return errno;
	if (read(fd, number, sizeof(number)) < 0)
		ret = errno;
	close(fd);
	return ret;
}

static int run_remove(void)
{
	return put(CONTROL "hot_remove", "1");
}

static struct op io_ops[] = {
	{ .name = "write", .run = run_write },
	{ .name = "FUA write", .run = run_fua_write },
	{ .name = "zero", .run = run_zero },
	{ .name = "read", .run = run_read },
	{ .name = "flush", .run = run_flush },
	{ .name = "rescan", .run = run_rescan },
	{ .name = "show", .run = run_show },
	{ .name = "open", .run = run_open },
	{ .name = "switch", .run = run_switch },
};

#define NR_IO_OPS	(sizeof(io_ops) / sizeof(io_ops[0]))

static struct op bind = { .name = "bind", .run = run_bind };
static struct op reset = { .name = "reset", .run = run_reset };
static struct op add = { .name = "hot_add", .run = run_add };
static struct op removal = { .name = "hot_remove", .run = run_remove };

static void open_disk(void)
{
	disk = open("/dev/vinteg0", O_RDWR | O_DIRECT);
	if (disk < 0)
		err(2, "/dev/vinteg0");
}

/* What is in the file at the beginning is nothing. */
static void wipe(void)
{
	unsigned int b;

	memset(buf, 0, BLOCK);
	for (b = 0; b < NR_BLOCKS; b++)
		if (pwrite(disk, buf, BLOCK, (off_t)b * BLOCK) != BLOCK)
			err(2, "wiping");
	if (fsync(disk))
		err(2, "wiping");
}

/* A device that has been reset has the default again. */
static void forget_policy(void)
{
	policy = 0;
	must_put(SYS "cache_policy", policies[policy]);
}

static int run_injected(struct op *op, unsigned int n, int *came)
{
	int ret;

	inject(n);
	ret = op->run();
	*came = injected();
	if (nth < 0)
		inject(0);
	if (*came)
		op->injected++;
	else if (ret)
		complain("%s: %s, and nothing was injected", op->name, strerrorname_np(ret));
	return note(op, ret);
}

/* The n-th allocation fails, until there is none. */
static void each_allocation(struct op *op, void (*check)(int ret))
{
	unsigned int n;
	int came = 1;

	for (n = 1; came && n < MOST; n++) {
		int ret = run_injected(op, n, &came);

		if (check)
			check(ret);
		look();
	}
	if (!op->injected)
		complain("%s: no allocation has failed", op->name);
	if (came)
		complain("%s: there is no end to its allocations", op->name);
	report(op);
}

static void after_bind(int ret)
{
	if (is_bound() != !ret)
		complain("bind: %s, but it is%s bound", ret ? strerrorname_np(ret) : "ok",
			 ret ? "" : " not");
	if (!ret)
		must_put(SYS "reset", "1");
}

/* It unbinds, whatever the sync says. */
static void after_reset(int ret)
{
	if (!ret && is_bound())
		complain("reset: ok, but it is bound");
	if (!is_bound())
		must_put(SYS "backing_file", file);
}

static void after_switch(int ret)
{
	char name[32];

	(void)ret;
	snprintf(name, sizeof(name), "[%s]", policies[policy]);
	if (!has("cache_policy", name))
		complain("the policy is not %s", name);
}

static void after_add(int ret)
{
	if (nr_disks() != 1U + !ret)
		complain("hot_add: %s, but there are %u disks",
			 ret ? strerrorname_np(ret) : "ok", nr_disks());
	if (!ret)
		must_put(CONTROL "hot_remove", "1");
}

static void after_remove(int ret)
{
	if (nr_disks() != 1U + !!ret)
		complain("hot_remove: %s, but there are %u disks",
			 ret ? strerrorname_np(ret) : "ok", nr_disks());
	if (!ret && run_add())
		errx(2, "hot_add");
}

static void do_nth(void)
{
	unsigned int i;

	each_allocation(&add, after_add);
	if (run_add())
		errx(2, "hot_add");
	each_allocation(&removal, after_remove);
	must_put(CONTROL "hot_remove", "1");
	each_allocation(&bind, after_bind);

	must_put(SYS "backing_file", file);
	each_allocation(&reset, after_reset);
	for (policy = 0; policy < NR_POLICIES; policy++) {
		must_put(SYS "cache_policy", policies[policy]);
		printf("under %s:\n", policies[policy]);
		open_disk();
		if (!policy)
			wipe();
		for (i = 0; i < NR_IO_OPS - 1; i++) {
			io_ops[i].injected = 0;
			each_allocation(&io_ops[i], NULL);
		}
		close(disk);
		disk = -1;
	}
	policy--;
	open_disk();
	each_allocation(&io_ops[NR_IO_OPS - 1], after_switch);
}

static void bind_again(void)
{
	unsigned int b;
	int came, ret;

	close(disk);
	disk = -1;
	ret = run_injected(&reset, 1, &came);
	if (!ret && is_bound())
		complain("reset: ok, but it is bound");
	if (!ret)
		all_durable();
	else if (!is_bound())
		for (b = 0; b < NR_BLOCKS; b++)
			blocks[b].acked = blocks[b].durable;
	while (!is_bound()) {
		ret = run_injected(&bind, 1, &came);
		if (is_bound() != !ret)
			complain("bind: %s, but it is%s bound",
				 ret ? strerrorname_np(ret) : "ok", ret ? "" : " not");
	}
	open_disk();
	look();
	forget_policy();
}

static void do_random(unsigned int rounds)
{
	unsigned int round, i, failures = 0;
	int came;

	must_put(SYS "backing_file", file);
	forget_policy();
	open_disk();
	wipe();
	for (round = 0; round < rounds && !bad; round++) {
		inject(1);
		for (i = 0; i < 40; i++) {
			struct op *op = &io_ops[random() % NR_IO_OPS];

			failures += !!note(op, op->run());
		}
		inject(0);
		after_switch(0);
		look();
		if (!is_stuck() && fsync(disk))
			complain("a flush, after all: %m");
		else
			all_durable();
		if (round % 4 == 3)
			bind_again();
	}
	for (i = 0; i < NR_IO_OPS; i++)
		report(&io_ops[i]);
	report(&bind);
	report(&reset);
	if (!failures)
		complain("nothing has failed");
	(void)came;
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 5 || (strcmp(argv[1], "nth") && argc < 4))
		errx(2, "usage: faults nth|FAULT[,FAULT] FILE [ROUNDS [SEED]]");
	file = argv[2];
	srandom(argc > 4 ? atoi(argv[4]) : 1);
	if (posix_memalign((void **)&buf, BLOCK, BLOCK))
		err(2, "memory");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(argv[1], "nth")) {
		nth = open("/proc/self/fail-nth", O_RDWR);
		if (nth < 0)
			err(2, "fail-nth");
		do_nth();
	} else {
		open_chances(argv[1]);
		do_random(atoi(argv[3]));
	}
	close(disk);
	must_put(SYS "reset", "1");
	return bad;
}
