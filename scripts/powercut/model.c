// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "stamp.h"

static void *get(__u64 count, size_t size)
{
	void *memory = calloc(count + 1, size);

	if (!memory)
		err(2, "model");
	return memory;
}

static void place_extents(struct model *m, const char *path)
{
	unsigned long long lba, disk, sectors, i, end = 0, expected = 0;
	FILE *file = fopen(path, "r");

	if (!file)
		err(2, "%s", path);
	while (fscanf(file, "%llu %llu %llu", &lba, &disk, &sectors) == 3)
		end = disk + sectors > end ? disk + sectors : end;
	m->disk_sectors = end;
	m->place = get(end, sizeof(*m->place));
	memset(m->place, 0xff, end * sizeof(*m->place));
	rewind(file);
	while (fscanf(file, "%llu %llu %llu", &lba, &disk, &sectors) == 3) {
		if (lba != expected)
			errx(2, "%s: a gap", path);
		for (i = 0; i < sectors && lba + i < m->sectors; i++)
			m->place[disk + i] = lba + i;
		expected += sectors;
	}
	fclose(file);
	if (expected < m->sectors)
		errx(2, "%s: less than the ledger speaks of", path);
}

struct model *model_new(const struct oracle *oracle, const char *extents)
{
	struct model *m = get(1, sizeof(*m));

	m->oracle = oracle;
	m->sectors = oracle_counts(oracle)->sectors;
	place_extents(m, extents);
	m->stable = get(m->sectors, sizeof(*m->stable));
	m->since = get(m->sectors, sizeof(*m->since));
	m->flush = get(m->sectors, sizeof(*m->flush));
	m->changes = get(m->sectors, sizeof(*m->changes));
	m->changed = get(m->sectors, sizeof(*m->changed));
	m->fresh = get(m->sectors, sizeof(*m->fresh));
	return m;
}

static void settle(struct model *m, const struct cached *c)
{
	__u32 i, lba;

	for (i = 0; i < c->sectors; i++) {
		lba = c->lbas[i];
		if (!model_visible(m, c, i))
			continue;
		m->stable[lba] = c->contents[i];
		m->since[lba] = c->request;
		if (m->flush[lba] != m->flushes) {
			m->flush[lba] = m->flushes;
			m->fresh[m->nr_fresh++] = lba;
		}
		if (!m->changed[lba])
			m->changes[m->nr_changes++] = lba;
		m->changed[lba] = true;
	}
}

static void drop(struct cached *c)
{
	free(c->lbas);
	free(c->contents);
}

static void begin(struct model *m, const struct disk_record *r)
{
	const unsigned char *data = (const unsigned char *)(r + 1);
	__u64 disk = r->offset / SECTOR_SIZE, sectors = r->length / SECTOR_SIZE, i;
	struct cached *c;
	__u32 lba;

	if (m->count == m->size) {
		m->size = m->size * 2 + 64;
		m->cache = realloc(m->cache, m->size * sizeof(*m->cache));
		if (!m->cache)
			err(2, "model");
	}
	c = &m->cache[m->count++];
	*c = (struct cached){ .request = r->request, .fua = r->flags & DISK_FUA };
	if (disk >= m->disk_sectors)
		return;
	if (sectors > m->disk_sectors - disk)
		sectors = m->disk_sectors - disk;
	for (i = 0; i < sectors && m->place[disk + i] == NOWHERE; i++)
		;
	if (i == sectors)
		return;
	c->lbas = get(sectors, sizeof(*c->lbas));
	c->contents = get(sectors, sizeof(*c->contents));
	for (; i < sectors; i++) {
		lba = m->place[disk + i];
		if (lba == NOWHERE)
			continue;
		c->lbas[c->sectors] = lba;
		c->contents[c->sectors++] = r->event == DISK_ZERO ? CONTENT_BLANK :
			oracle_content(m->oracle, lba, data + i * SECTOR_SIZE);
	}
}

static void remove_at(struct model *m, __u64 at)
{
	drop(&m->cache[at]);
	memmove(&m->cache[at], &m->cache[at + 1], (--m->count - at) * sizeof(*m->cache));
}

/* All that was done before the flush came is stored when the flush is done. */
static void flush(struct model *m, __u64 came)
{
	__u64 i, kept = 0;

	m->flushes++;
	m->nr_fresh = 0;
	for (i = 0; i < m->count; i++) {
		struct cached c = m->cache[i];

		if (c.done && c.done < came) {
			settle(m, &c);
			drop(&c);
		} else {
			m->cache[kept++] = c;
		}
	}
	m->count = kept;
}

static void note_flush(struct model *m, const struct disk_record *r)
{
	__u64 count = r->request * 2 + 64;

	if (r->request >= m->nr_came) {
		m->came = realloc(m->came, count * sizeof(*m->came));
		if (!m->came)
			err(2, "model");
		memset(m->came + m->nr_came, 0, (count - m->nr_came) * sizeof(*m->came));
		m->nr_came = count;
	}
	m->came[r->request] = r->time;
}

static bool done(struct model *m, const struct disk_record *r)
{
	struct cached *c;
	bool stored;
	__u64 i;

	if (r->request < m->nr_came && m->came[r->request]) {
		flush(m, m->came[r->request]);
		return true;
	}
	for (i = 0; i < m->count && m->cache[i].request != r->request; i++)
		;
	if (i == m->count)
		errx(2, "log: request %llu was never made", r->request);
	c = &m->cache[i];
	c->done = r->time;
	stored = c->fua;
	if (stored)
		settle(m, c);
	/* The rest of the disk is of no interest. */
	if (stored || !c->sectors)
		remove_at(m, i);
	return stored;
}

bool model_feed(struct model *m, const struct disk_record *r)
{
	switch ((enum disk_event)r->event) {
	case DISK_WRITE:
	case DISK_ZERO:
		begin(m, r);
		return m->cache[m->count - 1].sectors;
	case DISK_FLUSH:
		note_flush(m, r);
		return false;
	case DISK_DONE:
		return done(m, r);
	}
	errx(2, "log: an event of kind %u", r->event);
}
