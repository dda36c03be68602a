// SPDX-License-Identifier: GPL-2.0
/*
 * The steps of the control plane: each draws what to do, asks the model how it may end,
 * does it, and brings the model up to date.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuzz.h"

#define CONTROL	"/sys/class/vinteg-control/"
#define COUNT(array)	(sizeof(array) / sizeof(array[0]))

static const struct policy {
	const char *name;
	bool direct;
} policies[] = {
	{ "none", true }, { "directsync", true }, { "writethrough", false },
	{ "writeback", false }, { "guest", false }, { "unsafe", false },
};

static bool needs_direct(const char *policy)
{
	size_t i;

	for (i = 0; i < COUNT(policies); i++)
		if (!strcmp(policies[i].name, policy))
			return policies[i].direct;
	return false;
}

/* Writes an attribute; the text may contain anything. Returns 0 or an errno. */
static int set_bytes(struct device *dev, const char *name, const char *text, size_t len)
{
	char path[128];

	attribute_path(path, dev, name);
	note("vinteg%u: %s := '%.60s'", dev->number, name, text);
	return write_text(path, text, len);
}

static int set(struct device *dev, const char *name, const char *text)
{
	char line[4300];

	/* With a line's end, as echo does, or without. */
	snprintf(line, sizeof(line), "%s%s", text, chance(50) ? "\n" : "");
	return set_bytes(dev, name, line, strlen(line));
}

/* One of the texts that no attribute takes, or nothing at all: then it's a NUL. */
static int set_garbage(struct device *dev, const char *name)
{
	static const char * const texts[] = { "-1", "yes", "1 ", "0x1", "513", "8192",
					      "1\n\n", " 1", "99999999999999999999",
					      "none writeback", "[none]", "\n" };
	unsigned int i = draw(COUNT(texts) + 1);

	if (i == COUNT(texts))
		return set_bytes(dev, name, "1\0", 2);
	return set_bytes(dev, name, texts[i], strlen(texts[i]));
}

