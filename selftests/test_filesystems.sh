#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Filesystems that don't do what a policy needs: some acknowledge a sync without doing
# one, some have no direct I/O, some do it through the page cache without a word.

. "$(dirname "$0")/lib.sh"
start blkio mkfs.ext4 mkfs.btrfs chattr
without_udev

# new_file FILE
new_file()
{
	dd if=/dev/zero of="$1" bs=1M count=2 status=none
	sync "$1"
}

# bind_anew FILE [POLICY]
bind_anew()
{
	[ -z "$(attr backing_file)" ] || reset
	[ -z "${2:-}" ] || set_attr cache_policy "$2"
	log_mark bind
	bind "$1"
}

warned()
{
	[ "$(log_lines bind | grep -c "acknowledges syncs without .*$1")" = 1 ]
}

# catches: a durable policy on a filesystem that lies, without a warning with its reason.
lies()
{
	bind_anew "$1/img" writeback
	log_lines bind
	warned "$2"
	# Nothing was promised, so nothing is broken.
	bind_anew "$1/img" unsafe
	log_lines bind
	fails warned ""
	# But it is from here on.
	log_mark bind
	set_attr cache_policy writethrough
	log_lines bind
	warned "$2"
}

# catches: a warning that everybody learns to overlook.
honest()
{
	bind_anew "$SCRATCH/ext4/img" none
	log_lines bind
	fails warned ""
}

# catches: a default that fails, or falls back without saying so, in the log and in
# cache_policy.
falls_back()
{
	bind_anew "$SCRATCH/ramfs/img"
	[ "$(policy)" = writethrough ]
	[ "$(log_lines bind | grep -c "falls back to writethrough")" = 1 ]
	blkio write $DEV 0 4k
	[ "$(stat_of direct_writes) $(stat_of buffered_writes)" = "0 1" ]
	refuses EOPNOTSUPP cache_policy none
	refuses EOPNOTSUPP cache_policy directsync
	[ "$(policy)" = writethrough ]
	set_attr cache_policy guest
	blkio write $DEV 0 4k
	blkio verify $DEV 0 4k
}

# catches: somebody who asked for direct I/O and gets something else.
refuses_what_was_asked_for()
{
	reset
	set_attr cache_policy "$1"
	refuses EOPNOTSUPP backing_file "$SCRATCH/ramfs/img"
	[ "$(attr backing_file)" = "" ]
	[ "$(policy)" = "$1" ]
}

# catches: direct I/O that overlay claims for whatever is below it.
asks_below()
{
	reset
	set_attr read_only 1
	log_mark bind
	bind "$SCRATCH/claims/img"
	[ "$(policy)" = writethrough ]
	[ "$(log_lines bind | grep -c "falls back to writethrough")" = 1 ]
	blkio read $DEV 0 4k
	refuses EOPNOTSUPP cache_policy none
	reset
	# It's not overlay itself that is refused.
	set_attr read_only 1
	bind "$SCRATCH/passes/img"
	[ "$(policy)" = none ]
	blkio read $DEV 0 4k
	reset
}

# catches: memory aligned less than direct I/O wants it, where the filesystem doesn't tell;
# or blocks that are accepted nowhere in a page but at its start.
memory_is_aligned()
{
	bind_anew "$SCRATCH/btrfs/plain" none
	[ "$(attr queue/logical_block_size) $(attr queue/dma_alignment)" = "4096 4095" ]
	reset
	set_attr logical_block_size 512
	bind_anew "$SCRATCH/btrfs/plain" writeback
	[ "$(attr queue/logical_block_size) $(attr queue/dma_alignment)" = "512 511" ]
	reset
}

# catches: zeroes that are written one by one, for gigabytes, while a policy switch waits.
zeroes_in_small_portions()
{
	bind_anew "$SCRATCH/ramfs/img"
	[ "$(attr queue/write_zeroes_max_bytes) $(attr queue/discard_max_bytes)" = "4194304 0" ]
	blkio write $DEV 0 4k count=4
	blkio zero $DEV 4k 8k
	blkio verify $DEV 4k 8k seed=0
	blkio verify $DEV 0 4k
	blkio verify $DEV 12k 4k
	bind_anew "$SCRATCH/ext4/img"
	[ "$(attr queue/write_zeroes_max_bytes)" -gt 1073741824 ]
	[ "$(attr queue/discard_max_bytes)" -gt 1073741824 ]
}

