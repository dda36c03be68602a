// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz DIR [seed=N] [seconds=N] [sequences=N] [steps=N] [workers=N] [verbose]: random
 * sequences of steps against vinteg devices of its own, with files in folders of its own
 * below DIR. Ends when the time is over, or with the first step whose end or effect is
 * not what the model predicts: it prints the sequence up to there, and how to play it
 * again. Nobody else, such as udev, may open the devices. See fuzz.h.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_NUMBERS	1024
#define MAX_NOTES	256

static const struct step {
	void (*run)(void);
	unsigned int weight;
} steps[] = {
	{ step_add, 2 }, { step_remove, 2 }, { step_bind, 14 }, { step_reset, 5 },
	{ step_policy, 8 }, { step_read_only, 5 }, { step_block_size, 4 },
	{ step_rescan, 6 }, { step_writeback_error, 2 }, { step_write_cache, 1 },
	{ step_scheduler, 1 }, { step_resize_file, 5 }, { step_open, 14 },
	{ step_close, 7 }, { step_set_read_only, 2 }, { step_reread_partitions, 2 },
	{ step_read, 12 }, { step_write, 24 }, { step_write_cached, 4 },
	{ step_flush, 4 }, { step_discard, 5 }, { step_zero, 5 }, { step_verify, 5 },
};

#define NR_STEPS	(sizeof(steps) / sizeof(steps[0]))

struct fuzz fuzz;

static struct {
	__u64 seed;
	unsigned long seconds, sequences, steps, workers;
	bool verbose;
} options = { .seconds = 10, .steps = 40, .workers = 4 };

/* What the workers have in common. */
static struct {
	bool taken[MAX_NUMBERS];	/* numbers of devices */
	unsigned long sequences, steps;
	unsigned int failed;
} *shared;

static __u64 sequence_seed;
static char notes[MAX_NOTES][160];
static unsigned int nr_notes;

__u32 draw(__u32 limit)
{
	__u64 z = fuzz.random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % limit;
}

bool chance(unsigned int percent)
{
	return draw(100) < percent;
}

struct device *any_device(void)
{
	fuzz.current = &fuzz.devices[draw(fuzz.nr_devices)];
	return fuzz.current;
}

void note(const char *fmt, ...)
{
	char *line = notes[nr_notes++ % MAX_NOTES], *end;
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(notes[0]), fmt, args);
	va_end(args);
	for (end = line; *end; end++)
		if (*end == '\n')
			*end = '$';
	if (options.verbose)
		fprintf(stderr, "# %u: %s\n", fuzz.worker, line);
}

