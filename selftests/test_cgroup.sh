#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What the workers do for a control group is charged to it, and not to the root.

. "$(dirname "$0")/lib.sh"
start blkio mkfs.ext4 losetup
without_udev

# in_group COMMAND...: prints nothing if all is well.
in_group()
{
	local said

	# shellcheck disable=SC2016 # expanded by the inner shell
	said=$(sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$GROUP" "$@") || true
	[ -z "$said" ] || [ "$said" = ok ] || { echo "$*: $said"; return 1; }
}

# pages_of_group, bytes_of_group FIELD DISK: so far.
pages_of_group()
{
	awk '$1 == "file" { print $2 }' "$GROUP/memory.stat"
}

bytes_of_group()
{
	awk -v dev="$(cat "/sys/block/$2/dev")" -v field="$1=" '
		$1 == dev {
			for (i = 2; i <= NF; i++)
				if (index($i, field) == 1)
					n = substr($i, length(field) + 1)
		}
		END { print n + 0 }' "$GROUP/io.stat"
}

# new_file POLICY: bound to the device, and not in the page cache.
new_file()
{
	[ -z "$(attr backing_file)" ] || reset
	dd if=/dev/zero of="$FS/img" bs=1M count=16 conv=fsync status=none
	drop_caches
	set_attr cache_policy "$1"
	bind "$FS/img"
}

# between LOW NUMBER HIGH
between()
{
	echo "$2, expected $1 to $3"
	[ "$2" -ge "$1" ]
	[ "$2" -le "$3" ]
}

# pages POLICY LOW HIGH COMMAND...: pages that the file gets in the page cache.
pages()
{
	local before

	new_file "$1"
	before=$(pages_of_group)
	in_group "${@:4}"
	between "$2" $(($(pages_of_group) - before)) "$3"
}

# catches: pages charged to the root, or those of others charged to the group.
pages_of_nobody()
{
	local before

	new_file writeback
	before=$(pages_of_group)
	blkio write $DEV 0 64k count=128
	between -1048576 $(($(pages_of_group) - before)) 1048576
}

# bytes FIELD DISK COMMAND...: 4 MiB of I/O. What is tried in vain at first, in the submitter's
# context or by the disk itself, counts twice.
# catches: I/O that counts for the root, and passes the group's limits.
bytes()
{
	local before

	[ -z "$(attr backing_file)" ] || reset
	bind "/dev/$2"
	before=$(bytes_of_group "$1" "$2")
	in_group "${@:3}"
	between 4194304 $(($(bytes_of_group "$1" "$2") - before)) 8454144
	# And of others nothing does.
	before=$(bytes_of_group "$1" "$2")
	"${@:3}"
	[ "$(bytes_of_group "$1" "$2")" = "$before" ]
	reset
}

# catches: data that was accepted and is lost, because a group has reached its limit.
full_group()
{
	local sum killed

	new_file writeback
	mkfs.ext4 -q $DEV
	mount $DEV "$SCRATCH/upper"
	# ext4 sends data to the disk at once when it might not have room for twice as much.
	in_group dd if=/dev/urandom of="$SCRATCH/upper/file" bs=1M count=4 status=none
	[ "$(cat "$GROUP/cgroup.procs")" = "" ]
	sum=$(md5sum <"$SCRATCH/upper/file")
	killed=$(grep -w oom_kill "$GROUP/memory.events")
	# Nothing more can be charged, and there is nobody to be killed for it.
	grep '^file_dirty [34][0-9]\{6\}$' "$GROUP/memory.stat"
	echo 0 >"$GROUP/memory.max"
	sync -f "$SCRATCH/upper"
	drop_caches
	[ "$(md5sum <"$SCRATCH/upper/file")" = "$sum" ]
	echo max >"$GROUP/memory.max"
	[ "$(grep -w oom_kill "$GROUP/memory.events")" = "$killed" ]
	[ "$(stat_of errors) $(attr writeback_error)" = "0 0" ]
	umount "$SCRATCH/upper"
}

# catches: the limit turned into an error, or into the death of who writes.
small_group()
{
	new_file "$1"
	echo 8M >"$GROUP/memory.max"
	for _ in 1 2 3; do
		in_group blkio write $DEV 0 64k count=240 depth=16
		in_group blkio verify $DEV 0 64k count=240
	done
	echo max >"$GROUP/memory.max"
	[ "$(stat_of errors) $(attr writeback_error)" = "0 0" ]
	grep 'oom_kill 0' "$GROUP/memory.events"
}

must make_cgroup memory io
at_exit sh -c "umount $SCRATCH/upper 2>/dev/null || true"
load
FS=$SCRATCH/fs
mkdir "$FS" "$SCRATCH/upper"
must make_disk vtgroup 64
must mkfs.ext4 -q /dev/vtgroup
must mount /dev/vtgroup "$FS"
at_exit sh -c "[ ! -e $SYS ] || echo 1 >$SYS/reset; umount $FS"
must make_disk vtraw 16
modprobe -q loop || true	# built into some kernels
truncate -s 16M "$SCRATCH/loop"
LOOP=$(losetup --find --show "$SCRATCH/loop") || ktap_exit_fail_msg "no loop device"
at_exit losetup -d "$LOOP"
LOOP=${LOOP#/dev/}

# Less than all are charged at once, and the programs have pages as well.
EIGHT="7340032 9961472"
for p in writethrough writeback; do
	# shellcheck disable=SC2086 # two words
	check "$p: pages that are written are charged" pages $p $EIGHT \
		blkio write $DEV 0 64k count=128
	# shellcheck disable=SC2086
	check "$p: pages that are read are charged" pages $p $EIGHT \
		blkio read $DEV 0 64k count=128
done
check "none: there are no pages to be charged" pages none 0 1048576 \
	blkio write $DEV 0 64k count=128
check "pages of the root are not charged to a group" pages_of_nobody
check "I/O of a discard is charged" bytes wbytes "$LOOP" blkio discard $DEV 0 4M
check "I/O of zeroing is charged" bytes wbytes "$LOOP" blkio zero $DEV 4M 4M
check "I/O of zeroes that are written is charged" bytes wbytes vtraw blkio zero $DEV 0 4M
check "I/O of writes is charged" bytes wbytes vtraw blkio write $DEV 8M 4M
for p in writethrough writeback; do
	check "$p: a small group writes and reads" small_group $p
done
check "a group that is full loses no data" full_group
[ -z "$(attr backing_file)" ] || reset
finish
