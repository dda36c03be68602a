# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced, in a machine: disks that lose their power, and what is built on them:
# the host's file system, the file on it, the vinteg device. RIG is a number: several
# rigs work side by side, each with a disk and a device of its own. "host", the kind of
# the host's file system, and "kind", that of the file on it, are set by whoever sources
# it. With ",4k" at the end of the latter, the device has logical blocks of 4 KiB.

RIG=${RIG:-0}
WORK=/tmp/rig$RIG
HOST=/host$RIG
UPPER=/upper$RIG
VINTEG=vinteg$RIG
# So many nbd devices take turns.
NBDS=8
# Of the host's disk, and of the file on it, in MiB: what xfs and btrfs ask for.
DISK_SIZE=320
FILE_SIZE=4
# Where there is a file system on vinteg, too.
UPPER_SIZE=300
# What takes longer than so many seconds doesn't come to an end.
PATIENCE=120

nbd_turn=0
exec {nap_fd}<> <(:)

# nap SECONDS: without starting a process.
nap()
{
	local _

	read -r -t "$1" -u "$nap_fd" _ || true
}

complain()
{
	echo "@trouble $*"
	dmesg | tail -n 15
	return 1
}

# until_true COMMAND...: waits for it.
until_true()
{
	local end=$((SECONDS + PATIENCE))

	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		nap 0.02
	done
}

disk_is_up()
{
	[ -s "$WORK/pid" ] && [ "$(<"/sys/block/nbd$nbd/size")" != 0 ]
}

# power_on OPTION...: with the options of the program "disk". Another device each time:
# the last one may still be held by somebody.
# shellcheck disable=SC2120 # without options it is a disk like any other
power_on()
{
	nbd=$((RIG * NBDS + nbd_turn))
	nbd_turn=$(((nbd_turn + 1) % NBDS))
	disk=/dev/nbd$nbd
	rm -f "$WORK/pid"
	./disk "$disk" "$WORK/image" "$WORK/pid" "$@" &
	disk_parent=$!
	until_true disk_is_up || complain "the disk did not start" || return
	disk_pid=$(<"$WORK/pid")
}

# To be asked before it is cut: nothing is proved by a disk that has ended on its own.
disk_lives()
{
	kill -0 "$disk_pid" || complain "the disk has died by itself"
}

power_off()
{
	kill -KILL "$disk_pid"
	wait "$disk_parent"
}

# disk_options KIND SEED
disk_options()
{
	local evict=()

	# Some disks write by themselves now and then, others only when told to.
	[ $(($2 % 2)) = 0 ] || evict=("evict=$2")
	case $1 in
	volatile)	echo "delay=$2 ${evict[*]}" ;;
	fua)		echo "delay=$2 fua ${evict[*]}" ;;
	no-flush)	echo "delay=$2 flush=ignored" ;;
	no-fua)		echo "delay=$2 fua=ignored" ;;
	esac
}

# recovery_options SEED FS...: while the file systems FS recover, a disk writes by itself.
#
# What xfs writes then is metadata, in place, and it relies on each block's being written as a
# whole: one whose first sector alone is new looks as if it needed no replay, and its checksum
# is wrong (xlog_recover_buf_commit_pass2() of fs/xfs/xfs_buf_item_recover.c).
recovery_options()
{
	case $* in
	*xfs*)	echo "evict=$1 evict=pages" ;;
	*)	echo "evict=$1" ;;
	esac
}

# make_fs KIND DEVICE
make_fs()
{
	case $1 in
	raw)	;;
	ext4)	mkfs.ext4 -q -F -E nodiscard "$2" ;;
	xfs)	mkfs.xfs -q -f -K "$2" ;;
	btrfs*)	mkfs.btrfs -q -f -K "$2" ;;
	esac
}

# shellcheck disable=SC2154 # host: see the top
host_mount()
{
	[ "$host" = raw ] || mount -t "${host%-nocow}" "$disk" "$HOST"
}

host_umount()
{
	[ "$host" = raw ] || umount "$HOST"
}

