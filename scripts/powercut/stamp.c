// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "stamp.h"

#define MAGIC	0x706d617473746e69ULL

struct sector {
	uint64_t magic;
	struct stamp stamp;
	uint64_t filler[59];
	uint64_t sum;
};

_Static_assert(sizeof(struct sector) == SECTOR_SIZE, "a sector has no padding");

static uint64_t mix(uint64_t x)
{
	x ^= x >> 29;
	x *= 0x9fb21c651e98df25ULL;
	x ^= x >> 32;
	return x;
}

/* Depends on the order of the words, and on all of them. */
static uint64_t checksum(const struct sector *s)
{
	const uint64_t *word = (const uint64_t *)s;
	uint64_t sum = 0;

	while (word < &s->sum)
		sum = mix(sum + *word++);
	return sum;
}

void stamp_write(void *sector, const struct stamp *stamp)
{
	struct sector s = { .magic = MAGIC, .stamp = *stamp };
	uint64_t x = mix(stamp->run ^ mix(stamp->lba ^ mix(stamp->seq)));
	unsigned int i;

	/* Unlike from write to write, so that a torn sector can't pass. */
	for (i = 0; i < sizeof(s.filler) / sizeof(s.filler[0]); i++)
		s.filler[i] = x = mix(x + i);
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
