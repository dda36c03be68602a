#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Filesystems on the device: made, mounted, loaded, unmounted, checked.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"

# catches: a feature that mkfs relies on (discard, write-zeroes, sizes) and that is wrong.
made_and_mounted()
{
	truncate -s 320M "$LOWER/$1"
	set_attr cache_policy "$2"
	bind "$LOWER/$1"
	make_fs "$1" $DEV
	mount $DEV "$UPPER"
}

# catches: data in the wrong place, lost or torn under parallel load.
survives_load()
{
	fio_verify "$UPPER" 2
	churn "$UPPER"
	no_errors
}

# catches: what is only in a cache, and a discard that takes its neighbours along.
reads_back()
{
	local before

	cp -a "$HERE" "$UPPER/tree"
	ln -s tree "$UPPER/link"
	before=$(digest "$UPPER")
	fstrim "$UPPER"
	umount "$UPPER"
	drop_caches
	mount $DEV "$UPPER"
	[ "$(digest "$UPPER")" = "$before" ]
	umount "$UPPER"
	echo "$before" >"$SCRATCH/digest"
}

# catches: metadata that is corrupt although it could be used.
is_clean()
{
	check_fs "$1" $DEV
	no_errors
}

# catches: data that the device has and its file has not.
is_in_the_file()
{
	reset
	drop_caches
	check_fs "$1" "$LOWER/$1"
	mount -o loop,ro "$LOWER/$1" "$UPPER"
	[ "$(digest "$UPPER")" = "$(cat "$SCRATCH/digest")" ]
	umount "$UPPER"
	rm "$LOWER/$1"
}

# whole TYPE POLICY
whole()
{
	check "$1 is made on the device and mounted ($2)" made_and_mounted "$1" "$2"
	check "$1: verified I/O and parallel churn without an error ($2)" survives_load
	check "$1: a tree reads back the same after trim, unmount and mount ($2)" reads_back
	check "$1: its own check finds it clean ($2)" is_clean "$1"
	check "$1: the backing file alone holds all of it ($2)" is_in_the_file "$1"
}

start fio stress-ng mkfs.xfs mkfs.btrfs
modprobe -q -a loop xfs btrfs || true
load
lower_start ext4 1200
whole ext4 none
whole xfs guest
whole btrfs writethrough
finish