# forget FILE: its part of the page cache. btrfs falls back too where it finds a page that it
# can't get rid of, such as one that waits in a CPU's list of new ones. And a file that is
# known to have dirty pages can't be told from one that has got some.
forget()
{
	sync -f "$1"
	dd if="$1" iflag=nocache count=0 status=none
}

# fallbacks FILE NUMBER [WRITES]: so many of the direct writes, 8 if nothing else is said;
# what comes back is right all the same.
# catches: fallbacks that aren't counted, or counted where there are none.
fallbacks()
{
	local writes=${3:-8}

	forget "$1"
	bind_anew "$1" none
	blkio write $DEV 0 4k count="$writes" seed=5
	echo "fallbacks: $(stat_of direct_fallbacks), expected $2"
	[ "$(stat_of direct_writes)" = "$writes" ]
	[ "$(stat_of direct_fallbacks)" = "$2" ]
	blkio flush $DEV
	blkio verify $DEV 0 4k count="$writes" seed=5
}

# goes_through_the_cache FILE: what the filesystem does with a direct write of anybody. It
# shows in the pages that this makes dirty, if only for a moment.
goes_through_the_cache()
{
	local dirty=$TRACE/events/writeback/writeback_dirty_folio inode

	forget "$1"
	inode=$(stat -c %i "$1")
	echo "ino == $inode" >"$dirty/filter"
	: >$TRACE/trace
	echo 1 >"$dirty/enable"
	blkio write "$1" 1M 4k count=8 || ktap_exit_fail_msg "can't write to $1"
	echo 0 >"$dirty/enable"
	grep -q "writeback_dirty_folio: .*ino=$inode" $TRACE/trace
}

# catches: a durable write that the filesystem did through its page cache, and left there.
fallback_is_durable()
{
	local syncs

	bind_anew "$SCRATCH/ext3/sparse" none
	: >$TRACE/trace
	blkio write $DEV 256k 4k count=4 fua
	[ "$(stat_of direct_fallbacks)" = 4 ]
	syncs=$(grep -c "block_rq_complete: [0-9,]* \(FF\|WF\)" $TRACE/trace)
	echo "flushes and FUA writes below: $syncs"
	[ "$syncs" -ge 4 ]
}

load
mkdir "$SCRATCH"/{ext4,ext3,btrfs,ramfs,tmpfs,lower,over,careless}
make_disk vtfs1 64 && mkfs.ext4 -q /dev/vtfs1 && mount /dev/vtfs1 "$SCRATCH/ext4" &&
	at_exit umount "$SCRATCH/ext4" &&
	make_disk vtfs2 64 && mkfs.ext4 -q /dev/vtfs2 &&
	mount -o barrier=0 /dev/vtfs2 "$SCRATCH/careless" &&
	at_exit umount "$SCRATCH/careless" || ktap_exit_fail_msg "no ext4"
make_disk vtfs3 64 cache_size=32 && mkfs.ext4 -q -b 4096 -O ^extent,^64bit /dev/vtfs3 &&
	mount /dev/vtfs3 "$SCRATCH/ext3" && at_exit umount "$SCRATCH/ext3" ||
	ktap_exit_fail_msg "no ext4 without extents"
make_disk vtfs4 256 && mkfs.btrfs -q /dev/vtfs4 && mount /dev/vtfs4 "$SCRATCH/btrfs" &&
	at_exit umount "$SCRATCH/btrfs" || ktap_exit_fail_msg "no btrfs"
