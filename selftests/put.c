// SPDX-License-Identifier: GPL-2.0
/*
 * put FILE [TEXT]: writes TEXT, or all of its input, to FILE by one write() and prints
 * the name of the error, or "ok". With a shell's echo the error would be a sentence.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char input[1 << 20];
	const char *text = input;
	size_t len = 0;
	ssize_t n = 0;
	int fd;

	if (argc < 2 || argc > 3)
		errx(2, "usage: put FILE [TEXT]");
	if (argc == 3) {
		text = argv[2];
		len = strlen(text);
	} else {
		while ((n = read(STDIN_FILENO, input + len, sizeof(input) - len)) > 0)
			len += n;
		if (n < 0)
			err(2, "standard input");
	}
	fd = open(argv[1], O_WRONLY);
	if (fd < 0) {
		puts(strerrorname_np(errno));
		return 1;
	}
	n = write(fd, text, len);
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
