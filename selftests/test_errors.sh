#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Errors of the disk below. An I/O error fails its request and no more; an error of a
# sync breaks the promise, and sticks until the operator says so.

. "$(dirname "$0")/lib.sh"
start blkio dmsetup mkfs.ext4 filefrag
without_udev
. "$HERE/below.sh"

# again POLICY: bound to a good disk, nothing sticks.
again()
{
	below_good
	[ -z "$(attr backing_file)" ] || put $SYS/reset <<<1 || true
	mountpoint -q "$BELOW_FS" || mount $BELOW_MAP "$BELOW_FS"
	sync "$IMG" || true	# an error that nobody has been told of yet
	bind "$IMG"
	set_attr cache_policy "$1"
}

unbound()
{
	[ -z "$(attr backing_file)" ] || put $SYS/reset <<<1 || [ -z "$(attr backing_file)" ]
}

# break_at OFFSET: 4 KiB of the file can't be read or written.
break_at()
{
	local first count

	read -r first count <<<"$(below_extents "$IMG" | head -n 1)"
	[ "$count" -gt $(($1 / 512 + 8)) ]
	below_bad $((first + $1 / 512)) 8
}

# works: whatever was asked for is durable.
works()
{
	says ok blkio write $DEV 1M 64k
	says ok blkio write $DEV 2M 64k fua
	says ok blkio flush $DEV
	says ok blkio discard $DEV 3M 4k
	says ok blkio zero $DEV 3M 4k
	says ok blkio verify $DEV 1M 64k
	[ "$(attr writeback_error)" = 0 ]
}

# sticks: no promise is made or kept any more, whatever the disk does. What promises
# nothing works: reads, and under $1 = volatile also plain writes.
sticks()
{
	below_good
	says EIO blkio flush $DEV
	says EIO blkio flush $DEV
	says EIO blkio write $DEV 2M 64k fua
	if [ "$1" = volatile ]; then
		says ok blkio write $DEV 1M 64k
		says ok blkio discard $DEV 3M 4k
	else
		says EIO blkio write $DEV 1M 64k
		says EIO blkio discard $DEV 3M 4k
		says EIO blkio zero $DEV 3M 4k
	fi
	says ok blkio read $DEV 2M 64k
	refuses EIO cache_policy "$(policy)"
	refuses EIO cache_policy unsafe
	[ "$(attr writeback_error)" != 0 ]
	refuses EINVAL writeback_error 5
	set_attr writeback_error 0
	works
}

# catches: a device that is lost after one bad sector; an error swallowed.
one_bad_sector()
{
	again "$1"
	break_at 1048576
	says EIO blkio write $DEV 1M 4k
	says EIO blkio write $DEV 1M 64k
	says EIO blkio write $DEV 1M 4k fua
	says EIO blkio read $DEV 1M 4k
	says ok blkio write $DEV 2M 4k
	[ "$(stat_of errors)" -ge 4 ]
	below_good
	works
}

bad_sector_read_through_the_cache()
{
	again "$1"
	echo 1 >/proc/sys/vm/drop_caches
	break_at 1048576
	says EIO blkio read $DEV 1M 4k
	says ok blkio read $DEV 2M 4k
	below_good
	works
}

# catches: sync error not sticky; fsync that succeeds the second time.
failed_flush_sticks()
{
	again "$1"
	says ok blkio write $DEV 1M 64k
	below_no_sync "$IMG"
	says EIO blkio flush $DEV
	sticks volatile
}

# catches: the same where each write has its own sync.
failed_dsync_sticks()
{
	again writethrough
	below_no_sync "$IMG"
	says EIO blkio write $DEV 1M 64k
	sticks durable
}

# catches: a switch that goes on after its sync failed, or doesn't stick.
failed_switch_sticks()
{
	again "$1"
	says ok blkio write $DEV 1M 64k
	below_no_sync "$IMG"
	refuses EIO cache_policy "$2"
	[ "$(policy)" = "$1" ]
	sticks "$3"
}

# Without a journal a filesystem survives a sync that fails, and writes on.
without_a_journal()
{
	mkfs.ext4 -q -F -b 4096 -O ^has_journal $BELOW_MAP
	mount $BELOW_MAP "$BELOW_FS"
	below_file img 4
	fallocate --punch-hole --offset 2M --length 64k "$IMG"
	sync "$IMG"
}

# catches: a durable direct write, whose sync fails inside of the filesystem, taken for one
# whose own data can't be written. Its data can, when it is tried alone.
failed_sync_inside_sticks()
{
	below_good
	unbound
	! mountpoint -q "$BELOW_FS" || umount "$BELOW_FS"
	without_a_journal
	again "$1"
	below_no_sync "$IMG"
	if [ "$1" = none ]; then
		says EIO blkio write $DEV 2M 4k fua
		[ "$(stat_of direct_writes) $(stat_of errors)" = "1 1" ]
		sticks volatile
	else
		says EIO blkio write $DEV 2M 4k
		sticks durable
	fi
}

# catches: a reset that succeeds because its own sync did, after one that didn't.
reset_tells_of_an_earlier_error()
{
	again "$1"
	says ok blkio write $DEV 1M 64k
	below_no_sync "$IMG"
	says EIO blkio flush $DEV
	below_good
	refuses EIO reset 1
	[ "$(attr backing_file) $(attr writeback_error)" = " 0" ]
	bind "$IMG"
	works
}

switch_under_way()
{
	[ "$(policy)" = "$1" ] && [ -e "/proc/$SWITCH" ]
}

