#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# queue/write_cache belongs to the administrator. Set to "write through", the block
# layer answers FLUSH and strips FUA before the driver sees them, so every write has to
# be durable from then on, until the next cache_policy write or reset.

. "$(dirname "$0")/lib.sh"
start fio blkio mkfs.ext4
without_udev
. "$HERE/trace.sh"

WC=$SYS/queue/write_cache

# dsync WHICH COMMAND...: all, or none, of the changes that it makes are durable.
dsync()
{
	trace "${@:2}" | grep vinteg_issue: | grep -E "call=(write|fallocate)" |
		sed 's/.*dsync=//; s/native\|sync/yes/' | sort | uniq -c | xargs >"$SCRATCH/dsync"
	cat "$SCRATCH/dsync"
	case $1 in
	all)	grep -qx "[0-9]* yes" "$SCRATCH/dsync" ;;
	none)	grep -qx "[0-9]* none" "$SCRATCH/dsync" ;;
	esac
}

changes()
{
	blkio write $DEV 0 4k count=4 depth=4 &&
		blkio discard $DEV 1M 64k && blkio zero $DEV 1152k 64k
}

# catches: write_cache override ignored.
overridden()
{
	echo "write back" >$WC
	set_attr cache_policy "$1"
	if [ "$1" != directsync ] && [ "$1" != writethrough ]; then
		dsync none changes
	fi
	echo "write through" >$WC
	[ "$(cat $WC)" = "write through" ]
	dsync all changes
}

# catches: an override that ends when it is taken back: bios stripped of their FUA
# meanwhile may still wait somewhere.
stays_overridden()
{
	echo "write back" >$WC
	set_attr cache_policy "$1"
	echo "write through" >$WC
	blkio write $DEV 0 4k
	echo "write back" >$WC
	dsync all changes
}

# catches: an override that nothing ends.
ends_with_policy_write()
{
	stays_overridden "$1"
	set_attr cache_policy "$1"
	[ "$(policy)" = "$1" ]
	dsync none changes
	blkio flush $DEV
}

ends_with_reset()
{
	stays_overridden none
	reset
	bind "$FILE"
	dsync none changes
}

# catches: volatile data that stays volatile while nobody writes any more.
older_writes_are_synced()
{
	local syncs

	echo "write back" >$WC
	set_attr cache_policy writeback
	blkio write $DEV 0 64k
	syncs=$(stat_of backing_syncs)
	echo "write through" >$WC
	wait_for 3 synced_since "$syncs"
}

synced_since()
{
	[ "$(stat_of backing_syncs)" -gt "$1" ]
}

# Writes of four kinds all the time, while the setting is flipped.
under_load()
{
	local i load

	echo "write back" >$WC
	set_attr cache_policy writeback
	fio --name=override --filename=$DEV --size=2M --bs=4k --rw=randwrite --ioengine=libaio \
		--iodepth=8 --direct=1 --fsync=16 --verify=crc32c --verify_fatal=1 --loops=3 \
		--verify_backlog=64 --allow_file_create=0 >"$SCRATCH/fio" 2>&1 &
	load=$!
	for i in $(seq 1 10); do
		echo "write through" >$WC
		sleep 0.05
		echo "write back" >$WC
		[ $((i % 3)) != 0 ] || set_attr cache_policy "$(xargs -n1 <<<"$POLICIES" |
			sed -n "$((i / 3))p")"
	done
	wait $load || { tail -n 5 "$SCRATCH/fio"; return 1; }
	[ "$(stat_of errors)" = 0 ]
}

load
make_disk vtwc 64 cache_size=32 && mkfs.ext4 -q -b 4096 /dev/vtwc &&
	mkdir "$SCRATCH/fs" && mount /dev/vtwc "$SCRATCH/fs" ||
	ktap_exit_fail_msg "no filesystem to test on"
at_exit umount "$SCRATCH/fs"
FILE=$SCRATCH/fs/img
dd if=/dev/zero of="$FILE" bs=1M count=2 conv=fsync status=none
bind "$FILE" || ktap_exit_fail_msg "can't bind"
trace_start

for p in $POLICIES; do
	check "$p: under \"write through\" every write is durable" overridden "$p"
done
for p in none writeback guest unsafe; do
	check "$p: taken back, it holds on until the next cache_policy write" \
		ends_with_policy_write "$p"
done
check "a reset ends it, too" ends_with_reset
check "what was written before is synced within three seconds" older_writes_are_synced
check "it is flipped ten times under load without an error" under_load
finish
