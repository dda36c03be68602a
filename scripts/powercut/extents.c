// SPDX-License-Identifier: GPL-2.0
/*
 * extents FILE: prints where the data of a fully written file lies on its disk: lines
 * "SECTOR-IN-FILE SECTOR-ON-DISK SECTORS". Of a block device, that is the identity.
 * Fails if there is data whose place isn't fixed.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_EXTENTS	1024
#define LOOSE	(FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED | \
		 FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_SHARED)

static void print_extents(int fd, const char *path, unsigned long long size)
{
	struct fiemap *map = calloc(1, sizeof(*map) + MAX_EXTENTS * sizeof(*map->fm_extents));
	unsigned long long at = 0;
	unsigned int i;

	if (!map)
		err(2, "%s", path);
	map->fm_length = size;
	map->fm_flags = FIEMAP_FLAG_SYNC;
	map->fm_extent_count = MAX_EXTENTS;
	if (ioctl(fd, FS_IOC_FIEMAP, map))
		err(2, "%s", path);
	for (i = 0; i < map->fm_mapped_extents; i++) {
		struct fiemap_extent *e = &map->fm_extents[i];

		if (e->fe_logical != at || e->fe_flags & LOOSE || e->fe_physical % 512)
			errx(1, "%s: no fixed place for byte %llu", path, at);
		printf("%llu %llu %llu\n", e->fe_logical / 512, e->fe_physical / 512,
		       e->fe_length / 512);
		at += e->fe_length;
	}
	if (at < size)
		errx(1, "%s: no fixed place for byte %llu", path, at);
	free(map);
}

int main(int argc, char **argv)
{
	unsigned long long size;
	struct stat st;
	int fd;

	if (argc != 2)
		errx(2, "How to call it: extents FILE");
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", argv[1]);
	if (!S_ISBLK(st.st_mode))
		print_extents(fd, argv[1], st.st_size);
	else if (ioctl(fd, BLKGETSIZE64, &size))
		err(2, "%s", argv[1]);
	else
		printf("0 0 %llu\n", size / 512);
	return 0;
}