# make_file KIND SIZE
make_file()
{
	local file=$HOST/a.img

	[ "$host" != btrfs-nocow ] || chattr +C "$HOST"
	case ${1%,4k} in
	sparse)		truncate -s "$2M" "$file" ;;
	unwritten)	fallocate -l "$2M" "$file" ;;
	written)	dd if=/dev/zero of="$file" bs=1M count="$2" status=none ;;
	reflinked)	dd if=/dev/zero of="$HOST/b.img" bs=1M count="$2" status=none &&
			cp --reflink=always "$HOST/b.img" "$file" ;;
	esac
}

# What vinteg is bound to.
target()
{
	if [ "$host" = raw ]; then
		echo "$disk"
	else
		echo "$HOST/a.img"
	fi
}

# bind POLICY
# shellcheck disable=SC2154 # kind: see the top
bind()
{
	case $kind in
	*,4k)	echo 4096 >"/sys/block/$VINTEG/logical_block_size" || return ;;
	esac
	# As it is by itself: a load that was cut may have left it otherwise, and then the
	# block layer would answer flushes for all that come after.
	echo "write back" >"/sys/block/$VINTEG/queue/write_cache" || return
	echo "$1" >"/sys/block/$VINTEG/cache_policy" &&
		target >"/sys/block/$VINTEG/backing_file" || return
	# The last load may have left an error that nobody has asked for yet.
	sync "/dev/$VINTEG" 2>/dev/null || true
}

is_unbound()
{
	echo 1 >"/sys/block/$VINTEG/reset"
	[ "$(<"/sys/block/$VINTEG/size")" = 0 ]
}

is_files()
{
	case $1 in
	ext4 | xfs | btrfs)	;;
	*)			return 1 ;;
	esac
}

# make_content KIND LOAD SIZE: of a new disk.
make_content()
{
	make_fs "$host" "$disk" || return
	host_mount || [ "$host" = raw ] || return
	[ "$host" = raw ] || make_file "$1" "$3" || return
	if is_files "$2"; then
		bind writeback && make_fs "$2" "/dev/$VINTEG" && is_unbound || return
	fi
	host_umount || [ "$host" = raw ]
	blockdev --flushbufs "$disk"
}

# new_disk KIND LOAD: a disk as it is before a cut: made once, then copied.
new_disk()
{
	local file_size=$FILE_SIZE size=$DISK_SIZE path=$WORK/$host-$1-$2

	is_files "$2" || path=$WORK/$host-$1
	if [ ! -e "$path" ]; then
		! is_files "$2" || file_size=$UPPER_SIZE size=$((DISK_SIZE + UPPER_SIZE))
		[ "$host" != raw ] || size=$file_size
		rm -f "$WORK/image"
		truncate -s "${size}M" "$WORK/image"
		# shellcheck disable=SC2119
		power_on || return
		make_content "$1" "$2" "$file_size" >"$WORK/made" 2>&1 ||
			{ cat "$WORK/made"; complain "no $1 file on $host for $2"; } || return
		power_off
		# Zeros need not be copied each time.
		fallocate -d "$WORK/image"
		mv "$WORK/image" "$path"
	fi
	cp --sparse=always "$path" "$WORK/image"
}

# judge_by LEDGER: what does it say of the file? Sets verdict and numbers.
# shellcheck disable=SC2034 # for whoever sources this
judge_by()
{
	local status=0

	./judge "$1" "$(target)" >"$WORK/judged" 2>&1 || status=$?
	case $status in
	0)	verdict=kept ;;
	1)	verdict=LOST ;;
	*)	verdict=UNKNOWN ;;
	esac
	numbers=$(tail -n 1 "$WORK/judged")
}

# unmount FOLDER: whatever is there, if anything. A dead file system can't be asked.
unmount()
{
	while grep -q " $1 " /proc/self/mounts; do
		umount "$1" && return
		nap 0.05
	done
}

# Until nobody holds the dead disk.
throw_away()
{
	unmount "$UPPER" 2>/dev/null
	until_true is_unbound 2>/dev/null || complain "$VINTEG stays bound" || return
	unmount "$HOST" 2>/dev/null
	echo 3 >/proc/sys/vm/drop_caches
}
