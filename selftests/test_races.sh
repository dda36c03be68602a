#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Bind, reset, open, rescan, hot_add, hot_remove, every attribute and every kind of request
# against each other, and udev, which opens whatever it is told of. RACE_SECONDS=N makes it
# last longer.

. "$(dirname "$0")/lib.sh"

# The block layer's word about a disk that became read-only while it was written to.
WARNINGS+='|Trying to write to read-only block-device'

# catches: a deadlock, a crash, an error that has nothing to do with the others.
all_at_once()
{
	racer "${RACE_SECONDS:-5}" "$FS/a.img" "$FS/b.img"
}

# catches: a device left claimed, half bound or half removed.
usable_afterwards()
{
	local disk

	settle
	for disk in vinteg0 vinteg1; do
		[ -e /sys/block/$disk ] || cat "$CONTROL/hot_add"
		settle
		set_attr reset 1 $disk
		# These belong to the block layer.
		blockdev --setrw /dev/$disk
		set_attr queue/write_cache "write back" $disk
		set_attr queue/scheduler none $disk
	done
	bind "$FS/a.img"
	bind "$FS/b.img" vinteg1
	dd if=/dev/urandom of="$SCRATCH/data" bs=64k count=4
	dd if="$SCRATCH/data" of=$DEV bs=64k oflag=direct
	cmp -n 262144 "$SCRATCH/data" $DEV
	settle
	reset
	reset vinteg1
}

# catches: a check for other users of the file that is not atomic with binding.
one_file_two_disks()
{
	local _ first second won

	for _ in {1..12}; do
		won=0
		settle
		set_attr backing_file "$FS/a.img" >/dev/null & first=$!
		set_attr backing_file "$FS/a.img" vinteg1 >/dev/null & second=$!
		! wait $first || won=$((won + 1))
		! wait $second || won=$((won + 1))
		[ $won = 1 ]
		settle
		[ "$(attr size)" = 0 ] || set_attr reset 1
		[ "$(attr size vinteg1)" = 0 ] || set_attr reset 1 vinteg1
	done
}

# catches: a second file that takes the place of the first.
two_files_one_disk()
{
	local _ first second won

	for _ in {1..12}; do
		won=0
		settle
		set_attr backing_file "$FS/a.img" >/dev/null & first=$!
		set_attr backing_file "$FS/b.img" >/dev/null & second=$!
		! wait $first || won=$((won + 1))
		! wait $second || won=$((won + 1))
		[ $won = 1 ]
		settle
		set_attr reset 1
	done
}

# catches: an unload that leaves somebody in the code of a module that is gone.
unload_while_looked_at()
{
	local _ pids=()

	for _ in {1..3}; do
		[ -e /sys/module/vinteg ] || load num_devices=2
		set_attr backing_file "$FS/a.img"
		for _ in 1 2; do
			while [ -e /sys/module/vinteg ]; do
				cat $SYS/backing_file $SYS/stats/* "$CONTROL/hot_add" $DEV
			done >/dev/null 2>&1 &
			pids+=($!)
		done
		wait_for 60 rmmod vinteg
		wait "${pids[@]}" || true
	done
}

start mkfs.ext4 blockdev
FS=$SCRATCH/fs
mkdir "$FS"
must make_disk vtlower 64
must mkfs.ext4 -q /dev/vtlower
must mount /dev/vtlower "$FS"
truncate -s 4M "$FS/a.img" "$FS/b.img"
must load num_devices=2
check "all operations at the same time: each succeeds or says why not" all_at_once
check "the devices are usable afterwards" usable_afterwards
check "one file to two devices at the same time: one gets it" one_file_two_disks
check "two files to one device at the same time: one gets in" two_files_one_disk
check "rmmod while others open devices and read attributes" unload_while_looked_at
umount "$FS"
finish
