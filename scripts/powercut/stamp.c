// SPDX-License-Identifier: GPL-2.0
#include <assert.h>
#include <string.h>

#include "stamp.h"

#define MAGIC	0x706d617473746e69ULL

#define FILLERS	59

struct sector {
	__u64 magic;
	struct stamp stamp;
	__u64 filler[FILLERS];
	__u64 sum;
};

static_assert(sizeof(struct sector) == SECTOR_SIZE, "a sector has no padding");

static __u64 mix(__u64 x)
{
	x ^= x >> 29;
	x *= 0x9fb21c651e98df25ULL;
	x ^= x >> 32;
	return x;
}

/* Depends on the order of the words, and on all of them. */
static __u64 checksum(const struct sector *s)
{
	const __u64 *word = (const __u64 *)s;
	__u64 sum = 0;

	while (word < &s->sum)
		sum = mix(sum + *word++);
	return sum;
}

void stamp_write(void *sector, const struct stamp *stamp)
{
	struct sector s = { .magic = MAGIC, .stamp = *stamp };
	__u64 x = mix(stamp->run ^ mix(stamp->lba ^ mix(stamp->seq)));
	unsigned int i;

	/* Unlike from write to write, so that a torn sector can't pass. */
	for (i = 0; i < FILLERS; i++) {
		x = mix(x + i);
		s.filler[i] = x;
	}
	s.sum = checksum(&s);
	memcpy(sector, &s, sizeof(s));
}

enum stamp_state stamp_read(const void *sector, struct stamp *stamp)
{
	static const struct sector blank;
	struct sector s;

	memcpy(&s, sector, sizeof(s));
	if (!memcmp(&s, &blank, sizeof(s)))
		return STAMP_BLANK;
	if (s.magic != MAGIC || s.sum != checksum(&s))
		return STAMP_BROKEN;
	*stamp = s.stamp;
	return STAMP_VALID;
}
