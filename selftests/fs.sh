# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For the tests with filesystems on a vinteg device, and below one. To be sourced
# after lib.sh.

LOWER=			# the host's filesystem, set by lower_start
UPPER=			# where the one on the device is mounted

# lower_start TYPE MIB: a filesystem in memory for the backing files, at $LOWER, and a
# folder $UPPER. Gone at the end. Not for functions of check: it bails out.
lower_start()
{
	local disk=vt$1

	LOWER=$SCRATCH/lower-$1
	UPPER=$SCRATCH/upper
	mkdir -p "$LOWER" "$UPPER"
	if ! make_disk "$disk" "$2" || ! make_fs "$1" "/dev/$disk" ||
	   ! mount "/dev/$disk" "$LOWER"; then
		ktap_exit_fail_msg "can't make the lower filesystem ($1)"
	fi
	at_exit umount_lower "$LOWER"
}

# A device that is bound to a file there would keep it mounted.
umount_lower()
{
	! mountpoint -q "$UPPER" || umount "$UPPER"
	[ ! -e "$SYS" ] || [ -z "$(attr backing_file)" ] || reset
	umount "$1"
}

# make_fs TYPE DEVICE
make_fs()
{
	case $1 in
	ext4)	mkfs.ext4 -q -F "$2" ;;
	xfs)	mkfs.xfs -q -f "$2" ;;
	btrfs)	mkfs.btrfs -q -f "$2" >/dev/null ;;
	esac
}

# check_fs TYPE DEVICE-OR-FILE: only looks; fails if anything is wrong.
check_fs()
{
	case $1 in
	ext4)	e2fsck -fn "$2" ;;
	xfs)	xfs_repair -n -f "$2" ;;
	btrfs)	btrfs check --readonly "$2" ;;
	esac
}

# fio_verify FOLDER MIB [OPTION...]: writes in random order, through the cache and past
# it, then reads all back.
fio_verify()
{
	fio "--directory=$1" "--size=$2M" --bs=4k --rw=randwrite --ioengine=libaio \
		--iodepth=8 --fsync=64 --verify=crc32c --verify_fatal=1 --randseed=1 \
		"${@:3}" --name=cached --direct=0 --name=direct --direct=1
}

# churn FOLDER: files and folders made, renamed, truncated and removed, in parallel.
churn()
{
	stress-ng --temp-path "$1" --dir 1 --dir-ops 20 --rename 1 --rename-ops 100 \
		--hdd 1 --hdd-bytes 1M --hdd-ops 8 --fallocate 1 \
		--fallocate-bytes 2M --fallocate-ops 3 --timeout 30
}

# digest FOLDER: of all names, modes, sizes and contents.
digest()
{
	(
		cd "$1" || exit
		find . -mindepth 1 ! -name lost+found -printf '%p %y %m %l ' \
			\( -type d -printf '\n' -o -printf '%s\n' \) | sort
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum
	) | sha256sum
}

no_errors()
{
	[ "$(stat_of errors)" = 0 ]
	[ "$(attr writeback_error)" = 0 ]
}