# catches: a switch that looks at the first of its two syncs only.
second_sync_of_a_switch_fails()
{
	local start flush

	again "$1"
	# Long enough for what is done meanwhile, however slow the machine is.
	start=${EPOCHREALTIME/./}
	below_no_sync "$IMG"
	below_good
	flush=$(((${EPOCHREALTIME/./} - start) / 500))
	says ok blkio write $DEV 1M 64k
	below_slow 0 $((flush > 2000 ? flush : 2000))
	put $SYS/cache_policy "$2" >"$SCRATCH/switch" & SWITCH=$!
	wait_for 20 switch_under_way "$2"
	# The first one is done, and the flush of the second one still on its way.
	below_no_sync "$IMG"
	wait $SWITCH || true
	below_slow 0 0
	cat "$SCRATCH/switch"
	[ "$(cat "$SCRATCH/switch")" = EIO ]
	[ "$(policy)" = "$1" ]
	sticks "$3"
}

# The background writes back and fails; nobody who holds the device has seen it.
writeback_fails()
{
	says ok blkio write $DEV 1M 4k
	break_at 1048576
	# The same content again, only to start the writeback of this page.
	says EIO blkio write "$IMG" 1M 4k buffered
	below_good
}

# catches: error stealing.
lost_writeback_is_reported()
{
	again writeback
	writeback_fails
	# Whatever becomes of this one: it must not keep the error from the FLUSH.
	blkio write $DEV 2M 4k fua || true
	says EIO blkio flush $DEV
	sticks volatile
}

# catches: the same by a switch, which must not succeed either.
lost_writeback_stops_a_switch()
{
	again writeback
	writeback_fails
	blkio write $DEV 2M 4k fua || true
	refuses EIO cache_policy none
	[ "$(policy)" = writeback ]
}

# catches: somebody else's error, inherited, that fails the first FLUSH of this device.
unseen_error_fails_the_bind()
{
	again writeback
	put $SYS/reset <<<1
	blkio read "$IMG" 1M 4k
	break_at 1048576
	# Not synced by itself: it must not be told.
	head -c 4096 /dev/zero | dd of="$IMG" bs=4096 seek=256 conv=notrunc status=none
	sync
	below_good
	refuses EIO backing_file "$IMG"
	[ "$(attr backing_file)" = "" ]
	bind "$IMG"
	works
}

# catches: a file that can't be given back, or a reset that hides what was lost.
failed_reset_unbinds()
{
	again writeback
	says ok blkio write $DEV 1M 64k
	below_no_sync "$IMG"
	refuses EIO reset 1
	[ "$(attr backing_file)" = "" ]
	[ "$(attr writeback_error)" = 0 ]
}

# catches: a disk that goes, and what was not synced with it, without a word.
failed_removal_says_so()
{
	again writeback
	says ok blkio write $DEV 1M 64k
	below_no_sync "$IMG"
	log_mark removal
	echo 0 >$CONTROL/hot_remove
	log_lines removal | grep "the last sync of the backing file failed (-5)"
	[ "$(cat $CONTROL/hot_add)" = 0 ]
}

# catches: a sticky error without a word, or with a word for each request.
said_once()
{
	log_mark sticky
	failed_flush_sticks none
	log_lines sticky
	[ "$(log_lines sticky | grep -c "durable writes and flushes fail until")" = 1 ]
}

load
modprobe -q dm-delay || true	# built into some kernels
below_start fua && modprobe -q dm-flakey && below_mount ext4 && below_file img 4 ||
	ktap_exit_fail_msg "nothing to test on"
IMG=$BELOW_FS/img
for p in none directsync guest; do
	check "$p: one bad sector fails its requests, and no others" one_bad_sector $p
done
for p in writethrough writeback unsafe; do
	check "$p: one bad sector fails its reads, and no others" \
		bad_sector_read_through_the_cache $p
done
for p in none guest writeback; do
	check "$p: a failed FLUSH sticks until it is cleared" failed_flush_sticks $p
done
check "writethrough: a failed sync of a write sticks until it is cleared" failed_dsync_sticks
check "writeback to none: a failed switch stays and sticks" \
	failed_switch_sticks writeback none volatile
check "directsync to writeback: a failed switch stays and sticks" \
	failed_switch_sticks directsync writeback durable
check "an error of background writeback fails the next FLUSH, a FUA write before it or not" \
	lost_writeback_is_reported
check "an error of background writeback fails the next switch" lost_writeback_stops_a_switch
check "an error that nobody has seen yet fails the bind, once" unseen_error_fails_the_bind
check "a reset whose sync fails says so and unbinds" failed_reset_unbinds
check "a removal whose last sync fails says so, and removes" failed_removal_says_so
check "the log says once that promises are broken" said_once
for p in none guest writeback; do
	check "$p: a reset tells of an earlier error of a sync" reset_tells_of_an_earlier_error $p
done
for p in none directsync; do
	check "$p: a durable direct write whose sync fails, not its data, sticks" \
		failed_sync_inside_sticks $p
done

# Slow, from here on.
below_good
unbound >/dev/null || ktap_exit_fail_msg "can't unbind"
below_stop
below_start fua slow && below_mount ext4 && below_file img 4 ||
	ktap_exit_fail_msg "nothing to test on that is slow"
check "writeback to none: the second sync of a switch fails: it stays and sticks" \
	second_sync_of_a_switch_fails writeback none volatile
check "none to directsync: the second sync of a switch fails: it stays and sticks" \
	second_sync_of_a_switch_fails none directsync volatile
check "directsync to unsafe: the second sync of a switch fails: it stays and sticks" \
	second_sync_of_a_switch_fails directsync unsafe durable
finish
