# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # variables for measure.sh
#
# To be sourced in the guest: what is compared. target_up makes a device of FILE, sets
# DEVICE to it, and DIRECT to how fio has to open it.

# targets DISK KIND SETS: those that this kernel has. Peers join in for the core cells. Which
# of them are missing is said once, by guest.sh.
targets()
{
	local all target

	case $2 in
	direct)		all="vinteg-none loop-direct raw-direct empty" ;;
	buffered)	all="vinteg-writeback loop-buffered raw-buffered" ;;
	esac
	# What the disk itself does, where that isn't told in its name.
	[ "$1-$2" != slow-direct ] || all="$all disk"
	if [ -n "$PEERS" ] && [[ $3 =~ core ]]; then
		case $2 in
		direct)		all="$all qemu-direct ublk-direct" ;;
		buffered)	all="$all lio-buffered nbdkit-buffered qemu-buffered" ;;
		esac
	fi
	for target in $all; do
		if [[ $target =~ $TARGETS ]] && ! missing "$target" >/dev/null; then
			echo "$target"
		fi
	done
}

# missing TARGET: succeeds, and says why, if this machine can't have that target.
missing()
{
	case $1 in
	ublk-*)
		modprobe -q ublk_drv || { echo "the kernel has no ublk"; return 0; }
		[ -x ./kublk ] || { echo "kublk was not built"; return 0; }
		;;
	lio-*)
		modprobe -q tcm_loop || { echo "the kernel has no tcm_loop"; return 0; }
		;;
	qemu-*)
		[ -x ./qemu/qemu-nbd ] || { echo "qemu-nbd is not there"; return 0; }
		;;
	esac
	return 1
}

# wait_for_disk NAME: until a disk that is served by a process has its size.
wait_for_disk()
{
	local tries=100

	while [ $((tries--)) -gt 0 ]; do
		[ "$(cat "/sys/block/$1/size" 2>/dev/null || echo 0)" = 0 ] || return 0
		sleep 0.1
	done
	echo "$1 did not appear"
	return 1
}

# nbd_up COMMAND...: a server of FILE on the socket /run/nbd, and its disk.
nbd_up()
{
	rm -f /run/nbd
	"$@" >/run/server.log 2>&1 &
	SERVER=$!
	while [ ! -S /run/nbd ]; do
		sleep 0.1
	done
	modprobe nbd
	nbd-client -unix /run/nbd /dev/nbd0 -C "$(nproc)" >/run/nbd.log 2>&1 ||
		{ cat /run/nbd.log; return 1; }
	DEVICE=/dev/nbd0
	wait_for_disk nbd0
}

nbd_down()
{
	nbd-client -d /dev/nbd0 >/dev/null
	kill "$SERVER" 2>/dev/null || true
	wait "$SERVER" || true
}

target_up()
{
	DIRECT=1
	case $1 in
	vinteg-*)
		echo "${1#vinteg-}" >/sys/block/vinteg0/cache_policy
		echo "$FILE" >/sys/block/vinteg0/backing_file
		DEVICE=/dev/vinteg0
		;;
	loop-direct)	DEVICE=$(losetup -f --show --direct-io=on "$FILE") ;;
	loop-buffered)	DEVICE=$(losetup -f --show --direct-io=off "$FILE") ;;
	raw-direct)	DEVICE=$FILE ;;
	raw-buffered)	DEVICE=$FILE DIRECT=0 ;;
	empty)		DEVICE=/dev/empty ;;
	disk)		DEVICE=$LOWER ;;
	lio-*)
		lun_up fileio "fd_dev_name=$FILE,fd_dev_size=$((SIZE << 20)),fd_buffered_io=1"
		DEVICE=/dev/$LUN
		;;
	nbdkit-*)	nbd_up nbdkit -f -U /run/nbd file "$FILE" ;;
	qemu-direct)	nbd_up ./qemu/qemu-nbd -k /run/nbd -t -f raw -e 8 --aio=io_uring \
				--cache=none "$FILE" ;;
	qemu-buffered)	nbd_up ./qemu/qemu-nbd -k /run/nbd -t -f raw -e 8 \
				--cache=writeback "$FILE" ;;
	ublk-*)
		./kublk add -t loop -n 0 -q "$(nproc)" -d 128 "$FILE" >/run/ublk.log 2>&1 ||
			{ cat /run/ublk.log; return 1; }
		DEVICE=/dev/ublkb0
		wait_for_disk ublkb0
		;;
	esac
	udevadm settle
}

target_down()
{
	udevadm settle
	case $1 in
	vinteg-*)		echo 1 >/sys/block/vinteg0/reset ;;
	loop-*)			losetup -d "$DEVICE" ;;
	lio-*)			lun_down fileio ;;
	nbdkit-* | qemu-*)	nbd_down ;;
	ublk-*)			./kublk del -n 0 >/dev/null ;;
	esac
}