void mismatch(const char *fmt, ...)
{
	unsigned int i = nr_notes > MAX_NOTES ? nr_notes - MAX_NOTES : 0;
	char what[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	/* The first worker only: the others go on until they are stopped. */
	if (!__atomic_exchange_n(&shared->failed, 1, __ATOMIC_SEQ_CST)) {
		for (; i < nr_notes; i++)
			printf("%s\n", notes[i % MAX_NOTES]);
		printf("not as predicted: %s\n", what);
		printf("to play it again: fuzz DIR seed=%llu sequences=1 steps=%lu workers=1\n",
		       (unsigned long long)sequence_seed, options.steps);
		fflush(stdout);
	}
	_exit(1);
}

void take_number(unsigned int number)
{
	unsigned int i;

	if (number >= MAX_NUMBERS ||
	    __atomic_exchange_n(&shared->taken[number], true, __ATOMIC_SEQ_CST))
		mismatch("hot_add gave the number %u, which is taken", number);
	if (options.workers > 1)
		return;
	for (i = 0; i < number; i++)
		if (!shared->taken[i])
			mismatch("hot_add gave the number %u, but %u was free", number, i);
}

void give_number(unsigned int number)
{
	__atomic_store_n(&shared->taken[number], false, __ATOMIC_SEQ_CST);
}

static void run_step(unsigned int total)
{
	unsigned int pick = draw(total), noted = nr_notes, i = 0;

	while (pick >= steps[i].weight)
		pick -= steps[i++].weight;
	steps[i].run();
	/* Some steps find nothing to do. */
	if (nr_notes == noted)
		return;
	__atomic_fetch_add(&shared->steps, 1, __ATOMIC_RELAXED);
	if (fuzz.current)
		model_check_device(fuzz.current);
}

static void run_sequence(__u64 seed)
{
	unsigned int total = 0, i;

	for (i = 0; i < NR_STEPS; i++)
		total += steps[i].weight;
	sequence_seed = seed;
	fuzz.random = seed;
	nr_notes = 0;
	model_start();
	step_add();
	if (chance(50))
		step_add();
	for (i = 0; i < options.steps && !shared->failed; i++)
		run_step(total);

	/* No step may have changed another device. */
	for (i = 0; i < fuzz.nr_devices; i++)
		model_check_device(&fuzz.devices[i]);
	while (fuzz.nr_devices) {
		close_all(&fuzz.devices[0]);
		remove_device(&fuzz.devices[0]);
	}
	for (i = 0; files[i].name; i++)
		model_check_file(&files[i]);
	__atomic_fetch_add(&shared->sequences, 1, __ATOMIC_RELAXED);
}

static void work(const char *dir, unsigned int worker)
{
	time_t end = time(NULL) + options.seconds;
	unsigned long i;
	char own[256];

	snprintf(own, sizeof(own), "%s/%u", dir, worker);
	if (mkdir(own, 0700) && errno != EEXIST)
		err(2, "%s", own);
	fuzz.dir = own;
	fuzz.worker = worker;
	fuzz.nr_workers = options.workers;
	fuzz.buffer = aligned_alloc(4096, MAX_FILE + 8 * SECTOR);
	if (!fuzz.buffer)
		err(2, "memory");
	model_prepare();
	for (i = worker; !shared->failed; i += options.workers) {
		if (options.sequences ? i >= options.sequences : time(NULL) >= end)
			break;
		run_sequence(options.seed + i);
	}
	_exit(shared->failed);
}

/* One instance of a scheduler is on each queue; what there is, all queues have. */
static void find_schedulers(void)
{
	static char text[512];
	unsigned int nr = 0;
	char *name;
	FILE *f;

	f = popen("cat /sys/block/vinteg*/queue/scheduler 2>/dev/null | head -n 1", "r");
	if (!f || !fgets(text, sizeof(text), f))
		errx(2, "there is no vinteg device: load the module with num_devices=1");
	pclose(f);
	for (name = strtok(text, " []\n"); name && nr < 15; name = strtok(NULL, " []\n"))
		schedulers[nr++] = name;
}

static void parse(char **arg)
{
	for (; *arg; arg++) {
		char *value = strchr(*arg, '=');
		size_t len = value ? (size_t)(value - *arg) : 0;

		if (!strcmp(*arg, "verbose"))
			options.verbose = true;
		else if (!value)
			errx(2, "what is %s?", *arg);
		else if (!strncmp(*arg, "seed", len))
			options.seed = strtoull(value + 1, NULL, 0);
		else if (!strncmp(*arg, "seconds", len))
			options.seconds = strtoul(value + 1, NULL, 0);
		else if (!strncmp(*arg, "sequences", len))
			options.sequences = strtoul(value + 1, NULL, 0);
		else if (!strncmp(*arg, "steps", len))
			options.steps = strtoul(value + 1, NULL, 0);
		else if (!strncmp(*arg, "workers", len))
			options.workers = strtoul(value + 1, NULL, 0);
		else
			errx(2, "what is %s?", *arg);
	}
}

int main(int argc, char **argv)
{
	struct timespec now;
	unsigned int i;
	int status, failed = 0;

	if (argc < 2)
		errx(2, "usage: fuzz DIR [seed=N] [seconds=N] [sequences=N] [steps=N] %s",
		     "[workers=N] [verbose]");
	clock_gettime(CLOCK_REALTIME, &now);
	options.seed = now.tv_sec * 1000000 + now.tv_nsec / 1000;
	parse(argv + 2);
	find_schedulers();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(2, "memory");
	for (i = 0; i < MAX_NUMBERS; i++) {
		char path[64];

		sprintf(path, "/sys/block/vinteg%u", i);
		shared->taken[i] = !access(path, F_OK);
	}

	for (i = 0; i < options.workers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(2, "fork");
		if (!pid)
			work(argv[1], i);
	}
	while (wait(&status) > 0)
		if (status)
			failed = 1;
	printf("%lu sequences, %lu steps, from seed %llu\n", shared->sequences,
	       shared->steps, (unsigned long long)options.seed);
	return failed;
}
