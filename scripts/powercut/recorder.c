// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for nbdkit: a disk in memory that logs what it is asked to do.
 *
 *   size=BYTES     of the disk
 *   log=FILE       see disklog.h
 *   clock=FILE     shared with the workload above
 *   fua=no         don't offer FUA
 *   ignore=flush   answer flushes, but forget about them: a broken disk
 *   ignore=fua     treat FUA writes as any other: a broken disk
 *
 * Writes take a random time: a flush that comes meanwhile doesn't cover them, so who
 * doesn't wait for a write before it flushes is seen.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "disklog.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* Up to so many microseconds, and for one write in 16 much longer. */
#define DELAY_US	500
#define SLOW_TIMES	10

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t size;
static unsigned char *content;
static __u64 *ticks;
static __u64 requests;
static int log_fd = -1;
static int fua = 1, ignore_flush, ignore_fua;

static int set_size(const char *value)
{
	size = nbdkit_parse_size(value);
	return size < 0 ? -1 : 0;
}

static int set_log(const char *value)
{
	log_fd = open(value, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd < 0)
		nbdkit_error("%s: %m", value);
	return log_fd < 0 ? -1 : 0;
}

static int set_clock(const char *value)
{
	ticks = clock_map(value);
	if (!ticks)
		nbdkit_error("%s: %m", value);
	return ticks ? 0 : -1;
}

static int set_fua(const char *value)
{
	fua = nbdkit_parse_bool(value);
	return fua < 0 ? -1 : 0;
}

static int set_ignore(const char *value)
{
	ignore_flush = !strcmp(value, "flush");
	ignore_fua = !strcmp(value, "fua");
	if (!ignore_flush && !ignore_fua)
		nbdkit_error("ignore=%s: flush or fua", value);
	return ignore_flush || ignore_fua ? 0 : -1;
}

static int recorder_config(const char *key, const char *value)
{
	static const struct {
		const char *key;
		int (*set)(const char *value);
	} keys[] = {
		{ "size", set_size },
		{ "log", set_log },
		{ "clock", set_clock },
		{ "fua", set_fua },
		{ "ignore", set_ignore },
	};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (!strcmp(key, keys[i].key))
			return keys[i].set(value);
	nbdkit_error("unknown parameter %s", key);
	return -1;
}

static int recorder_config_complete(void)
{
	if (size <= 0 || log_fd < 0 || !ticks) {
		nbdkit_error("size, log and clock are needed");
		return -1;
	}
	content = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (content == MAP_FAILED) {
		nbdkit_error("memory for the disk: %m");
		return -1;
	}
	return 0;
}

static void *recorder_open(int readonly)
{
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t recorder_get_size(void *handle)
{
	return size;
}

static int recorder_can_fua(void *handle)
{
	return fua ? NBDKIT_FUA_NATIVE : NBDKIT_FUA_NONE;
}

static int recorder_can_multi_conn(void *handle)
{
	return 1;
}

/* Called with the lock held: the log is in the order of its times. */
static int append(struct disk_record *r, const void *data)
{
	struct iovec parts[2] = {
		{ r, sizeof(*r) },
		{ (void *)data, data ? r->length : 0 },
	};
	ssize_t len = parts[0].iov_len + parts[1].iov_len;

	r->time = clock_tick(ticks);
	if (writev(log_fd, parts, 2) != len) {
		nbdkit_error("the log: %m");
		nbdkit_shutdown();
		return -1;
	}
	return 0;
}

/* The request's number, or 0 if it could not be logged. */
static __u64 begin(enum disk_event event, __u32 flags, uint64_t offset, uint32_t count,
		   const void *data)
{
	struct disk_record r = {
		.event = event,
		.flags = flags & NBDKIT_FLAG_FUA && !ignore_fua ? DISK_FUA : 0,
		.offset = offset,
		.length = count,
	};
	int ret;

	pthread_mutex_lock(&lock);
	r.request = ++requests;
	ret = append(&r, data);
	if (event == DISK_WRITE)
		memcpy(content + offset, data, count);
	else if (event == DISK_ZERO)
		memset(content + offset, 0, count);
	pthread_mutex_unlock(&lock);
	return ret ? 0 : r.request;
}

/* Between the two: a write that is under way. */
static __u64 take_time(__u64 request)
{
	unsigned int us = DELAY_US;
	__u64 x = request * 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	if (!(x >> 60))
		us *= SLOW_TIMES;
	nbdkit_nanosleep(0, (x >> 20) % us * 1000);
	return request;
}

static int end(__u64 request)
{
	struct disk_record r = { .event = DISK_DONE, .request = request };
	int ret = -1;

	if (!request)
		return -1;
	pthread_mutex_lock(&lock);
	ret = append(&r, NULL);
	pthread_mutex_unlock(&lock);
	return ret;
}

static int recorder_pread(void *handle, void *buf, uint32_t count, uint64_t offset,
			  uint32_t flags)
{
	pthread_mutex_lock(&lock);
	memcpy(buf, content + offset, count);
	pthread_mutex_unlock(&lock);
	return 0;
}

static int recorder_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset,
			   uint32_t flags)
{
	const unsigned char *bytes = buf;

	/* Zeros need no room in the log: filesystems begin with a lot of them. */
	if (!bytes[0] && !memcmp(bytes, bytes + 1, count - 1))
		return end(take_time(begin(DISK_ZERO, flags, offset, count, NULL)));
	return end(take_time(begin(DISK_WRITE, flags, offset, count, buf)));
}

static int recorder_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	return end(take_time(begin(DISK_ZERO, flags, offset, count, NULL)));
}

static int recorder_flush(void *handle, uint32_t flags)
{
	if (ignore_flush)
		return 0;
	return end(begin(DISK_FLUSH, 0, 0, 0, NULL));
}

static struct nbdkit_plugin plugin = {
	.name			= "recorder",
	.config			= recorder_config,
	.config_complete	= recorder_config_complete,
	.open			= recorder_open,
	.get_size		= recorder_get_size,
	.can_fua		= recorder_can_fua,
	.can_multi_conn		= recorder_can_multi_conn,
	.pread			= recorder_pread,
	.pwrite			= recorder_pwrite,
	.zero			= recorder_zero,
	.trim			= recorder_zero,
	.flush			= recorder_flush,
};

NBDKIT_REGISTER_PLUGIN(plugin)
