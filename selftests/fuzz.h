/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A fuzzer of vinteg's control plane and request plane. Random steps, valid and
 * invalid ones, run against the devices and against a model of them, which says
 * beforehand how each step may end and what is to be seen afterwards.
 *
 *   fuzz.c        what a run is: sequences, workers, the report of a mismatch
 *   fuzz_model.c  devices and files as they should be, compared with what is
 *   fuzz_control.c, fuzz_io.c  the steps
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define MAX_DEVICES	3	/* of a worker */
#define MAX_OPEN	3	/* of a device */
#define MAX_FILE	(384 << 10)
#define MAX_IO		(64 << 10)
#define SECTOR		512
#define NR_ATTRIBUTES	10

/* A file that can be bound, as it should be. */
struct file {
	const char *name;
	size_t first_size;
	bool sealed;		/* immutable */
	int fd;
	size_t size;
	unsigned char *data;
};

/* A path that can be written to backing_file. */
struct target {
	char path[4200];
	const char *shown;	/* once it is bound */
	struct file *file;	/* NULL if it leads to none */
	int error;		/* of opening it; EROFS for writing only */
};

struct opened {
	int fd;
	bool writable, exclusive;
};

struct device {
	unsigned int number;
	struct file *file;	/* NULL if nothing is bound */
	const char *path;	/* as it was bound */
	const char *policy, *scheduler;
	size_t capacity;	/* bytes */
	unsigned int block_size;	/* in effect */
	unsigned int block_size_wanted;
	bool read_only_wanted, read_only, set_read_only;
	bool policy_asked, write_through;
	unsigned int nr_open;
	struct opened opened[MAX_OPEN];
	int attributes[NR_ATTRIBUTES];	/* files */
};

/* How a step may end: with one of the errors, or well if there is none. */
struct outcome {
	unsigned int nr;
	int errors[16];
};

struct fuzz {
	unsigned int worker, nr_workers;
	const char *dir;
	unsigned int dio_align;
	unsigned int nr_targets, nr_devices;
	struct device devices[MAX_DEVICES], *current;
	unsigned char *buffer;
	__u64 random;
};

extern struct fuzz fuzz;
extern struct file files[];
extern struct target targets[];
extern const char *schedulers[];

/* fuzz.c */
struct device *any_device(void);
__u32 draw(__u32 limit);	/* a number below it */
bool chance(unsigned int percent);
void note(const char *fmt, ...);
void mismatch(const char *fmt, ...);	/* doesn't return */
void take_number(unsigned int number);
void give_number(unsigned int number);

/* fuzz_model.c */
void may_fail(struct outcome *outcome, bool condition, int error);
bool expect(const struct outcome *outcome, int error);
void model_prepare(void);
void model_reset_device(struct device *dev);
void model_unbind(struct device *dev);
void model_start(void);
void model_open_attributes(struct device *dev);
void model_close_attributes(struct device *dev);
void model_check_device(struct device *dev);
void model_check_file(struct file *file);
void model_accept(struct file *file, size_t at, size_t len, const unsigned char *new);
void attribute_path(char *path, const struct device *dev, const char *name);
int write_text(const char *path, const char *text, size_t len);

/* fuzz_control.c */
void step_add(void);
void step_remove(void);
void step_bind(void);
void step_reset(void);
void step_policy(void);
void step_read_only(void);
void step_block_size(void);
void step_rescan(void);
void step_writeback_error(void);
void step_write_cache(void);
void step_scheduler(void);
void step_resize_file(void);
void step_open(void);
void step_close(void);
void step_set_read_only(void);
void step_reread_partitions(void);
void remove_device(struct device *dev);
void close_device(struct device *dev, unsigned int i);
void close_all(struct device *dev);

/* fuzz_io.c */
void step_read(void);
void step_write(void);
void step_write_cached(void);
void step_flush(void);
void step_discard(void);
void step_zero(void);
void step_verify(void);

#endif /* FUZZ_H */
