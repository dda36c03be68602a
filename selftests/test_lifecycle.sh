#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Devices come and go: hot_add, bind, reset, hot_remove, rmmod, idle and under load.

. "$(dirname "$0")/lib.sh"

hot_remove()
{
	local said

	settle
	said=$(put "$CONTROL/hot_remove" "$1") || true
	echo "hot_remove $1: $said"
	[ "$said" = "$2" ] && settle
}

devices()
{
	basename -a /sys/block/vinteg* | xargs
}

# lower_flushes, lower_sectors: what the disk below has done since it was made.
lower_flushes()
{
	awk '{ print $16 }' /sys/block/vtlower/stat
}

lower_sectors()
{
	awk '{ print $7 }' /sys/block/vtlower/stat
}

# leave_dirty [DEVICE]: 1 MiB acknowledged and in memory only.
leave_dirty()
{
	set_attr cache_policy unsafe "${1:-}"
	dd if=/dev/urandom of="/dev/${1:-vinteg0}" bs=64k count=16 oflag=direct
	settle
	flushes_before=$(lower_flushes)
	sectors_before=$(lower_sectors)
}

is_synced()
{
	echo "flushes $flushes_before -> $(lower_flushes)," \
		"sectors written $sectors_before -> $(lower_sectors)"
	[ "$(lower_flushes)" -gt "$flushes_before" ]
	[ "$(lower_sectors)" -ge $((sectors_before + 2048)) ]
}

# catches: numbers not reused, a device that is not empty or has no node.
comes_and_goes()
{
	local number

	[ "$(devices)" = vinteg0 ]
	[ "$(cat "$CONTROL/hot_add") $(cat "$CONTROL/hot_add")" = "1 2" ]
	settle
	[ "$(devices)" = "vinteg0 vinteg1 vinteg2" ]
	[ "$(attr size vinteg2) $(policy vinteg2)" = "0 none" ]
	[ -b /dev/vinteg2 ]
	hot_remove 1 ok
	[ "$(devices)" = "vinteg0 vinteg2" ]
	[ ! -e /dev/vinteg1 ]
	number=$(cat "$CONTROL/hot_add")
	[ "$number" = 1 ]
	hot_remove "2
" ok
	hot_remove 1 ok
	[ "$(devices)" = vinteg0 ]
}

# catches: a number guessed from garbage.
bad_numbers()
{
	local input

	for input in $'\n' x 0x0 -1 0.0 '0 ' ' 0' 99999999999 $'\xff'; do
		hot_remove "$input" EINVAL
	done
	[ "$(printf '0\0' | put "$CONTROL/hot_remove")" = EINVAL ]
	hot_remove 1 ENODEV
	hot_remove 2147483647 ENODEV
	[ "$(devices)" = vinteg0 ]
}

# catches: a disk taken from under those who use it.
busy_while_open()
{
	local fd

	exec {fd}<$DEV
	refuses EBUSY backing_file "$FS/a.img"
	refuses EBUSY reset 1
	hot_remove 0 EBUSY
	fails rmmod vinteg
	exec {fd}<&-
	bind "$FS/a.img"
	exec {fd}<$DEV
	refuses EBUSY reset 1
	hot_remove 0 EBUSY
	fails rmmod vinteg
	exec {fd}<&-
	[ "$(attr backing_file)" = "$FS/a.img" ]
	reset
}

# catches: the same for a mounted file system.
busy_while_mounted()
{
	bind "$FS/a.img"
	mkfs.ext4 -q $DEV
	mount $DEV "$SCRATCH/mnt"
	refuses EBUSY reset 1
	hot_remove 0 EBUSY
	fails rmmod vinteg
	echo alive >"$SCRATCH/mnt/file"
	sync "$SCRATCH/mnt/file"
	umount "$SCRATCH/mnt"
	reset
	bind "$FS/a.img"
	mount $DEV "$SCRATCH/mnt"
	grep alive "$SCRATCH/mnt/file"
	umount "$SCRATCH/mnt"
	reset
}

# catches: a reset that leaves the file open, unsynced, or a setting behind.
reset_syncs()
{
	bind "$FS/a.img"
	leave_dirty
	reset
	is_synced
	[ "$(attr backing_file) $(attr size) $(policy)" = " 0 none" ]
	[ "$(dd if=$DEV bs=4k count=1 iflag=direct 2>/dev/null | wc -c)" = 0 ]
}

# catches: a hot_remove that refuses a bound device, or loses what it held.
hot_remove_syncs()
{
	[ "$(cat "$CONTROL/hot_add")" = 1 ]
	bind "$FS/a.img" vinteg1
	leave_dirty vinteg1
	hot_remove 1 ok
	is_synced
	[ "$(devices)" = vinteg0 ]
	# The file is free again.
	bind "$FS/a.img"
	reset
}

# catches: an rmmod that loses what bound devices held, or their files.
rmmod_syncs()
{
	cat "$CONTROL/hot_add"
	bind "$FS/a.img"
	bind "$FS/b.img" vinteg1
	leave_dirty vinteg1
	unload
	is_synced
	[ ! -e /dev/vinteg0 ]
	[ ! -e "$CONTROL" ]
	umount "$FS"
	mount /dev/vtlower "$FS"
	load
}

# failing_disk table: of which kind /dev/mapper/vtfail is.
failing_disk()
{
	dmsetup suspend --noflush --nolockfs vtfail
	dmsetup load vtfail --table "0 16384 $1"
	dmsetup resume vtfail
}