mount -t ramfs ramfs "$SCRATCH/ramfs" && at_exit umount "$SCRATCH/ramfs"
mount -t tmpfs tmpfs "$SCRATCH/tmpfs" && at_exit umount "$SCRATCH/tmpfs"
mkdir "$SCRATCH"/tmpfs/{upper,work}
modprobe -q overlay || true	# built into some kernels
mount -t overlay -o "lowerdir=$SCRATCH/lower,upperdir=$SCRATCH/tmpfs/upper" \
	-o "workdir=$SCRATCH/tmpfs/work,volatile" overlay "$SCRATCH/over" &&
	at_exit umount "$SCRATCH/over" || ktap_exit_fail_msg "no volatile overlay"
for dir in ext4 careless ramfs tmpfs over; do
	new_file "$SCRATCH/$dir/img"
done
# Never written to, so these are the files of the filesystem below.
mkdir "$SCRATCH"/{claims,passes} "$SCRATCH"/tmpfs/{upper2,work2,upper3,work3}
mount -t overlay -o "lowerdir=$SCRATCH/ramfs,upperdir=$SCRATCH/tmpfs/upper2" \
	-o "workdir=$SCRATCH/tmpfs/work2" overlay "$SCRATCH/claims" &&
	at_exit umount "$SCRATCH/claims" &&
	mount -t overlay -o "lowerdir=$SCRATCH/ext4,upperdir=$SCRATCH/tmpfs/upper3" \
		-o "workdir=$SCRATCH/tmpfs/work3" overlay "$SCRATCH/passes" &&
	at_exit umount "$SCRATCH/passes" || ktap_exit_fail_msg "no overlay"

check "ext4: no warning" honest
check "ext4 without barriers: a warning" lies "$SCRATCH/careless" "barrier"
check "tmpfs: a warning" lies "$SCRATCH/tmpfs" ""
check "overlay mounted volatile: a warning" lies "$SCRATCH/over" ""
check "no direct I/O: the default falls back to writethrough" falls_back
for p in none directsync; do
	check "no direct I/O: $p is refused if asked for" refuses_what_was_asked_for $p
done
check "overlay over a filesystem without direct I/O: the default falls back" asks_below
check "no fallocate: zeroes are written in small portions" zeroes_in_small_portions

# Without extents ext4 writes to holes through the page cache.
truncate -s 2M "$SCRATCH/ext3/sparse"
new_file "$SCRATCH/ext3/full"
TRACE=/sys/kernel/tracing/instances/vtfs
numbers=$(cat /sys/block/vtfs3/dev)
mkdir $TRACE && at_exit rmdir $TRACE &&
	echo "dev == $((${numbers%:*} << 20 | ${numbers#*:}))" \
		>$TRACE/events/block/block_rq_complete/filter &&
	echo 1 >$TRACE/events/block/block_rq_complete/enable
check "ext4 without extents, on holes: fallbacks are counted" fallbacks "$SCRATCH/ext3/sparse" 8
# Then the kernel has a look at them after each 16, and forgets how many this task has made.
ratio=$(cat /proc/sys/vm/dirty_ratio)
echo 4194304 >/proc/sys/vm/dirty_bytes
truncate -s 2M "$SCRATCH/ext3/limited"
check "fallbacks are counted while few pages may be dirty" fallbacks "$SCRATCH/ext3/limited" 64 64
echo "$ratio" >/proc/sys/vm/dirty_ratio
check "ext4 without extents, on blocks: no fallbacks" fallbacks "$SCRATCH/ext3/full" 0
check "a fallback is durable if it has to be" fallback_is_durable

# With checksums btrfs falls back in some kernels, and copies in others.
touch "$SCRATCH/btrfs/plain"
chattr +C "$SCRATCH/btrfs/plain"
new_file "$SCRATCH/btrfs/plain"
new_file "$SCRATCH/btrfs/sums"
expected=0
! goes_through_the_cache "$SCRATCH/btrfs/sums" || expected=8
check "btrfs with checksums: fallbacks are counted ($expected of 8)" \
	fallbacks "$SCRATCH/btrfs/sums" $expected
check "btrfs without checksums: no fallbacks" fallbacks "$SCRATCH/btrfs/plain" 0
check "btrfs: memory is aligned to its blocks, and not to more than ours" memory_is_aligned
finish
