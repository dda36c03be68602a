// SPDX-License-Identifier: GPL-2.0
/*
 * memory_hog MIB PASSES: fills memory with numbers, then reads it back PASSES times
 * and changes it on the way. With less memory than that, the pages go through swap.
 */
#include <err.h>
#include <linux/types.h>
#include <stdlib.h>
#include <sys/mman.h>

static __u64 expected(size_t word, unsigned int pass)
{
	return (word + 1) * 0x9e3779b97f4a7c15ULL + pass;
}

int main(int argc, char **argv)
{
	const size_t step = 512 / sizeof(__u64);
	unsigned int pass, passes;
	size_t bytes, words, i;
	__u64 *mem;

	if (argc != 3)
		errx(2, "usage: memory_hog MIB PASSES");
	bytes = strtoul(argv[1], NULL, 0) << 20;
	passes = strtoul(argv[2], NULL, 0);
	words = bytes / sizeof(*mem);
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		err(1, "mmap");
	/* Huge pages would be swapped as a whole, and seldom. */
	if (madvise(mem, bytes, MADV_NOHUGEPAGE))
		warn("madvise");

	for (i = 0; i < words; i += step)
		mem[i] = expected(i, 0);
	for (pass = 0; pass < passes; pass++) {
		for (i = 0; i < words; i += step) {
			if (mem[i] != expected(i, pass))
				errx(1, "pass %u: wrong content at byte %zu",
				     pass, i * sizeof(*mem));
			mem[i] = expected(i, pass + 1);
		}
	}
	return 0;
}