void step_add(void)
{
	struct device *dev = &fuzz.devices[fuzz.nr_devices];
	char text[32];
	ssize_t n;
	int fd;

	if (fuzz.nr_devices == MAX_DEVICES)
		return;
	fd = open(CONTROL "hot_add", O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		mismatch("hot_add: %m");
	close(fd);
	text[n] = 0;
	dev->number = atoi(text);
	note("hot_add: vinteg%u", dev->number);
	take_number(dev->number);
	model_reset_device(dev);
	model_open_attributes(dev);
	fuzz.nr_devices++;
	fuzz.current = dev;
}

/* Forgets a device that is gone. */
static void drop_device(struct device *dev)
{
	unsigned int last = --fuzz.nr_devices;

	fuzz.current = NULL;
	model_close_attributes(dev);
	if (dev != &fuzz.devices[last])
		*dev = fuzz.devices[last];
}

void remove_device(struct device *dev)
{
	struct outcome outcome = { 0 };
	char text[16], path[64];

	sprintf(text, "%u\n", dev->number);
	note("hot_remove := %u", dev->number);
	may_fail(&outcome, dev->nr_open, EBUSY);
	/* Before it's done: another worker may get the number at once. */
	if (!outcome.nr)
		give_number(dev->number);
	if (!expect(&outcome, write_text(CONTROL "hot_remove", text, strlen(text))))
		return;
	if (fuzz.nr_workers == 1) {
		sprintf(path, "/sys/block/vinteg%u", dev->number);
		if (!access(path, F_OK))
			mismatch("%s is still there", path);
	}
	drop_device(dev);
}

void step_remove(void)
{
	static const struct {
		const char *text;
		int error;
	} wrong[] = {
		{ "x", EINVAL }, { "-1", EINVAL }, { "1x", EINVAL }, { "1 2", EINVAL },
		{ "99999999999", EINVAL }, { "2147483647", ENODEV }, { "3000000", ENODEV },
	};
	struct outcome outcome = { 0 };
	unsigned int i = draw(COUNT(wrong));

	if (fuzz.nr_devices > 1 && chance(70)) {
		remove_device(any_device());
		return;
	}
	note("hot_remove := '%s'", wrong[i].text);
	may_fail(&outcome, true, wrong[i].error);
	expect(&outcome, write_text(CONTROL "hot_remove", wrong[i].text,
				    strlen(wrong[i].text)));
}

static bool shared_with_others(struct device *dev, struct file *file)
{
	unsigned int i;

	for (i = 0; i < fuzz.nr_devices; i++)
		if (fuzz.devices[i].file == file &&
		    !(fuzz.devices[i].read_only && dev->read_only_wanted))
			return true;
	return false;
}

static void bind(struct device *dev, struct target *target)
{
	struct file *file = target->file;
	unsigned int block = dev->block_size_wanted;
	struct outcome outcome = { 0 };
	const char *policy = dev->policy;

	if (!block)
		block = fuzz.dio_align ? fuzz.dio_align : SECTOR;
	may_fail(&outcome, dev->nr_open || dev->file, EBUSY);
	may_fail(&outcome, target->error && (target->error != EROFS ||
					     !dev->read_only_wanted), target->error);
	if (file) {
		may_fail(&outcome, file->sealed && !dev->read_only_wanted, EPERM);
		may_fail(&outcome, shared_with_others(dev, file), EBUSY);
		may_fail(&outcome, file->size < block, EINVAL);
		if (needs_direct(policy) && !fuzz.dio_align) {
			may_fail(&outcome, dev->policy_asked, EOPNOTSUPP);
			policy = "writethrough";
		}
		may_fail(&outcome, needs_direct(policy) && block < fuzz.dio_align, EINVAL);
	}
	if (!expect(&outcome, set(dev, "backing_file", target->path)))
		return;
	dev->file = file;
	dev->path = target->shown;
	dev->policy = policy;
	dev->read_only = dev->read_only_wanted;
	dev->block_size = block;
	dev->capacity = file->size / block * block;
}

void step_bind(void)
{
	struct device *dev = any_device();
	struct outcome outcome = { 0 };

	if (chance(4)) {
		may_fail(&outcome, true, EINVAL);
		may_fail(&outcome, dev->nr_open || dev->file, EBUSY);
		expect(&outcome, chance(50) ? set_bytes(dev, "backing_file", "\n", 1) :
		       set_bytes(dev, "backing_file", "/\0/", 3));
	} else if (chance(5)) {
		/* The disk itself. */
		struct target self = { .error = ELOOP };

		sprintf(self.path, "/dev/vinteg%u", dev->number);
		bind(dev, &self);
	} else {
		/* Mostly what can be bound: these come first. */
		bind(dev, &targets[draw(chance(70) ? 3 : fuzz.nr_targets)]);
	}
}

void step_reset(void)
{
	struct device *dev = any_device();
	struct outcome outcome = { 0 };

	may_fail(&outcome, dev->nr_open, EBUSY);
	if (chance(10)) {
		may_fail(&outcome, true, EINVAL);
		expect(&outcome, set(dev, "reset", "0"));
	} else if (expect(&outcome, set(dev, "reset", "1"))) {
		model_unbind(dev);
	}
}

void step_policy(void)
{
	const struct policy *policy = &policies[draw(COUNT(policies))];
	struct device *dev = any_device();
	struct outcome outcome = { 0 };

	if (chance(10)) {
		may_fail(&outcome, true, EINVAL);
		expect(&outcome, set_garbage(dev, "cache_policy"));
		return;
	}
	if (dev->file && policy->direct) {
		may_fail(&outcome, !fuzz.dio_align, EOPNOTSUPP);
		may_fail(&outcome, dev->block_size < fuzz.dio_align, EINVAL);
	}
	if (expect(&outcome, set(dev, "cache_policy", policy->name))) {
		dev->policy = policy->name;
		dev->policy_asked = true;
	}
}

void step_read_only(void)
{
	struct device *dev = any_device();
	struct outcome outcome = { 0 };
	bool on = chance(50);

	may_fail(&outcome, dev->file, EBUSY);
	if (chance(10)) {
		may_fail(&outcome, true, EINVAL);
		expect(&outcome, set_garbage(dev, "read_only"));
	} else if (expect(&outcome, set(dev, "read_only", on ? "1" : "0"))) {
		dev->read_only_wanted = on;
	}
}

void step_block_size(void)
{
	static const unsigned int sizes[] = { 0, 512, 1024, 2048, 4096 };
	unsigned int size = sizes[draw(COUNT(sizes))];
	struct device *dev = any_device();
	struct outcome outcome = { 0 };
	char text[16];

	may_fail(&outcome, dev->file, EBUSY);
	if (chance(10)) {
		may_fail(&outcome, true, EINVAL);
		expect(&outcome, set_garbage(dev, "logical_block_size"));
		return;
	}
	sprintf(text, "%u", size);
	if (expect(&outcome, set(dev, "logical_block_size", text)))
		dev->block_size_wanted = size;
}

void step_rescan(void)
{
	struct device *dev = any_device();
	struct outcome outcome = { 0 };

	if (chance(10)) {
		may_fail(&outcome, true, EINVAL);
		expect(&outcome, set(dev, "rescan", "on"));
		return;
	}
	may_fail(&outcome, !dev->file, ENODEV);
	may_fail(&outcome, dev->file && dev->file->size < dev->block_size, EINVAL);
	if (expect(&outcome, set(dev, "rescan", "1")))
		dev->capacity = dev->file->size / dev->block_size * dev->block_size;
}

void step_writeback_error(void)
{
	struct device *dev = any_device();
	struct outcome outcome = { 0 };

	if (chance(50)) {
		expect(&outcome, set(dev, "writeback_error", "0"));
	} else {
		may_fail(&outcome, true, EINVAL);
		expect(&outcome, set_garbage(dev, "writeback_error"));
	}
}

void step_write_cache(void)
{
	struct device *dev = any_device();
	struct outcome outcome = { 0 };
	bool through = chance(50);

	if (chance(10)) {
		may_fail(&outcome, true, EINVAL);
		expect(&outcome, set(dev, "queue/write_cache", "write around"));
	} else if (expect(&outcome, set(dev, "queue/write_cache",
					through ? "write through" : "write back"))) {
		dev->write_through = through;
	}
}

void step_scheduler(void)
{
	struct device *dev = any_device();
	struct outcome outcome = { 0 };
	unsigned int nr;

	for (nr = 0; schedulers[nr]; nr++)
		;
	if (chance(10)) {
		may_fail(&outcome, true, EINVAL);
		expect(&outcome, set(dev, "queue/scheduler", "roulette"));
	} else {
		nr = draw(nr);
		if (expect(&outcome, set(dev, "queue/scheduler", schedulers[nr])))
			dev->scheduler = schedulers[nr];
	}
}

/* Behind the device's back. What is cut off and comes back is zeroes. */
void step_resize_file(void)
{
	struct device *dev = any_device();
	/* Mostly one that is bound. */
	struct file *file = dev->file && !dev->file->sealed && chance(70) ? dev->file :
		&files[draw(4)];
	size_t size = chance(20) ? file->first_size : draw(MAX_FILE + 1);

	if (chance(50))
		size = size / 4096 * 4096;
	note("truncate %s to %zu", file->name, size);
	if (ftruncate(file->fd, size))
		mismatch("%s: %m", file->name);
	if (size < file->size)
		memset(file->data + size, 0, file->size - size);
	file->size = size;
}

void step_open(void)
{
	struct device *dev = any_device();
	struct opened *opened = &dev->opened[dev->nr_open];
	bool writable = chance(80), exclusive = chance(20);
	struct outcome outcome = { 0 };
	char path[32];
	unsigned int i;
	int fd;

	if (dev->nr_open == MAX_OPEN)
		return;
	sprintf(path, "/dev/vinteg%u", dev->number);
	note("open %s%s%s", path, writable ? "" : " for reading",
	     exclusive ? " exclusively" : "");
	for (i = 0; i < dev->nr_open; i++)
		may_fail(&outcome, exclusive && dev->opened[i].exclusive, EBUSY);
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | (exclusive ? O_EXCL : 0) |
		  O_DIRECT | O_CLOEXEC);
	/* Kernels differ about opening a read-only disk for writing. */
	if (fd < 0 && errno == EACCES && writable && (dev->read_only || dev->set_read_only))
		return;
	if (expect(&outcome, fd < 0 ? errno : 0)) {
		*opened = (struct opened){ fd, writable, exclusive };
		dev->nr_open++;
	}
}