# catches: a reset that hides a failed sync, or keeps the file because of it.
reset_tells_of_a_failed_sync()
{
	dmsetup create vtfail --table "0 16384 linear /dev/vtspare 0"
	settle
	bind /dev/mapper/vtfail
	set_attr cache_policy writeback
	dd if=/dev/zero of=$DEV bs=64k count=1 oflag=direct
	settle
	failing_disk "flakey /dev/vtspare 0 0 3600 1 error_writes"
	refuses EIO reset 1
	[ "$(attr backing_file) $(attr size) $(attr writeback_error)" = " 0 0" ]
	failing_disk "linear /dev/vtspare 0"
	settle
	dmsetup remove --retry vtfail
	bind "$FS/a.img"
	reset
}

partitions()
{
	lsblk -nro NAME,SIZE $DEV | sort | xargs
}

# catches: partitions that are not scanned at bind, or stay after a reset.
has_partitions()
{
	local fd

	set_attr logical_block_size "$1"
	bind "$FS/b.img"
	printf 'size=2M\nsize=3M\n' | sfdisk -q --wipe always -X gpt $DEV
	settle
	reset
	[ "$(partitions)" = "vinteg0 0B" ]
	[ ! -e /dev/vinteg0p1 ]
	set_attr logical_block_size "$1"
	bind "$FS/b.img"
	[ "$(partitions)" = "vinteg0 8M vinteg0p1 2M vinteg0p2 3M" ]
	echo first | dd of=/dev/vinteg0p1 bs=4k conv=sync,fsync
	dd if=$DEV bs=1M skip=1 count=1 iflag=direct | grep -a first
	exec {fd}<"$DEV"p2
	refuses EBUSY reset 1
	exec {fd}<&-
	reset
	bind "$FS/a.img"
	[ "$(partitions)" = "vinteg0 8M" ]
	reset
	truncate -s 0 "$FS/b.img"
	truncate -s 8M "$FS/b.img"
}

# start_load: sets $load, the process, once it writes. That it has the device open is not
# enough: it opens it once only to see how large it is. On a slow machine all this takes
# its time.
start_load()
{
	local before

	before=$(stat_of writes)
	fio --thread --name=load --filename=$DEV --rw=randrw --bs=4k --size=4M \
		--ioengine=libaio --iodepth=16 --direct=1 --fsync=20 --verify=crc32c \
		--verify_backlog=64 --time_based --runtime=300 >"$SCRATCH/fio" 2>&1 &
	load=$!
	wait_for 120 more_writes "$before" && return
	cat "$SCRATCH/fio"
	kill -KILL "$load"
	return 1
}

more_writes()
{
	[ "$(stat_of writes)" -gt "$1" ]
}

# catches: anything that ends in a crash, a hang or an error while requests are under way.
refused_under_load()
{
	local load name rounds=0 end held

	bind "$FS/a.img"
	# Between two of its rounds fio has it closed for a moment.
	exec {held}<$DEV
	start_load
	end=$((SECONDS + 4))
	while [ $SECONDS -lt $end ]; do
		for name in $POLICIES; do
			refuses EBUSY reset 1
			refuses EBUSY backing_file "$FS/b.img"
			[ "$(put "$CONTROL/hot_remove" 0)" = EBUSY ]
			fails rmmod vinteg
			set_attr rescan 1
			set_attr cache_policy "$name"
			rounds=$((rounds + 1))
			[ $SECONDS -lt $end ] || break
		done
	done
	[ $rounds -gt 0 ]
	# Not a moment earlier: on a slow machine, a round takes its time.
	kill -TERM "$load"
	wait "$load" || true
	cat "$SCRATCH/fio"
	grep 'err= 0' "$SCRATCH/fio"
	exec {held}<&-
	reset
}

# catches: requests of a killed process that are leaked, or that outlive the device.
ends_after_a_kill()
{
	local load how

	for how in "set_attr reset 1" "hot_remove 0 ok" "rmmod vinteg"; do
		[ -e $DEV ] || [ "$(cat "$CONTROL/hot_add")" = 0 ]
		bind "$FS/a.img"
		set_attr cache_policy writeback
		start_load
		kill -KILL "$load"
		# shellcheck disable=SC2086 # words
		wait_for 60 $how
	done
	[ ! -e /sys/module/vinteg ]
	umount "$FS"
	mount /dev/vtlower "$FS"
	load
}

start mkfs.ext4 dmsetup sfdisk fio lsblk
FS=$SCRATCH/fs
mkdir "$FS" "$SCRATCH/mnt"
must make_disk vtlower 64 cache_size=8
must make_disk vtspare 8 cache_size=1
must mkfs.ext4 -q /dev/vtlower
must mount /dev/vtlower "$FS"
dd if=/dev/zero of="$FS/a.img" bs=1M count=8 status=none
dd if=/dev/zero of="$FS/b.img" bs=1M count=8 status=none
# What is dirty is to stay so until somebody asks.
interval=/proc/sys/vm/dirty_writeback_centisecs
at_exit eval "echo $(cat $interval) >$interval"
echo 0 >$interval
sync
must load

check "hot_add makes an empty device and prints its number, hot_remove takes it away" comes_and_goes
check "refused: hot_remove of what is no number, or not there" bad_numbers
check "bind, reset, hot_remove and rmmod are refused while the device is open" busy_while_open
check "and while it is mounted" busy_while_mounted
check "reset syncs and unbinds" reset_syncs
check "hot_remove of a bound device syncs" hot_remove_syncs
check "rmmod syncs all devices" rmmod_syncs
check "reset returns the error of a failed sync, and unbinds" reset_tells_of_a_failed_sync
check "partitions come with a file and go with it, 512 byte blocks" has_partitions 512
check "partitions come with a file and go with it, 4096 byte blocks" has_partitions 4096
check "all is refused under load, which doesn't notice" refused_under_load
# Where it has failed, too.
[ -z "$(attr backing_file)" ] || reset
check "reset, hot_remove and rmmod work after a process was killed under load" ends_after_a_kill
umount "$FS"
finish
