// SPDX-License-Identifier: GPL-2.0
/* The operator: changes the disk's settings while it is written to. */
#include <errno.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

/* The driver promises to notice within one; a busy machine may take its time. */
#define NOTICED_SECONDS	4
#define MAX_POLICIES	16

static int set(const struct workload *w, const char *name, const char *value)
{
	char path[256];
	int fd, error = 0;

	snprintf(path, sizeof(path), "%s/%s", w->sysfs, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		err(2, "%s", path);
	if (write(fd, value, strlen(value)) < 0)
		error = errno;
	close(fd);
	return error;
}

static bool is_zero(const struct workload *w, const char *name)
{
	char path[256], text[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", w->sysfs, name);
	file = fopen(path, "r");
	if (!file || !fgets(text, sizeof(text), file))
		err(2, "%s", path);
	fclose(file);
	return !strcmp(text, "0\n");
}

static void log_event(struct workload *w, enum ledger_type type, int mode, int error)
{
	struct ledger_record r = { .type = type, .mode = mode, .error = error };

	ledger_write(w->ledger, &r);
}

static void switch_policy(const struct operator *op, const char *policy)
{
	int mode = ledger_mode_of(op->claim ?: policy);

	log_event(op->w, LEDGER_MODE, mode, 0);
	log_event(op->w, LEDGER_MODE_DONE, mode, set(op->w, "cache_policy", policy));
}

static void override(struct workload *w, bool on)
{
	int mode = on ? OVERRIDE_ON : OVERRIDE_OFF;

	log_event(w, LEDGER_OVERRIDE, mode, 0);
	log_event(w, LEDGER_OVERRIDE_DONE, mode,
		  set(w, "queue/write_cache", on ? "write through" : "write back"));
}

static void clear_error(struct workload *w)
{
	if (is_zero(w, "writeback_error"))
		return;
	log_event(w, LEDGER_CLEAR, 0, 0);
	log_event(w, LEDGER_CLEAR_DONE, 0, set(w, "writeback_error", "0"));
}

static unsigned int split(char *list, char **names)
{
	unsigned int count = 0;
	char *name;

	for (name = strtok(list, ","); name && count < MAX_POLICIES; name = strtok(NULL, ",")) {
		if (!ledger_mode_of(name))
			errx(2, "no policy has the name '%s'", name);
		names[count++] = name;
	}
	return count;
}

void *operate(void *arg)
{
	struct operator *op = arg;
	struct workload *w = op->w;
	struct random r = { w->seed ^ 0x6f70 };
	char *policies[MAX_POLICIES];
	unsigned int count = op->policies ? split(op->policies, policies) : 0;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		/* Never in step with anything. */
		usleep(op->every * (500 + random_below(&r, 1000)));
		if (op->clear)
			clear_error(w);
		if (op->override && !random_below(&r, 4)) {
			override(w, true);
			if (random_below(&r, 2)) {
				sleep(NOTICED_SECONDS);
				log_event(w, LEDGER_NOTICED, 0, 0);
			}
			override(w, false);
		}
		if (count)
			switch_policy(op, policies[random_below(&r, count)]);
	}
	return NULL;
}