void close_device(struct device *dev, unsigned int i)
{
	note("close one of vinteg%u", dev->number);
	if (close(dev->opened[i].fd))
		mismatch("close: %m");
	dev->opened[i] = dev->opened[--dev->nr_open];
}

void close_all(struct device *dev)
{
	while (dev->nr_open)
		close_device(dev, 0);
}

void step_close(void)
{
	struct device *dev = any_device();

	if (dev->nr_open)
		close_device(dev, draw(dev->nr_open));
}

void step_set_read_only(void)
{
	struct device *dev = any_device();
	struct outcome outcome = { 0 };
	int on = chance(40);

	if (!dev->nr_open)
		return;
	note("vinteg%u: BLKROSET %d", dev->number, on);
	if (expect(&outcome, ioctl(dev->opened[0].fd, BLKROSET, &on) ? errno : 0))
		dev->set_read_only = on;
}

void step_reread_partitions(void)
{
	struct device *dev = any_device();
	struct outcome outcome = { 0 };
	unsigned int i;
	int error;

	if (!dev->nr_open)
		return;
	note("vinteg%u: BLKRRPART", dev->number);
	error = ioctl(dev->opened[0].fd, BLKRRPART) ? errno : 0;
	for (i = 1; i < dev->nr_open; i++)
		may_fail(&outcome, dev->opened[i].exclusive &&
			 !dev->opened[0].exclusive, EBUSY);
	/*
	 * One format has its table in the 32nd sector: see block/partitions/ultrix.c. That it
	 * isn't there is told since BLK_OPEN_STRICT_SCAN, which 6.1 has not; and now and then
	 * random data look like a table of another format.
	 */
	if (error == EIO && dev->file && dev->capacity < 32 * 512)
		return;
	/* Whether it can be read decides the lower file: cut short, it can't. */
	if (dev->file && dev->file->size < dev->capacity && error == EIO)
		return;
	expect(&outcome, error);
}
