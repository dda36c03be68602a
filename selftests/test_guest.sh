#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The policy "guest": a write goes to the file the way its issuer wrote it.
# NEIGHBOURS_SECONDS says how long the two ways are mixed in one page.

. "$(dirname "$0")/lib.sh"
start blkio neighbours dmsetup mkfs.ext4 mkfs.xfs
modprobe -q xfs || true	# built into some kernels
without_udev
. "$HERE/trace.sh"
. "$HERE/below.sh"

SECONDS_OF_MIXING=${NEIGHBOURS_SECONDS:-20}

# catches: a mark that is not looked at, or looked at for the wrong operation.
as_issued()
{
	becomes "write direct" blkio write $DEV 64k 4k
	becomes "write direct dsync" blkio write $DEV 64k 4k fua
	becomes "write cached" blkio write $DEV 64k 4k buffered
	[ "$(stat_of direct_writes) $(stat_of buffered_writes)" = "2 1" ]
	blkio verify $DEV 64k 4k
}

# catches: metadata of a journal, which has the mark of direct I/O, too, taken for it.
metadata_is_cached()
{
	mkfs.ext4 -q -F $DEV
	mkdir -p "$SCRATCH/above"
	mount $DEV "$SCRATCH/above"
	sync -f "$SCRATCH/above"
	touch "$SCRATCH/above/x"
	trace sync "$SCRATCH/above/x" >"$SCRATCH/journal"
	umount "$SCRATCH/above"
	grep -q "call=write" "$SCRATCH/journal"
	fails grep "call=write.*direct=1" "$SCRATCH/journal"
}

# Two tags, and a slow disk: while two writes are on their way and one waits for its tag,
# a direct and a page-cache write of neighbouring pages meet in the scheduler.
mix()
{
	trace merge >"$SCRATCH/trace" && grep -q "call=write .*len=8192" "$SCRATCH/trace"
}

merge()
{
	local jobs=()

	blkio write $DEV 512k 4k step=64k count=3 depth=3 & jobs+=($!)
	sleep 0.05
	blkio write $DEV 64k 4k & jobs+=($!)
	sleep 0.05
	blkio write $DEV 68k 4k buffered & jobs+=($!)
	wait "${jobs[@]}"
}

# catches: a merged request judged by its first bio only.
mixed_request()
{
	local try

	reset
	set_attr cache_policy guest
	bind /dev/mapper/vtslow
	echo mq-deadline >$SYS/queue/scheduler
	for try in {1..20}; do
		! mix || break
	done
	echo "after $try tries:"
	cat "$SCRATCH/trace"
	grep "call=write .*len=8192" "$SCRATCH/trace" >"$SCRATCH/mixed"
	grep -q "direct=0" "$SCRATCH/mixed"
	fails grep -q "dsync=none" "$SCRATCH/mixed"
	blkio verify $DEV 64k 8k
}

# Sets in_time: what is read once the write has ended is right in any case.
read_meanwhile()
{
	local writer

	blkio write $DEV 64k 4k seed=1
	blkio write $DEV 64k 4k seed=2 & writer=$!
	sleep 0.1
	if blkio verify $DEV 64k 4k seed=1 && kill -0 $writer; then
		in_time=yes
	fi
	wait $writer
	blkio verify $DEV 64k 4k seed=2
}

# catches: a page that was read from the disk while a direct write to it was under way,
# and is kept.
nothing_is_stale()
{
	local in_time=no

	reset
	set_attr cache_policy guest
	bind /dev/mapper/vtslow
	for _ in {1..20}; do
		read_meanwhile
		[ $in_time = no ] || return 0
	done
	return 1
}

# catches: direct and page-cache writes of one page that overlap in time: the writeback
# of one overwrites what the other had acknowledged.
neighbours_are_kept()
{
	reset
	set_attr cache_policy guest
	bind "$1/odd"
	[ "$(attr queue/logical_block_size)" = 512 ]
	# An odd number of sectors makes 512 the block size of both page caches.
	dm create vtalias --table "0 $(blockdev --getsz $DEV) linear $DEV 0"
	settle
	neighbours $DEV /dev/mapper/vtalias "$1/odd" "$SECONDS_OF_MIXING"
	[ "$(stat_of direct_writes)" -gt 100 ]
	[ "$(stat_of buffered_writes)" -gt 100 ]
}

