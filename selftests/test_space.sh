#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A filesystem below that is full, and a file that is cut short behind the device.

. "$(dirname "$0")/lib.sh"
start blkio mkfs.ext4 mkfs.xfs fallocate
without_udev

available()
{
	df --output=avail -B1 "$1" | tail -n 1
}

# fill FOLDER [BYTES]: leaves at most that much.
fill()
{
	local rest=${2:-0} free

	free=$(available "$1")
	[ "$free" -lt $((rest + 1048576)) ] ||
		fallocate -l $((free - rest - 524288)) "$1/filler"
	while free=$(available "$1") && [ "$free" -gt "$rest" ]; do
		head -c $((free - rest < 65536 ? free - rest : 65536)) /dev/zero \
			>>"$1/rest" 2>/dev/null || break
	done
}

# open_at FS POLICY [BYTES]: a sparse file on a filesystem that is full but for these.
open_at()
{
	[ -z "$(attr backing_file)" ] || reset
	rm -rf "${SCRATCH:?}/$1"/*
	truncate -s 8M "$SCRATCH/$1/img"
	set_attr cache_policy "$2"
	bind "$SCRATCH/$1/img"
	sync -f "$SCRATCH/$1"
	fill "$SCRATCH/$1" "${3:-0}"
}

# catches: ENOSPC that becomes EIO, or sticks; fallocate's as well.
no_space()
{
	open_at "$1" "$2"
	: >"$TRACE/trace"
	says ENOSPC blkio write $DEV 1M 64k
	says ENOSPC blkio write $DEV 2M 64k fua
	says ENOSPC blkio zero $DEV 3M 64k
	# The block layer tries write-zeroes again as writes: look at each completion.
	grep -q ' \[-28\]$' "$TRACE/trace"
	fails grep -vE ' \[(0|-28)\]$|^#' "$TRACE/trace"
	[ "$(stat_of errors)" -ge 3 ]
	rm "$SCRATCH/$1"/filler "$SCRATCH/$1"/rest
	[ "$(attr writeback_error)" = 0 ]
	says ok blkio write $DEV 1M 64k fua
	says ok blkio flush $DEV
	says ok blkio verify $DEV 1M 64k
}

# catches: short write completed as success.
short_write()
{
	local room

	open_at "$1" "$2" 32768
	room=$(available "$SCRATCH/$1")
	echo "room for $room bytes"
	[ "$room" -gt 0 ]
	[ "$room" -lt 65536 ]
	says ENOSPC blkio write $DEV 1M 64k
	[ "$(stat_of writes)" = 1 ]
	[ "$(stat_of errors)" = 1 ]
}

# catches: zeroes read, or a file grown, beyond the end that somebody else gave it.
truncated()
{
	local img=$SCRATCH/ext4/img

	open_at ext4 "$1"
	rm -f "$SCRATCH"/ext4/filler "$SCRATCH"/ext4/rest
	says ok blkio write $DEV 0 64k count=128 depth=16
	truncate -s 4M "$img"
	says EIO blkio read $DEV 6M 64k
	says EIO blkio read $DEV 4M 4k
	says EIO blkio read $DEV $((4194304 - 4096)) 8k
	says EIO blkio write $DEV 6M 64k
	says EIO blkio write $DEV 4M 4k fua
	says EIO blkio write $DEV $((4194304 - 4096)) 8k
	says ok blkio verify $DEV 0 64k count=63
	says ok blkio write $DEV 1M 64k seed=2 fua
	[ "$(stat -c %s "$img")" = 4194304 ]
	truncate -s 8M "$img"
	says ok blkio write $DEV 6M 64k fua
	says ok blkio flush $DEV
	[ "$(attr writeback_error)" = 0 ]
}

# catches: write-zeroes and discards that grow a file, too.
truncated_fallocate()
{
	local img=$SCRATCH/ext4/img

	open_at ext4 none
	rm -f "$SCRATCH"/ext4/filler "$SCRATCH"/ext4/rest
	truncate -s 4M "$img"
	says EIO blkio discard $DEV 6M 64k
	says EIO blkio zero $DEV 6M 64k
	[ "$(stat -c %s "$img")" = 4194304 ]
}

# make_small FS: a filesystem at $SCRATCH/FS.
make_small()
{
	mkdir "$SCRATCH/$1" || return
	case $1 in
	ext4)
		make_disk vtext4 48 && mkfs.ext4 -q -b 4096 -m 0 /dev/vtext4 &&
			mount /dev/vtext4 "$SCRATCH/$1"
		;;
	xfs)
		make_disk vtxfs 320 && mkfs.xfs -q /dev/vtxfs && mount /dev/vtxfs "$SCRATCH/$1"
		;;
	tmpfs)
		mount -t tmpfs -o size=16M vtspace "$SCRATCH/$1"
		;;
	esac && at_exit umount "$SCRATCH/$1"
}

# All that the device completes, with its error.
watch_completions()
{
	local dev=$1

	TRACE=/sys/kernel/tracing/instances/vtspace
	mkdir $TRACE && at_exit rmdir $TRACE &&
		echo "dev == $((${dev%:*} << 20 | ${dev#*:}))" \
			>$TRACE/events/block/block_rq_complete/filter &&
		echo 1 >$TRACE/events/block/block_rq_complete/enable
}

load
for fs in ext4 xfs tmpfs; do
	make_small $fs || ktap_exit_fail_msg "no $fs"
done
watch_completions "$(attr dev)" || ktap_exit_fail_msg "no block tracepoints"
for p in $POLICIES; do
	check "ext4: $p: no space left is ENOSPC, and passes" no_space ext4 "$p"
done
for p in none directsync writeback; do
	check "xfs: $p: no space left is ENOSPC, and passes" no_space xfs $p
done
for p in writethrough writeback unsafe; do
	check "tmpfs: $p: no space left is ENOSPC, and passes" no_space tmpfs $p
	check "tmpfs: $p: a write that ends short fails" short_write tmpfs $p
done
for p in none writethrough; do
	check "ext4: $p: a write that ends short fails" short_write ext4 $p
done
for p in $POLICIES; do
	check "$p: beyond the end of a truncated file is EIO" truncated "$p"
done
check "discard and write-zeroes beyond the end of a truncated file are EIO" truncated_fallocate
finish
