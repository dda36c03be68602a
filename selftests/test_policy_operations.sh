#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Which operations reach the backing file, and how, per policy: by the tracepoints, and
# by the counters.

. "$(dirname "$0")/lib.sh"
start blkio mkfs.ext4
without_udev
. "$HERE/trace.sh"

# row PLAIN FUA FLUSH DEALLOCATE: how these must reach the file.
# catches: FUA flag dropped, FLUSH without a sync, write-through without dsync, discard
# not synced in write-through, direct I/O where the page cache was asked for.
row()
{
	becomes "$1" blkio write $DEV 64k 4k
	becomes "$2" blkio write $DEV 128k 4k fua
	becomes "$3" blkio flush $DEV
	becomes "$4" blkio discard $DEV 256k 64k
	becomes "$4" blkio zero $DEV 384k 64k
}

policy_row()
{
	set_attr cache_policy "$1"
	case $1 in
	none | guest)
		row "write direct" "write direct dsync" sync fallocate
		;;
	directsync)
		row "write direct dsync" "write direct dsync" "" "fallocate dsync"
		;;
	writethrough)
		row "write cached dsync" "write cached dsync" "" "fallocate dsync"
		;;
	writeback)
		row "write cached" "write cached dsync" sync fallocate
		;;
	unsafe)
		row "write cached" "write cached" "" fallocate
		;;
	esac
}

# catches: a switch without a sync before the queue is frozen, or after; above all from
# "unsafe", which has acknowledged FLUSHes.
switches_sync()
{
	local to

	for to in none writethrough "$1"; do
		set_attr cache_policy "$1"
		becomes "sync sync" set_attr cache_policy "$to"
	done
}

# counted POLICY "NAME=NUMBER...": after two plain writes, three FUA writes (one more
# than once), a FLUSH, a discard and zeroes on a file that was bound just before.
# catches: a counter that counts nothing, too much, or something else.
counted()
{
	local want

	reset
	bind "$FILE"
	set_attr cache_policy "$1"
	: >"$SCRATCH/before"
	snapshot >"$SCRATCH/before"
	blkio write $DEV 0 4k count=2
	blkio write $DEV 64k 4k count=3 fua
	blkio flush $DEV
	blkio discard $DEV 1M 4k
	blkio zero $DEV 2M 4k
	for want in $2; do
		differs_by "${want%=*}" "${want#*=}"
	done
	# They add up.
	[ $(($(stat_of direct_writes) + $(stat_of buffered_writes))) = "$(stat_of writes)" ]
	[ "$(stat_of direct_fallbacks)" -le "$(stat_of direct_writes)" ]
	[ "$(stat_of fua_writes)" -le "$(stat_of writes)" ]
	[ "$(stat_of dsync_writes)" -le $(($(stat_of writes) + $(stat_of discards) +
		$(stat_of write_zeroes))) ]
	[ "$(stat_of errors)" = 0 ]
}

snapshot()
{
	(cd $SYS/stats && grep . -- *)
}

differs_by()
{
	local before

	before=$(sed -n "s/^$1://p" "$SCRATCH/before")
	echo "$1: was $before, is $(stat_of "$1"), expected $2 more"
	[ $(($(stat_of "$1") - before)) = "$2" ]
}

# catches: a table that forgets reset, a counter that survives it.
reset_clears()
{
	reset
	[ "$(cat $SYS/stats/* | sort -u)" = 0 ]
}

requests="writes=5 fua_writes=3 flushes=1 discards=1 write_zeroes=1 errors=0"

load
make_disk vtops 64 cache_size=32 && mkfs.ext4 -q -b 4096 /dev/vtops &&
	mkdir "$SCRATCH/fs" && mount /dev/vtops "$SCRATCH/fs" ||
	ktap_exit_fail_msg "no filesystem to test on"
at_exit umount "$SCRATCH/fs"
FILE=$SCRATCH/fs/img
dd if=/dev/zero of="$FILE" bs=1M count=4 conv=fsync status=none
bind "$FILE" || ktap_exit_fail_msg "can't bind"
trace_start

for p in $POLICIES; do
	check "$p: operations reach the file as the table says" policy_row "$p"
done
for p in $POLICIES; do
	check "$p: a switch to another policy, or the same, syncs twice" switches_sync "$p"
done
check "none: the counters" counted none "$requests dsync_writes=3 direct_writes=5 \
	buffered_writes=0 ignored_flushes=0"
check "directsync: the counters" counted directsync "$requests dsync_writes=7 \
	direct_writes=5 buffered_writes=0 ignored_flushes=0"
check "writethrough: the counters" counted writethrough "$requests dsync_writes=7 \
	direct_writes=0 buffered_writes=5 backing_syncs=7 ignored_flushes=0"
check "writeback: the counters" counted writeback "$requests dsync_writes=3 \
	direct_writes=0 buffered_writes=5 backing_syncs=4 ignored_flushes=0"
check "guest: the counters" counted guest "$requests dsync_writes=3 direct_writes=5 \
	buffered_writes=0 ignored_flushes=0"
check "unsafe: the counters" counted unsafe "$requests dsync_writes=0 direct_writes=0 \
	buffered_writes=5 backing_syncs=0 ignored_flushes=1"
check "a reset clears the counters" reset_clears
finish