# writes_a_neighbour: a sector with direct I/O, which takes a second, and meanwhile the next
# one through the page cache. Sets met: the second was begun while the first was under way.
writes_a_neighbour()
{
	local writer other

	below_slow 0 0
	blkio write $DEV 64k 1k seed=1
	echo 3 >/proc/sys/vm/drop_caches
	below_slow 1000 0
	blkio write $DEV 64k 512 seed=2 & writer=$!
	wait_for 5 writing 1
	blkio write /dev/mapper/vtalias 66048 512 seed=3 buffered & other=$!
	sleep 0.3
	! kill -0 $writer || met=yes
	wait $writer
	wait $other
	below_slow 0 0
}

# catches: the page of a direct write that is under way read from the disk for its neighbour,
# and written back over it.
neighbour_waits()
{
	local met=no

	reset
	set_attr cache_policy guest
	bind "$BELOW_FS/odd"
	dm create vtalias --table "0 $(blockdev --getsz $DEV) linear $DEV 0"
	settle
	for _ in {1..5}; do
		[ $met = yes ] || writes_a_neighbour
	done
	[ $met = yes ]
	blkio flush $DEV
	echo 3 >/proc/sys/vm/drop_caches
	blkio verify "$BELOW_FS/odd" 64k 512 seed=2
	blkio verify "$BELOW_FS/odd" 66048 512 seed=3
}

drop_map()
{
	[ ! -e "/dev/mapper/$1" ] || dm remove --retry "$1"
}

load nr_hw_queues=1 hw_queue_depth=2
make_disk vtguest 64 irqmode=2 completion_nsec=300000 && mkfs.ext4 -q -b 4096 /dev/vtguest &&
	mkdir "$SCRATCH/fs" && mount /dev/vtguest "$SCRATCH/fs" ||
	ktap_exit_fail_msg "no filesystem to test on"
at_exit umount "$SCRATCH/fs"
make_disk vtfast 8 && at_exit drop_map vtslow && modprobe -q dm-delay &&
	dm create vtslow --table "0 $(blockdev --getsz /dev/vtfast) delay /dev/vtfast 0 0 /dev/vtfast 0 1000" &&
	settle || ktap_exit_fail_msg "no slow disk"
truncate -s 16M "$SCRATCH/fs/img"
set_attr cache_policy guest && bind "$SCRATCH/fs/img" || ktap_exit_fail_msg "can't bind"
trace_start
check "direct writes go direct, the others through the page cache" as_issued
check "the journal of a filesystem above goes through the page cache" metadata_is_cached
check "a merged request of both kinds goes through the page cache with dsync" mixed_request
check "what is read while a direct write is under way is read anew" nothing_is_stale
trace_stop

# With all its queues: the two kinds have to meet.
reset
unload
drop_map vtslow
load
make_disk vtxfs 320 && mkfs.xfs -q /dev/vtxfs && mkdir "$SCRATCH/xfs" &&
	mount /dev/vtxfs "$SCRATCH/xfs" && at_exit umount "$SCRATCH/xfs" || ktap_exit_fail_msg "no xfs"
at_exit drop_map vtalias
for fs in fs xfs; do
	dd if=/dev/zero of="$SCRATCH/$fs/odd" bs=512 count=2049 conv=fsync status=none
	check "${fs/#fs/ext4}: neighbours of 512 bytes, one direct, one not, for $SECONDS_OF_MIXING s" \
		neighbours_are_kept "$SCRATCH/$fs"
	drop_map vtalias
done
reset
must below_start fua slow
must below_mount xfs
dd if=/dev/zero of="$BELOW_FS/odd" bs=512 count=2049 conv=fsync status=none
check "a neighbour through the page cache waits for a direct write that is under way" \
	neighbour_waits
drop_map vtalias
reset
truncate -s 16M "$SCRATCH/xfs/img"
set_attr cache_policy guest && bind "$SCRATCH/xfs/img" || ktap_exit_fail_msg "can't bind"
trace_start
check "xfs: direct writes go direct, the others through the page cache" as_issued
check "xfs: the journal of a filesystem above goes through the page cache" metadata_is_cached
trace_stop
finish
