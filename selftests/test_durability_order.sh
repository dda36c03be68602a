#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Durable writes and syncs that are under way at the same time: who has to wait for whom, so
# that what is acknowledged is there even if another one fails, or the power does. On a disk
# that takes long to write to a part of the file.

. "$(dirname "$0")/lib.sh"
start blkio dmsetup mkfs.ext4 mkfs.xfs mkfs.btrfs filefrag taskset
without_udev
. "$HERE/below.sh"

SLOW=2000	# milliseconds

# now: in milliseconds
now()
{
	echo $((${EPOCHREALTIME/./} / 1000))
}

# on_slow_part FS: the second half of a file of 2 MiB there is slow, and nothing else. It has
# not been written to since it was allocated, so that no file system puts it elsewhere; but
# for the second quarter, by this, as files usually have been. FS "blk" is none: then the
# file is the disk.
on_slow_part()
{
	local file=$BELOW_FS/img first=0 count

	if [ "$1" = blk ]; then
		file=$BELOW_MAP
	else
		below_mount "$1"
		fallocate -l 2M "$file"
		sync
		read -r first count <<<"$(below_extents "$file" | head -n 1)"
		[ "$count" = 4096 ]
	fi
	bind "$file"
	if [ "$1" != btrfs ]; then
		blkio write $DEV 0 512k
		blkio write $DEV 1M 1M
	fi
	blkio flush $DEV
	below_slow_part $((first + 2048)) 2048 $SLOW
}

leave()
{
	below_slow 0 0
	reset
	! below_is_mounted || umount "$BELOW_FS"
}

# takes COMMAND...: sets TOOK to how many milliseconds.
takes()
{
	local begin

	begin=$(now)
	"$@"
	TOOK=$(($(now) - begin))
}

# beside WRITE... -- COMMAND...: TOOK is what the command takes, while a write is under way
# to the slow part that has begun before.
beside()
{
	local write=() begin slow

	while [ "$1" != -- ]; do
		write+=("$1")
		shift
	done
	shift
	begin=$(now)
	"${write[@]}" & slow=$!
	sleep 0.3
	takes "$@"
	wait $slow
	# Or it was not slow at all.
	[ $(($(now) - begin)) -ge $((SLOW * 9 / 10)) ]
}

# catches: a write that is acknowledged as durable because its own flush of the disk's cache
# has succeeded, while another's had failed a moment before, and what was in the cache is lost.
# It flushes if metadata is to be written. If not it may, too: device mapper takes FUA for
# disks that have none.
durable_writes_wait()
{
	local pos

	on_slow_part "$2"
	set_attr cache_policy "$1"
	for pos in 0 768k; do
		beside blkio write $DEV 1M 4k fua -- blkio write $DEV $pos 4k fua
		[ $TOOK -ge 1000 ]
	done
	# Who promises less need not wait,
	beside blkio write $DEV 1088k 4k fua -- blkio write $DEV 64k 4k
	[ "$1" != none ] || [ $TOOK -lt 1000 ]
	# nor who is alone.
	takes blkio write $DEV 128k 4k fua
	[ $TOOK -lt 1000 ]
	leave
}

# catches: a FLUSH that is told nothing of a flush that has failed as a part of a write that
# came through another hardware queue.
flush_waits_on_all_queues()
{
	local cpu other

	on_slow_part ext4
	for cpu in 0 1; do
		taskset -c $((1 - cpu)) blkio write $DEV $((1088 + 4 * cpu))k 4k & other=$!
		beside taskset -c $cpu blkio write $DEV 1M 4k fua -- blkio flush $DEV
		[ $TOOK -ge 1000 ]
		wait $other
	done
	leave
}

# catches: a btrfs that logs blocks which are not written yet; after a power cut they can't
# be read.
flush_waits_on_btrfs()
{
	on_slow_part btrfs
	beside blkio write $DEV 1M 4k -- blkio flush $DEV
	[ $TOOK -ge 1000 ]
	leave
}

# Others don't log what is under way.
flush_does_not_wait()
{
	on_slow_part "$1"
	beside blkio write $DEV 1M 4k -- blkio flush $DEV
	[ $TOOK -lt 1000 ]
	leave
}

# catches: a page that is changed while it is being written to the disk, and a sector that is
# half the one and half the other there; after a power cut neither is left.
pages_are_stable()
{
	on_slow_part "$1"
	set_attr cache_policy writeback
	beside blkio write $DEV 1M 512 fua -- blkio write $DEV $((1024 * 1024 + 512)) 512
	[ $TOOK -ge 1000 ]
	# Other pages are.
	beside blkio write $DEV 1M 512 fua -- blkio write $DEV 64k 512
	[ $TOOK -lt 1000 ]
	leave
}

load
modprobe -q -a dm-delay xfs || true	# built into some kernels
must below_start fua slow
for fs in ext4 blk; do
	for policy in none directsync; do
		check "$fs, $policy: a durable write is acknowledged after those that began before it" \
			durable_writes_wait $policy $fs
	done
done
if [ "$(nproc)" -ge 2 ]; then
	check "a FLUSH waits for durable writes that are under way on any queue" \
		flush_waits_on_all_queues
else
	ktap_test_skip "a FLUSH waits for durable writes on any queue: there is but one"
fi
check "btrfs: a FLUSH waits for direct writes that are under way" flush_waits_on_btrfs
check "ext4: a FLUSH does not" flush_does_not_wait ext4
for fs in ext4 xfs; do
	check "$fs: a page is not changed while it is being written to the disk" pages_are_stable $fs
done
finish
