// SPDX-License-Identifier: GPL-2.0
/*
 * For faults: what is done to an open device, and what must be there afterwards.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attr.h"
#include "faults.h"

#define SECTOR		512
#define NR_BLOCKS	256

const char * const policies[NR_POLICIES] = { "none", "directsync", "writethrough", "writeback",
					 "guest" };

/* What is known of a block. Each write has a number of its own, and is filled with it. */
static struct {
	uint64_t durable;	/* has to survive everything */
	uint64_t acked;		/* has to be there while nothing sticks */
	uint64_t tried;		/* may be there */
	uint64_t zeroed;	/* the last one that was to write zeroes */
} blocks[NR_BLOCKS];

static uint64_t last;

static void fill(uint64_t *word, unsigned int block, uint64_t number)
{
	unsigned int i;

	for (i = 0; i < BLOCK / sizeof(*word); i += 2) {
		word[i] = number;
		word[i + 1] = block;
	}
}

/* The state of the device after an operation, and that of the blocks. Nothing is injected. */
void look(void)
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
	nothing_but_durable();
}

void all_durable(void)
{
	unsigned int b;

	for (b = 0; b < NR_BLOCKS; b++)
		blocks[b].durable = blocks[b].acked;
}

/* What else there was has been lost, or may have been. */
void nothing_but_durable(void)
{
	unsigned int b;

	for (b = 0; b < NR_BLOCKS; b++)
		blocks[b].acked = blocks[b].durable;
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
	int ret = attr_write(SYS "cache_policy", policies[to]);

	if (!ret) {
		policy = to;
		all_durable();
	}
	return ret;
}

static int run_rescan(void)
{
	return attr_write(SYS "rescan", "1");
}

static int run_show(void)
{
	static const char * const names[] = { "backing_file", "cache_policy", "writeback_error" };
	char path[64], text[4096];

	snprintf(path, sizeof(path), SYS "%s", names[random() % 3]);
	return attr_read(path, text, sizeof(text));
}

static int run_open(void)
{
	int fd = open("/dev/vinteg0", O_RDWR | O_DIRECT);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* Whether I/O takes an allocation in its caller is up to the policy, and to what is below. */
struct op io_ops[NR_IO_OPS] = {
	{ .name = "write", .run = run_write },
	{ .name = "FUA write", .run = run_fua_write },
	{ .name = "zero", .run = run_zero },
	{ .name = "read", .run = run_read },
	{ .name = "flush", .run = run_flush },
	{ .name = "rescan", .run = run_rescan, .at_least = 1 },
	{ .name = "show", .run = run_show, .at_least = 1 },
	{ .name = "open", .run = run_open, .at_least = 1 },
	{ .name = "switch", .run = run_switch, .at_least = 1 },
};

/* What is in the file at the beginning is nothing. */
void wipe(void)
{
	unsigned int b;

	memset(buf, 0, BLOCK);
	for (b = 0; b < NR_BLOCKS; b++)
		if (pwrite(disk, buf, BLOCK, (off_t)b * BLOCK) != BLOCK)
			err(2, "wiping");
	if (fsync(disk))
		err(2, "wiping");
}
