// SPDX-License-Identifier: GPL-2.0
/*
 * faults nth FILE
 *	does each operation on vinteg0 again and again: the first allocation in it fails,
 *	then the second, and so on, until it has no more of them.
 * faults load FILE MODULE STEP
 *	the same with loading the module, with two devices, one of them bound to FILE: the
 *	first allocation fails, then that which is STEP further. It is unloaded whenever that
 *	has worked, and has to be gone if it has not.
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
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attr.h"
#include "faults.h"

#define MOST		2000	/* allocations in one operation */

const char *file;
static const char *module;
static unsigned int step = 1;	/* from one allocation that fails to the next */
int disk = -1;
unsigned int policy;
char *buf;
int bad;

static int has(const char *attr, const char *text)
{
	char path[64], now[4096];

	snprintf(path, sizeof(path), SYS "%s", attr);
	get(path, now, sizeof(now));
	return !!strstr(now, text);
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

static int run_bind(void)
{
	return attr_write(SYS "backing_file", file);
}

static int run_reset(void)
{
	return attr_write(SYS "reset", "1");
}

static int run_add(void)
{
	char number[16];

	return attr_read(CONTROL "hot_add", number, sizeof(number));
}

static int run_remove(void)
{
	return attr_write(CONTROL "hot_remove", "1");
}

static int run_load(void)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC);
	char params[4200];
	int ret = 0;

	if (fd < 0)
		return errno;
	snprintf(params, sizeof(params), "num_devices=2 backing_file=%s", file);
	if (syscall(SYS_finit_module, fd, params, 0))
		ret = errno;
	close(fd);
	return ret;
}

static struct op bind = { .name = "bind", .run = run_bind, .at_least = 1 };
static struct op reset = { .name = "reset", .run = run_reset, .at_least = 1 };
/* Without memory for a name device_add(), drivers/base/core.c, says that there is none. */
static struct op load = { .name = "load", .run = run_load, .also = EINVAL, .at_least = 100 };
static struct op add = { .name = "hot_add", .run = run_add, .also = EINVAL, .at_least = 1 };
static struct op removal = { .name = "hot_remove", .run = run_remove, .at_least = 1 };

static void open_disk(void)
{
	disk = open("/dev/vinteg0", O_RDWR | O_DIRECT);
	if (disk < 0)
		err(2, "/dev/vinteg0");
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

static bool module_is_there(void)
{
	return !access("/sys/module/vinteg", F_OK);
}

/* What the kernel can do without, it does without: then it is loaded all the same. */
static void after_load(int ret)
{
	if (module_is_there() != !ret)
		complain("load: %s, but the module is%s there", ret ? strerrorname_np(ret) : "ok",
			 ret ? "" : " not");
	if (!ret && syscall(SYS_delete_module, "vinteg", O_NONBLOCK))
		err(2, "it can't be unloaded");
}

/* One allocation fails after the other, until there is none. */
static void each_allocation(struct op *op, void (*check)(int ret))
{
	unsigned int n;
	int came = 1;

	for (n = 1; came && n < MOST; n += step) {
		int ret = run_injected(op, n, &came);

		if (check)
			check(ret);
		/* There is no device to look at before, or after. */
		if (op != &load)
			look();
	}
	if (op->injected * step < op->at_least)
		complain("%s: hardly an allocation has failed", op->name);
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
	int came, ret;

	close(disk);
	disk = -1;
	ret = run_injected(&reset, 1, &came);
	if (!ret && is_bound())
		complain("reset: ok, but it is bound");
	if (!ret)
		all_durable();
	else if (!is_bound())
		nothing_but_durable();
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
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 5 || (strcmp(argv[1], "nth") && argc < 4))
		errx(2, "usage: faults nth|load|FAULT[,FAULT] FILE [MODULE STEP|ROUNDS [SEED]]");
	file = argv[2];
	srandom(argc > 4 ? atoi(argv[4]) : 1);
	if (posix_memalign((void **)&buf, BLOCK, BLOCK))
		err(2, "memory");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(argv[1], "nth") || !strcmp(argv[1], "load")) {
		nth = open("/proc/self/fail-nth", O_RDWR);
		if (nth < 0)
			err(2, "fail-nth");
	}
	if (!strcmp(argv[1], "load")) {
		module = argv[3];
		step = argc > 4 ? atoi(argv[4]) : 1;
		if (!step)
			errx(2, "a step of none leads nowhere");
		each_allocation(&load, after_load);
		return bad;
	}
	if (nth >= 0) {
		do_nth();
	} else {
		open_chances(argv[1]);
		do_random(atoi(argv[3]));
	}
	close(disk);
	must_put(SYS "reset", "1");
	return bad;
}
