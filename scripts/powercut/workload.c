// SPDX-License-Identifier: GPL-2.0
/*
 * workload: writes to a disk in every way there is, and keeps a ledger of it. All that
 * it writes is stamped. The same seed gives the same requests; in which order they
 * come to the disk is up to the machine.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "workload.h"

static void help(void)
{
	fputs("How to call it: workload --device PATH --ledger FILE --policy NAME [option]...\n"
	      "  --policy NAME     the one that promises now what has to be kept\n"
	      "  --run N           stamped into all data, unlike in any other run (random)\n"
	      "  --seed N          what is written, and where (1)\n"
	      "  --clock FILE      shared with others who take times\n"
	      "  --size MIB        use only so much of the disk\n"
	      "  --ops N           stop after N requests\n"
	      "  --seconds N       stop after N seconds\n"
	      "  --pause US        microseconds before each request (0)\n"
	      "  --no-discard      no discards, no zeroing\n"
	      "  --no-cached       nothing through the page cache above the disk\n"
	      "  --no-fua          no durable writes, but flushes\n"
	      "  --unknown         the disk is not all zeros\n"
	      "  --syncs-fail      of the disk below only flushes and forced writes ever fail\n"
	      "  --no-fill         doesn't write once to each place before the rest\n"
	      "What the operator does meanwhile, to --sysfs /sys/block/X:\n"
	      "  --switch A,B,...  switches between these policies\n"
	      "  --claim NAME      writes down this policy in place of the one switched to\n"
	      "  --every MS        so often (300)\n"
	      "  --override        sets queue/write_cache, and back\n"
	      "  --clear           clears writeback_error\n", stderr);
	exit(2);
}

__u64 random_next(struct random *r)
{
	__u64 x = (r->state += 0x9e3779b97f4a7c15ULL);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

__u64 random_below(struct random *r, __u64 limit)
{
	return random_next(r) % limit;
}

struct place place_pick(const struct workload *w, struct random *r, __u64 first, __u64 sectors)
{
	const __u64 close = 512;
	struct place at;
	unsigned int i, bits = 11, next;
	__u64 span;

	/* The least of three: one block is 60 times as likely as the most. */
	for (i = 0; i < 3; i++) {
		next = random_below(r, 12);
		bits = next < bits ? next : bits;
	}
	at.sectors = (1 << bits) + random_below(r, 1 << bits);
	at.sectors -= at.sectors % w->block;
	if (at.sectors < w->block)
		at.sectors = w->block;
	if (at.sectors > MAX_SECTORS)
		at.sectors = MAX_SECTORS;
	if (at.sectors > sectors)
		at.sectors = sectors;
	span = sectors - at.sectors;
	if (span > close && random_below(r, 2))
		span = close;
	at.lba = random_below(r, span / w->block + 1) * w->block + first;
	return at;
}

__u64 request_number(struct workload *w)
{
	__u64 seq;

	if (__atomic_load_n(&w->stop, __ATOMIC_RELAXED))
		return 0;
	if (w->pause)
		usleep(w->pause);
	seq = __atomic_add_fetch(&w->seq, 1, __ATOMIC_RELAXED);
	return w->last_seq && seq > w->last_seq ? 0 : seq;
}

/* Memory is taken as it is touched: most buffers never hold a large write. */
void *buffer_alloc(void)
{
	void *buffer = mmap(NULL, MAX_SECTORS * SECTOR_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buffer == MAP_FAILED)
		err(2, "buffer");
	return buffer;
}

void buffer_fill(const struct workload *w, void *buffer, struct place at, __u64 seq)
{
	struct stamp stamp = { .run = w->run, .seq = seq };
	unsigned int i;

	for (i = 0; i < at.sectors; i++) {
		stamp.lba = at.lba + i;
		stamp_write((char *)buffer + i * SECTOR_SIZE, &stamp);
	}
}

void log_issue(struct workload *w, __u64 seq, enum ledger_op op, struct place at)
{
	struct ledger_record r = {
		.type = LEDGER_ISSUE,
		.seq = seq,
		.op = op,
		.lba = at.lba,
		.sectors = at.sectors,
	};

	ledger_write(w->ledger, &r);
}

void log_done(struct workload *w, __u64 seq, int error)
{
	struct ledger_record r = { .type = LEDGER_DONE, .seq = seq, .error = error };

	ledger_write(w->ledger, &r);
}

/*
 * So that whatever is lost leaves something behind that is not blank. But all blocks of
 * the file below have their place then.
 */
static void fill(struct workload *w)
{
	int fd = open(w->device, O_RDWR | O_DIRECT);
	void *buffer = buffer_alloc();
	struct place at = { 0 };
	__u64 seq;

	if (fd < 0)
		err(2, "%s", w->device);
	for (; at.lba < w->sectors; at.lba += at.sectors) {
		at.sectors = w->sectors - at.lba < MAX_SECTORS ? w->sectors - at.lba : MAX_SECTORS;
		seq = request_number(w);
		buffer_fill(w, buffer, at, seq);
		log_issue(w, seq, LEDGER_WRITE, at);
		if (pwrite(fd, buffer, at.sectors * SECTOR_SIZE, at.lba * SECTOR_SIZE) !=
		    (ssize_t)at.sectors * SECTOR_SIZE)
			err(2, "%s: the first write to each place", w->device);
		log_done(w, seq, 0);
	}
	seq = request_number(w);
	log_issue(w, seq, LEDGER_FLUSH, (struct place){ 0 });
	if (fdatasync(fd))
		err(2, "%s: the first flush", w->device);
	log_done(w, seq, 0);
	close(fd);
}

