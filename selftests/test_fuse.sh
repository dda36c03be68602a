#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A file whose filesystem believes what it knows of it, which others may have changed, and
# leaves more to who uses it than others do. This one is in user space.

. "$(dirname "$0")/lib.sh"
start blkio fusefile
without_udev

device_size()
{
	blockdev --getsize64 $DEV
}

# catches: a size from before somebody else changed it.
size_at_bind()
{
	truncate -s 2M "$DATA"
	[ "$(stat -c %s "$IMG")" = 1048576 ]
	bind "$IMG"
	[ "$(device_size)" = 2097152 ]
	says ok blkio write $DEV 1M 64k fua
	says ok blkio verify $DEV 1M 64k
}

# catches: the same, at a rescan.
size_at_rescan()
{
	truncate -s 3M "$DATA"
	set_attr rescan 1
	[ "$(device_size)" = 3145728 ]
	says ok blkio write $DEV 2M 64k fua
	says ok blkio verify $DEV 2M 64k
	truncate -s 2M "$DATA"
	set_attr rescan 1
	[ "$(device_size)" = 2097152 ]
	: >"$DATA"
	refuses EINVAL rescan 1
	[ "$(device_size)" = 2097152 ]
	truncate -s 2M "$DATA"
	set_attr rescan 1
}

# while_it_is_written COMMAND...: runs it while a direct write to the start waits.
while_it_is_written()
{
	local writer rc=0

	touch "$DATA.hold"
	blkio write $DEV 0 4k seed=2 "${flag[@]}" >"$SCRATCH/wrote" &
	writer=$!
	wait_for 30 test -e "$DATA.held" || rc=1
	[ $rc != 0 ] || "$@" || rc=1
	rm "$DATA.hold"
	wait $writer || rc=1
	[ "$(cat "$SCRATCH/wrote")" = ok ] && return $rc
}

# stale_pages [fua]: under a policy that reads through the page cache.
# catches: pages read while a direct write was under way, kept when it is done; they would
# be read again, and be written back over it with the next write to a part of them.
stale_pages()
{
	local flag=("$@")

	[ "$(stat_of direct_fallbacks)" = 0 ]
	says ok blkio write $DEV 0 4k seed=1
	while_it_is_written says ok blkio verify $DEV 0 4k seed=1
	says ok blkio verify $DEV 0 4k seed=2
	# A neighbour in the same page, through the page cache.
	while_it_is_written blkio read $DEV 0 4k
	says ok blkio write $DEV 512 512 seed=3 buffered
	says ok blkio flush $DEV
	says ok blkio verify "$DATA" 0 512 seed=2 buffered
	says ok blkio verify "$DATA" 1k 3k seed=2 buffered
	[ "$(stat_of direct_fallbacks)" = 0 ]
	[ "$(attr writeback_error)" = 0 ]
}

modprobe -q fuse || true	# built into some kernels
if ! grep -qw fuse /proc/filesystems; then
	ktap_test_skip "a filesystem in user space: this kernel knows none"
	finish
	exit
fi
load
DATA=$SCRATCH/data
IMG=$SCRATCH/fuse/img
truncate -s 1M "$DATA"
mkdir "$SCRATCH/fuse"
must fusefile "$DATA" "$SCRATCH/fuse"
at_exit umount "$SCRATCH/fuse"
must test -e "$IMG"
check "the size at bind is what the filesystem says when it is asked" size_at_bind
check "and so is that at a rescan" size_at_rescan
[ "$(attr size)" != 0 ] || must bind "$IMG"
must set_attr cache_policy guest
check "guest: nothing stale is left in the page cache by a direct write" stale_pages
check "guest: nor by one with FUA" stale_pages fua
reset
finish
