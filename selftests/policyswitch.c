// SPDX-License-Identifier: GPL-2.0
/*
 * Writes one policy after the other to a cache_policy attribute, as fast as it
 * goes, in an order that depends on SEED only, and reads each one back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char * const policies[] = {
	"none", "directsync", "writethrough", "writeback", "guest", "unsafe",
};

int main(int argc, char **argv)
{
	unsigned int nr = sizeof(policies) / sizeof(*policies), now = 0, state;
	char shown[128], want[32];
	long i, count;
	ssize_t len;
	int fd;

	if (argc != 4) {
		fprintf(stderr, "usage: policyswitch ATTRIBUTE COUNT SEED\n");
		return 2;
	}
	count = atol(argv[2]);
	state = atoi(argv[3]);
	fd = open(argv[1], O_RDWR);
	if (fd < 0) {
		fprintf(stderr, "policyswitch: %s: %m\n", argv[1]);
		return 2;
	}

	for (i = 0; i < count; i++) {
		state = state * 1103515245 + 12345;
		now = (now + 1 + (state >> 16) % (nr - 1)) % nr;	/* never the same */
		if (pwrite(fd, policies[now], strlen(policies[now]), 0) < 0) {
			printf("switch %ld, to %s, failed: %m\n", i + 1, policies[now]);
			return 1;
		}
		len = pread(fd, shown, sizeof(shown) - 1, 0);
		shown[len < 0 ? 0 : len] = 0;
		snprintf(want, sizeof(want), "[%s]", policies[now]);
		if (!strstr(shown, want)) {
			printf("after switch %ld, to %s, it shows %s\n", i + 1,
			       policies[now], shown);
			return 1;
		}
	}
	printf("%ld switches\n", count);
	return 0;
}
