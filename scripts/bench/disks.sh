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
# null_blk takes as long for a flush as for all else, and dm-delay counts in timer ticks, of
# which 1 ms is less than one. So dm-delay delays nothing, but hands flushes to a second disk,
# which takes so long for each of its requests. That alone would be a disk that knows FUA, and
# for 10 us: device mapper always says so, and passes FUA on to the first disk. Above it is a
# SCSI disk of the kernel's own target, as it is about volatile and ignorant of FUA as those
# that one can buy: there the block layer makes of FUA a write and a flush.
#
# The empty disk keeps nothing and answers at once: what it takes is the block layer's.

HOST=/run/host
NULLB=/sys/kernel/config/nullb
TARGET=/sys/kernel/config/target

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

# lun_up BACKEND CONTROL [ATTRIBUTE=VALUE]...: a SCSI disk of the kernel's target. Sets LUN
# to its name.
lun_up()
{
	local backend=$1 control=$2 core=$TARGET/core/$1_0/bench tpg setting disk tries=100
	shift 2

	modprobe "target_core_${backend/fileio/file}"
	modprobe tcm_loop
	tpg=$(lun_group "$backend")
	mkdir -p "$core"
	echo "$control" >"$core/control"
	echo 1 >"$core/enable"
	for setting in "$@"; do
		echo "${setting#*=}" >"$core/attrib/${setting%%=*}"
	done
	mkdir -p "$tpg/lun/lun_0"
	echo "naa.60014050000000ff" >"$tpg/nexus"
	ln -s "$core" "$tpg/lun/lun_0/bench"
	while [ $((tries--)) -gt 0 ]; do
		udevadm settle
		disk=$(grep -liw "$backend" /sys/block/sd*/device/model 2>/dev/null || true)
		LUN=$(cut -d / -f 4 <<<"$disk")
		if [ -n "$LUN" ] && [ "$(<"/sys/block/$LUN/size")" != 0 ]; then
			return 0
		fi
		sleep 0.1
	done
	echo "no disk of $backend appeared"
	return 1
}

lun_down()
{
	local core=$TARGET/core/$1_0/bench tpg

	tpg=$(lun_group "$1")
	rm "$tpg/lun/lun_0/bench"
	rmdir "$tpg/lun/lun_0" "$tpg" "${tpg%/*}" "$core"
}

lun_group()
{
	case $1 in
	fileio)	echo $TARGET/loopback/naa.6001405000000001/tpgt_1 ;;
	iblock)	echo $TARGET/loopback/naa.6001405000000002/tpgt_1 ;;
	esac
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
		null_disk lower "${common[@]}" size=$size cache_size=$size
		null_disk flusher irqmode=2 completion_nsec=1000000 memory_backed=1 \
			size=$size cache_size=1
		dmsetup create slow --table "0 $(blockdev --getsz /dev/lower) delay \
			/dev/lower 0 0 /dev/lower 0 0 /dev/flusher 0 0"
		udevadm settle
		lun_up iblock udev_path=/dev/mapper/slow emulate_fua_write=0
		LOWER=/dev/$LUN
		;;
	esac
	udevadm settle
}

disk_down()
{
	udevadm settle
	if [ "$LOWER" != /dev/lower ]; then
		lun_down iblock
		dmsetup remove --retry slow
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
# flush as a write, too, and once for each that waited for it: on the disk fua, writes are
# too many by those that shared a flush.
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
