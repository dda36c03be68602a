#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The promise itself, by cutting the power of the disk below.

. "$(dirname "$0")/lib.sh"
start blkio dmsetup mkfs.ext4 mkfs.xfs filefrag blkdiscard
without_udev
. "$HERE/below.sh"
. "$HERE/cut.sh"

hot_remove()
{
	settle
	put $CONTROL/hot_remove <<<0
}

# Noticed by a check once a second, at the latest.
override()
{
	echo "write through" >$SYS/queue/write_cache
	sleep 3
	echo "write back" >$SYS/queue/write_cache
}

# catches: FUA flag dropped, and a cut that is none.
only_fua_survives()
{
	power_cut "to $1" do_fua do_plain
	is_fua
	is_lost plain
}

# catches: FLUSH completes without a sync.
flushed_survives()
{
	power_cut "to $1" do_flushed
	is_flushed
}

# catches: write-through without dsync, for either kind of write.
all_writes_survive()
{
	power_cut "to $1" do_fua do_plain
	is_fua
	is_plain
}

# catches: discard or write-zeroes not synced in write-through. A sync for the second
# would cover the first, so each is the second once.
deallocations_survive()
{
	power_cut "to $1" "do_$2" "do_$3"
	"is_$2"
	"is_$3"
}

nothing_survives()
{
	power_cut "to $1" do_fua do_flushed
	is_lost fua
	is_lost flushed
}

# survives OPERATION COMMAND...: done as the last of the commands.
survives()
{
	power_cut "${@:2}"
	"is_$1"
}

# catches: FUA lost when the block has to be allocated first: data on the disk, but not
# where to find it.
survives_on()
{
	local before=$2

	power_cut "to $1" do_fua
	is_fua
}

promises()
{
	local policy

	for policy in none guest writeback; do
		property "$1: $policy: a FUA write survives, a plain one doesn't" \
			only_fua_survives $policy
		property "$1: $policy: a write followed by a FLUSH survives" \
			flushed_survives $policy
	done
	for policy in directsync writethrough; do
		property "$1: $policy: plain and FUA writes survive" all_writes_survive $policy
	done
	property "$1: directsync: discard and write-zeroes survive" \
		deallocations_survive directsync discard zero
	property "$1: writethrough: write-zeroes and discard survive" \
		deallocations_survive writethrough zero discard
	property "$1: unsafe: nothing survives" nothing_survives unsafe
}

# catches: switch, unbind or override without a sync.
changes()
{
	property "$1: writeback to none: a write before it survives" \
		survives plain "to writeback" do_plain "to none"
	property "$1: none to directsync: a write before it survives" \
		survives plain "to none" do_plain "to directsync"
	property "$1: a write before a reset survives" \
		survives plain "to writeback" do_plain reset
	property "$1: a write before hot_remove survives" survives plain do_plain hot_remove
	property "$1: a write before rmmod survives" \
		survives plain "to unsafe" do_plain unload
	property "$1: queue/write_cache := write through: a write before it survives" \
		survives plain "to writeback" do_plain override
}

after_unsafe()
{
	property "$1: unsafe to $2: a FLUSH before it is made good" \
		survives flushed "to unsafe" do_flushed "to $2"
}

allocations()
{
	local policy

	for policy in none writeback; do
		property "$1: $policy: a FUA write into a hole survives" \
			survives_on $policy hole
		property "$1: $policy: a FUA write to preallocated blocks survives" \
			survives_on $policy preallocated
	done
}

# Fewer, where only the filesystem or the disk differs.
essentials()
{
	property "$1: none: a FUA write survives, a plain one doesn't" only_fua_survives none
	property "$1: none: a write followed by a FLUSH survives" flushed_survives none
	property "$1: directsync: plain and FUA writes survive" all_writes_survive directsync
	after_unsafe "$1" none
}

load
on fua ext4
promises ext4
changes ext4
for p in none writeback guest; do
	after_unsafe ext4 $p
done
allocations ext4
on fua xfs
essentials xfs
property "xfs: directsync: discard and write-zeroes survive" \
	deallocations_survive directsync discard zero
allocations xfs
on fua raw
essentials "raw disk"

on nofua ext4
essentials "ext4 without FUA"
property "ext4 without FUA: writeback: a FUA write survives, a plain one doesn't" \
	only_fua_survives writeback
finish
