/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A clock that ticks with each event, shared by all who take part through a file in
 * memory: its times tell before from after, whoever took them.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <fcntl.h>
#include <linux/types.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* Returns the address of the next time to be given out, or NULL: see errno. */
static inline __u64 *clock_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	void *page;

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, sizeof(__u64))) {
		close(fd);
		return NULL;
	}
	page = mmap(NULL, sizeof(__u64), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

static inline __u64 clock_tick(__u64 *clock)
{
	/* 0 is no time. */
	return __atomic_add_fetch(clock, 1, __ATOMIC_SEQ_CST);
}

#endif
