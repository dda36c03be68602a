// SPDX-License-Identifier: GPL-2.0
/*
 * A FUSE file system with one file, "img", whose content is that of another
 * file. The kernel may believe what it knows of it for an hour, and that may be
 * wrong: who changes the other file is not noticed.
 *
 * While there is a file with ".hold" after the other's name, writes wait in
 * here, and one with ".held" tells that there is one. Reads get what is there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#define IMG		2	/* its node; that of the root is 1 */
#define VALID		3600
#define MAX_WRITE	(128 << 10)

struct held {
	struct held *next;
	__u64 unique, offset;
	__u32 size;
	char data[];
};

static int dev, file;
static char hold_name[4096], held_name[4096];
static struct held *waiting;
static char buf[MAX_WRITE + 4096], out[MAX_WRITE];

static void reply(__u64 unique, int error, void *data, size_t len)
{
	struct fuse_out_header head = {
		.len = sizeof(head) + (error ? 0 : len),
		.error = error,
		.unique = unique,
	};
	struct iovec vec[] = { { &head, sizeof(head) }, { data, len } };

	/* ENOENT: whoever asked has been interrupted. */
	if (writev(dev, vec, error || !len ? 1 : 2) < 0 && errno != ENOENT)
		exit(1);
}

static void get_attr(struct fuse_attr *attr, __u64 node)
{
	struct stat st;

	memset(attr, 0, sizeof(*attr));
	attr->ino = node;
	attr->nlink = 1;
	attr->mode = node == IMG ? S_IFREG | 0600 : S_IFDIR | 0700;
	if (node == IMG && !fstat(file, &st)) {
		attr->size = st.st_size;
		attr->blocks = st.st_blocks;
		attr->blksize = 4096;
	}
}

static void do_init(__u64 unique, struct fuse_init_in *in)
{
	struct fuse_init_out init = {
		.major = 7,
		.minor = 31,
		.max_readahead = in->max_readahead,
		.flags = in->flags & (FUSE_ASYNC_READ | FUSE_ASYNC_DIO |
				      FUSE_BIG_WRITES | FUSE_MAX_PAGES),
		.max_write = MAX_WRITE,
		.max_pages = MAX_WRITE / 4096,
		.time_gran = 1,
	};

	reply(unique, 0, &init, sizeof(init));
}

static void do_lookup(__u64 unique, const char *name)
{
	struct fuse_entry_out entry = {
		.nodeid = IMG,
		.entry_valid = VALID,
		.attr_valid = VALID,
	};

	get_attr(&entry.attr, IMG);
	reply(unique, strcmp(name, "img") ? -ENOENT : 0, &entry, sizeof(entry));
}

static void do_getattr(__u64 unique, __u64 node)
{
	struct fuse_attr_out attr = { .attr_valid = VALID };

	get_attr(&attr.attr, node);
	reply(unique, 0, &attr, sizeof(attr));
}

static void do_read(__u64 unique, struct fuse_read_in *in)
{
	ssize_t got = pread(file, out, in->size < MAX_WRITE ? in->size : MAX_WRITE,
			    in->offset);

	reply(unique, got < 0 ? -errno : 0, out, got);
}

static void write_now(__u64 unique, const void *data, __u32 size, __u64 offset)
{
	struct fuse_write_out written = { .size = size };
	ssize_t put = pwrite(file, data, size, offset);

	reply(unique, put == (ssize_t)size ? 0 : put < 0 ? -errno : -EIO,
	      &written, sizeof(written));
}

static void do_write(__u64 unique, struct fuse_write_in *in)
{
	struct held *held;

	if (access(hold_name, F_OK)) {
		write_now(unique, in + 1, in->size, in->offset);
		return;
	}
	held = malloc(sizeof(*held) + in->size);
	if (!held) {
		reply(unique, -ENOMEM, NULL, 0);
		return;
	}
	*held = (struct held) { waiting, unique, in->offset, in->size };
	memcpy(held->data, in + 1, in->size);
	waiting = held;
	close(open(held_name, O_CREAT | O_WRONLY, 0600));
}

static void let_go(void)
{
	struct held *held;

	if (!waiting || !access(hold_name, F_OK))
		return;
	unlink(held_name);
	while ((held = waiting)) {
		waiting = held->next;
		write_now(held->unique, held->data, held->size, held->offset);
		free(held);
	}
}

static void do_statfs(__u64 unique)
{
	struct fuse_statfs_out st = {
		.st = { .bsize = 4096, .frsize = 4096, .namelen = 255 },
	};

	reply(unique, 0, &st, sizeof(st));
}

static void serve(void)
{
	struct fuse_in_header *in = (void *)buf;
	struct fuse_open_out opened = { 0 };
	ssize_t got = read(dev, buf, sizeof(buf));

	if (got < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ENOENT)
			return;
		exit(errno != ENODEV);	/* it was unmounted */
	}
	switch (in->opcode) {
	case FUSE_INIT:
		do_init(in->unique, (void *)(in + 1));
		break;
	case FUSE_LOOKUP:
		do_lookup(in->unique, (void *)(in + 1));
		break;
	case FUSE_GETATTR:
		do_getattr(in->unique, in->nodeid);
		break;
	case FUSE_OPEN:
		reply(in->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		do_read(in->unique, (void *)(in + 1));
		break;
	case FUSE_WRITE:
		do_write(in->unique, (void *)(in + 1));
		break;
	case FUSE_STATFS:
		do_statfs(in->unique);
		break;
	case FUSE_FSYNC:
		reply(in->unique, fsync(file) ? -errno : 0, NULL, 0);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_DESTROY:
		reply(in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(in->unique, -EOPNOTSUPP, NULL, 0);
		break;
	}
}

int main(int argc, char **argv)
{
	struct pollfd ready = { .events = POLLIN };
	char options[128];

	if (argc != 3) {
		fprintf(stderr, "usage: fusefile FILE FOLDER\n");
		return 2;
	}
	/* Whoever reads our output must not wait until it is unmounted. */
	close_range(3, ~0U, 0);
	snprintf(hold_name, sizeof(hold_name), "%s.hold", argv[1]);
	snprintf(held_name, sizeof(held_name), "%s.held", argv[1]);
	file = open(argv[1], O_RDWR);
	dev = open("/dev/fuse", O_RDWR | O_NONBLOCK);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", dev);
	if (file < 0 || dev < 0 ||
	    mount("fusefile", argv[2], "fuse", MS_NOSUID | MS_NODEV, options)) {
		fprintf(stderr, "fusefile: %s: %m\n", argv[1]);
		return 1;
	}
	if (daemon(0, 0))
		return 1;
	for (ready.fd = dev;;) {
		poll(&ready, 1, waiting ? 10 : 1000);
		let_go();
		serve();
	}
}
