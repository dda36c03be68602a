#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Backing files on different filesystems, and raw block devices.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"

# takes_direct FILE: does its filesystem do direct I/O at all?
takes_direct()
{
	dd if="$1" iflag=direct of=/dev/null bs=4k count=1 2>/dev/null
}

# catches: a wrong capacity, a default that can't work or falls back without need.
binds()
{
	local expected=none

	takes_direct "$FILE" || expected=writethrough
	bind "$FILE"
	[ "$(policy)" = $expected ]
	[ "$(attr backing_file)" = "$FILE" ]
	[ "$(blockdev --getsize64 $DEV)" = $((64 << 20)) ]
}

# catches: an offset, an end or a flag that this filesystem needs otherwise; data that
# stays in the driver or in a cache.
stores()
{
	local seek=0

	head -c 1000k /dev/urandom >"$SCRATCH/data"
	for policy in $POLICIES; do
		if ! takes_direct "$FILE" && [[ $policy =~ ^(none|directsync)$ ]]; then
			fails set_attr cache_policy "$policy"
			continue
		fi
		set_attr cache_policy "$policy"
		[ "$(policy)" = "$policy" ]
		seek=$((seek + 4))
		dd if="$SCRATCH/data" of=$DEV bs=100k oflag=seek_bytes seek=${seek}M conv=fsync
		dd if="$SCRATCH/data" of=$DEV bs=256k count=1 oflag=seek_bytes,direct \
			seek=$((seek + 32))M
		# The device's own sync may be nothing under unsafe.
		drop_caches
		in_both "$seek"
	done
	no_errors
}

# in_both MIB: the data is there, in the device and in its file.
in_both()
{
	local where

	for where in $DEV "$FILE"; do
		cmp -n 1024000 -i "$(($1 << 20)):0" "$where" "$SCRATCH/data"
		cmp -n 262144 -i "$((($1 + 32) << 20)):0" "$where" "$SCRATCH/data"
	done
}

# catches: a direct write, or its sync, that fails only now and then.
stores_often()
{
	for policy in none directsync; do
		set_attr cache_policy "$policy" || { fails takes_direct "$FILE"; continue; }
		for ((i = 0; i < 20; i++)); do
			dd if="$SCRATCH/data" of=$DEV bs=100k oflag=seek_bytes seek=${i}M conv=fsync
		done
	done
	no_errors
}

# has BYTE FROM KIB: so many of them, from KiB FROM on.
has()
{
	local where

	for where in $DEV "$FILE"; do
		tr '\0' "$1" </dev/zero | cmp -n $(($3 << 10)) -i $(($2 << 10)):0 "$where" -
	done
}

# catches: zeroes or holes in the wrong place, or none.
clears()
{
	tr '\0' x </dev/zero | dd of=$DEV bs=512k count=1 iflag=fullblock conv=fsync
	blkdiscard -o 64k -l 128k $DEV
	blkdiscard -z -o 256k -l 128k $DEV
	drop_caches
	has x 0 64
	has '\0' 64 128
	has x 192 64
	has '\0' 256 128
	has x 384 128
	no_errors
}

# on WHAT FILE
on()
{
	FILE=$2
	check "$1: binds with the right size and default policy" binds
	check "$1: stores what is written, under every policy" stores
	check "$1: stores much in a row, directly" stores_often
	check "$1: discard and write-zeroes clear what they should, and no more" clears
	check "$1: unbinds" reset
}

start blkdiscard losetup mkfs.xfs mkfs.btrfs
modprobe -q -a loop xfs btrfs || true
load
for type in ext4 xfs btrfs; do
	lower_start $type 400
	truncate -s 64M "$LOWER/backing"
	on "a file on $type" "$LOWER/backing"
done
truncate -s 64M "$SCRATCH/backing"
on "a file on tmpfs" "$SCRATCH/backing"
truncate -s 64M "$SCRATCH/disk"
raw=$(losetup --find --show "$SCRATCH/disk") || ktap_exit_fail_msg "no loop device"
at_exit losetup -d "$raw"
on "a raw block device" "$raw"
finish
