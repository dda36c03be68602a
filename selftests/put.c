// SPDX-License-Identifier: GPL-2.0
/*
 * put FILE [OFFSET]: writes all of its input to FILE by one write() and prints the
 * name of the error, or "ok". With a shell's echo the error would be a sentence.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char buf[1 << 20];
	size_t len = 0;
	ssize_t n;
	int fd;

	if (argc < 2 || argc > 3)
		errx(2, "usage: put FILE [OFFSET]");
	while ((n = read(STDIN_FILENO, buf + len, sizeof(buf) - len)) > 0)
		len += n;
	if (n < 0)
		err(2, "standard input");
	fd = open(argv[1], O_WRONLY);
	if (fd < 0) {
		puts(strerrorname_np(errno));
		return 1;
	}
	n = pwrite(fd, buf, len, argc > 2 ? strtoll(argv[2], NULL, 0) : 0);
	if (n < 0) {
		puts(strerrorname_np(errno));
		return 1;
	}
	if ((size_t)n != len) {
		printf("%zd of %zu bytes\n", n, len);
		return 1;
	}
	puts("ok");
	return 0;
}
