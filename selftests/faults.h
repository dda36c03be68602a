/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdint.h>
#include <stdio.h>

#define SYS		"/sys/block/vinteg0/"
#define CONTROL		"/sys/class/vinteg-control/"
#define BLOCK		4096
#define NR_IO_OPS	9
#define NR_POLICIES	5

struct op {
	const char *name;
	int (*run)(void);	/* 0 or an errno; nothing but this may fail */
	int also;		/* an errno that makes sense here only */
	unsigned int at_least;	/* allocations that it takes */
	unsigned int ok;
	unsigned int failed[134];	/* by errno */
	unsigned int injected;
};

#define complain(...)			\
	do {				\
		printf(__VA_ARGS__);	\
		putchar('\n');		\
		bad = 1;		\
	} while (0)

extern int nth;			/* fail-nth, or -1 */
extern int disk;		/* the open device, or -1 */
extern int bad;			/* something has been complained of */
extern char *buf;		/* one block */
extern const char *file;
extern unsigned int policy;
extern const char * const policies[NR_POLICIES];
extern struct op io_ops[NR_IO_OPS];	/* the last one is the switch */

/* faults_inject.c */
void must_put(const char *path, const char *text);
void get(const char *path, char *text, size_t size);
int is_bound(void);
int is_stuck(void);
void open_chances(char *faults);
void inject(unsigned int n);
int injected(void);
int note(struct op *op, int ret);
void report(const struct op *op);

/* faults_io.c */
void look(void);
void all_durable(void);
void nothing_but_durable(void);
void wipe(void);

#endif /* FAULTS_H */
