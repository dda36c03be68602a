# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2153 # what job.conf sets
#
# To be sourced in the guest: the disks below the host's file system, and that. All are
# memory behind null_blk. An answer takes 10 us; what differs is the cache:
#
#	plp	none, as with power-loss protection: nothing that is acknowledged is lost
#	fua	volatile, and the disk knows FUA
#	slow	volatile, without FUA, and a flush takes 1 ms
#
# The empty disk keeps nothing and answers at once: what it takes is the block layer's.

HOST=/run/host
NULLB=/sys/kernel/config/nullb

# null_disk NAME ATTRIBUTE=VALUE...
null_disk()
{
	local dir=$NULLB/$1 setting
	shift

	mkdir "$dir"
	nproc >"$dir/submit_queues"
	for setting in queue_mode=2 "$@"; do
		echo "${setting#*=}" >"$dir/${setting%%=*}"
	done
	echo 1 >"$dir/power"
}

# disk_up DISK: sets LOWER.
disk_up()
{
	local common=(irqmode=2 completion_nsec=10000 memory_backed=1)
	local size=1024

	LOWER=/dev/lower
	case $1 in
	plp)	null_disk lower "${common[@]}" size=$size ;;
	fua)	null_disk lower "${common[@]}" size=$size cache_size=$size ;;
	slow)
		null_disk lower "${common[@]}" size=$size cache_size=$size fua=0
		# dm-delay counts in timer ticks, and 1 ms is less than one: it delays
		# nothing here, but hands flushes to a disk that takes so long for them.
		null_disk flusher irqmode=2 completion_nsec=1000000 memory_backed=1 \
			size=$size cache_size=1 fua=0
		dmsetup create slow --table "0 $(blockdev --getsz /dev/lower) delay \
			/dev/lower 0 0 /dev/lower 0 0 /dev/flusher 0 0"
		LOWER=/dev/mapper/slow
		;;
	esac
	udevadm settle
}

# no_disk DISK: succeeds, and says why, if this machine can't have it.
no_disk()
{
	[ "$1" = slow ] || return 1
	! grep -qw fua $NULLB/features || return 1
	echo "null_blk can't have a volatile cache without FUA"
}

disk_down()
{
	udevadm settle
	if [ "$LOWER" != /dev/lower ]; then
		dmsetup remove --retry "${LOWER##*/}"
		rmdir $NULLB/flusher
	fi
	# Only this gives the memory back, and with it what the disk was before.
	rmdir $NULLB/lower
}

# host_up DISK FS N: a new disk, a new file system, a file of N times SIZE, written in
# full, nothing cached. FS "blk" is none: then the file is the disk itself. Sets FILE.
host_up()
{
	local disk=$1 fs=$2 copies=$3 i

	disk_up "$disk"
	FILE=$LOWER
	if [ "$fs" != blk ]; then
		FILE=$HOST/file
		mkdir -p $HOST
		case $fs in
		ext4)	mkfs.ext4 -q -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$LOWER" ;;
		xfs)	mkfs.xfs -q -K "$LOWER" ;;
		esac
		mount -t "$fs" "$LOWER" $HOST
	fi
	for ((i = 0; i < copies; i++)); do
		dd if=/run/noise of="$FILE" bs=1M "seek=$((i * SIZE))" oflag=direct \
			conv=fsync,notrunc status=none
	done
	if [ "$fs" != blk ]; then
		umount $HOST
		mount -t "$fs" "$LOWER" $HOST
	fi
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# host_leave: the disk alone remains.
host_leave()
{
	! mountpoint -q $HOST || umount $HOST
}

host_down()
{
	host_leave
	disk_down
}

# disk_ops: reads, writes and flushes that the disk has seen so far. The kernel counts a
# flush as a write, too.
disk_ops()
{
	local flusher=/sys/block/flusher/stat

	if [ -e $flusher ]; then
		awk '{ r[NR] = $1; w[NR] = $5; f[NR] = $16 } END { print r[1], w[1], f[2] }' \
			/sys/block/lower/stat $flusher
	else
		awk '{ print $1, $5 - $16, $16 + 0 }' /sys/block/lower/stat
	fi
}