static void measure(struct workload *w, __u64 limit)
{
	int fd = open(w->device, O_RDONLY);
	int block;
	__u64 bytes;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) || ioctl(fd, BLKSSZGET, &block))
		err(2, "%s", w->device);
	close(fd);
	if (limit && limit < bytes)
		bytes = limit;
	w->block = block / SECTOR_SIZE;
	w->sectors = bytes / SECTOR_SIZE;
	/* A border that no page and no block lies across. */
	w->direct_sectors = (w->sectors - w->sectors / 8) & ~2047ULL;
	if (!w->direct_sectors)
		errx(2, "%s is too small", w->device);
}

static void write_all(struct workload *w, struct operator *op, bool discard, bool cached,
		      bool fua, unsigned int seconds)
{
	struct writer writers[] = {
		{ write_direct, .depth = 1, .fua = 50, .flushes = 20 },
		{ write_direct, .depth = 4, .fua = 10, .flushes = 10 },
		{ write_direct, .depth = 16, .fua = 30, .flushes = 3 },
		{ write_direct, .depth = 32, .fua = 100 },
		{ write_direct, .depth = 8, .flushes = 5 },
		{ cached ? write_cached : NULL },
		{ discard ? write_nothing : NULL },
	};
	const unsigned int count = sizeof(writers) / sizeof(*writers);
	pthread_t threads[sizeof(writers) / sizeof(*writers)], operator;
	unsigned int i;

	for (i = 0; i < count; i++) {
		writers[i].w = w;
		writers[i].number = i;
		if (!fua)
			writers[i].fua = 0;
		if (writers[i].run &&
		    pthread_create(&threads[i], NULL, writers[i].run, &writers[i]))
			errx(2, "no thread");
	}
	if (w->sysfs && pthread_create(&operator, NULL, operate, op))
		errx(2, "no thread");
	if (seconds) {
		sleep(seconds);
		__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
	}
	for (i = 0; i < count; i++)
		if (writers[i].run)
			pthread_join(threads[i], NULL);
	__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
	if (w->sysfs)
		pthread_join(operator, NULL);
}

static __u64 random_run(void)
{
	__u64 run;
	int fd = open("/dev/urandom", O_RDONLY);

	if (fd < 0 || read(fd, &run, sizeof(run)) != sizeof(run))
		err(2, "/dev/urandom");
	close(fd);
	return run;
}

static __u64 number(const char *text, __u64 otherwise)
{
	return text ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
	enum {
		DEVICE = 1, LEDGER, POLICY, RUN, SEED, CLOCK, SIZE, OPS, SECONDS, PAUSE,
		SYSFS, SWITCH, CLAIM, EVERY, VALUES
	};
	static int no_discard, no_cached, no_fua, no_fill, unknown, syncs_fail, override, clear;
	static const struct option options[] = {
		{ "device", 1, 0, DEVICE }, { "ledger", 1, 0, LEDGER },
		{ "policy", 1, 0, POLICY }, { "run", 1, 0, RUN }, { "seed", 1, 0, SEED },
		{ "clock", 1, 0, CLOCK }, { "size", 1, 0, SIZE }, { "ops", 1, 0, OPS },
		{ "seconds", 1, 0, SECONDS }, { "pause", 1, 0, PAUSE },
		{ "sysfs", 1, 0, SYSFS }, { "switch", 1, 0, SWITCH },
		{ "claim", 1, 0, CLAIM }, { "every", 1, 0, EVERY },
		{ "no-discard", 0, &no_discard, 1 }, { "no-cached", 0, &no_cached, 1 },
		{ "no-fua", 0, &no_fua, 1 }, { "no-fill", 0, &no_fill, 1 },
		{ "unknown", 0, &unknown, 1 }, { "syncs-fail", 0, &syncs_fail, 1 },
		{ "override", 0, &override, 1 }, { "clear", 0, &clear, 1 }, { }
	};
	char *value[VALUES] = { };
	struct workload w = { };
	struct operator operator = { .w = &w };
	struct ledger_record first = { .type = LEDGER_START };
	struct ledger_record last = { .type = LEDGER_END };
	int opt, fd;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == '?')
			help();
		value[opt] = optarg;
	}
	if (!value[DEVICE] || !value[LEDGER] || !value[POLICY] || optind != argc ||
	    (!value[SYSFS] && (value[SWITCH] || override || clear)))
		help();
	first.mode = ledger_mode_of(value[POLICY]);
	if (!first.mode)
		errx(2, "no policy has the name '%s'", value[POLICY]);
	first.flags = (unknown ? LEDGER_UNKNOWN_CONTENT : 0) |
		(syncs_fail ? LEDGER_SYNCS_FAIL : 0);
	w.device = value[DEVICE];
	w.sysfs = value[SYSFS];
	w.run = value[RUN] ? number(value[RUN], 0) : random_run();
	w.seed = number(value[SEED], 1);
	w.last_seq = number(value[OPS], 0);
	w.pause = number(value[PAUSE], 0);
	operator.policies = value[SWITCH];
	operator.claim = value[CLAIM];
	operator.every = number(value[EVERY], 300);
	operator.override = override;
	operator.clear = clear;

	fd = open(value[LEDGER], O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (fd < 0)
		err(2, "%s", value[LEDGER]);
	w.ledger = ledger_create(fd, value[CLOCK], w.run);
	measure(&w, number(value[SIZE], 0) << 20);
	first.sectors = w.sectors;
	ledger_write(w.ledger, &first);
	if (!no_fill)
		fill(&w);
	write_all(&w, &operator, !no_discard, !no_cached, !no_fua, number(value[SECONDS], 0));
	ledger_write(w.ledger, &last);
	return 0;
}
