#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Random sequences of whatever can be done with a device, good and bad, against a model
# that predicts how each step ends and what it leaves; see fuzz.c. FUZZ_SECONDS=N makes
# it last longer, FUZZ_SEED=N plays the same sequences again.

. "$(dirname "$0")/lib.sh"

# Data may look like a table of partitions to the block layer.
WARNINGS+='|beyond EOD'

SECONDS_EACH=$(((${FUZZ_SECONDS:-30} + 2) / 3))

# make_place NAME DISK OPTIONS [MKFS_OPTION]...: an empty file system.
make_place()
{
	local dir=$SCRATCH/$1

	mkfs.ext4 -q "${@:4}" "$2" && mkdir "$dir" && mount -o "$3" "$2" "$dir" || return
	at_exit umount -R "$dir"
}

# make_large_disk: /dev/loop... with blocks of 4 KiB. (null_blk can have them too, but then
# it reads zeroes into memory that isn't aligned to its blocks.)
make_large_disk()
{
	truncate -s 64M "$SCRATCH/large.img"
	modprobe -q loop || true	# it may be built in
	LARGE=$(losetup -f --show -b 4096 "$SCRATCH/large.img") && at_exit losetup -d "$LARGE"
}

# catches: an error that nothing explains, or none where there should be one; a state
# that doesn't follow from what was done; data that isn't what was written.
as_predicted()
{
	local dir=$SCRATCH/$1 worker

	# Each worker's folder once more, for reading only.
	for worker in 0 1 2 3; do
		mkdir -p "$dir/$worker/ro"
		touch "$dir/$worker/a.img"
		mount --bind "$dir/$worker" "$dir/$worker/ro"
		mount -o remount,ro,bind "$dir/$worker/ro"
	done
	fuzz "$dir" seconds=$SECONDS_EACH workers=4 ${FUZZ_SEED:+"seed=$FUZZ_SEED"}
}

start mkfs.ext4 losetup
must without_udev
must load num_devices=1
must make_disk vtplain 64
must make_disk vtjournal 64
must make_large_disk
must make_place plain /dev/vtplain defaults
must make_place large "$LARGE" defaults
# In blocks of a page: on 6.1 a hole in a page of several journalled blocks warns at
# fs/ext4/inode.c:3307 while they are being committed, whoever punches it.
must make_place journal /dev/vtjournal data=journal -b 4096
check "on ext4" as_predicted plain
check "on a disk with large blocks" as_predicted large
check "on a file system without direct I/O" as_predicted journal
finish
