/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files that are written, or read, by one call. Both return 0 or an errno.
 */
#ifndef ATTR_H
#define ATTR_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static inline int attr_write(const char *path, const char *text)
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

/* What there is, up to @size bytes, is not looked at. */
static inline int attr_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return errno;
	if (read(fd, buf, size) < 0)
		ret = errno;
	close(fd);
	return ret;
}

#endif
