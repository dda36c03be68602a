#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# crashstates-guest.sh: the part of crashstates.sh inside the test machine. For each
# line "NAME HOST POLICY DISK CLAIM OPS SEED FILE MOUNTED" of the file "runs": a disk that
# records all that it is asked to do, a filesystem on it (or none), a file, a vinteg
# device, a workload. All that was recorded goes to the drive "records".
#
# POLICY may be "switching": then it changes all the time. CLAIM is the policy whose
# promise is written down: another one than the real one for a control. FILE is "written",
# "unwritten" or "sparse". If MOUNTED is not 0, so many states are made into images of the
# whole disk, mounted and judged here; then what was recorded is thrown away.

set -euo pipefail

NBD=/dev/nbd0
VINTEG=/sys/block/vinteg0
SWITCHED=none,directsync,writethrough,writeback,guest,unsafe
MIB=8
DISK_SIZE=512M

cd "$(dirname "$0")"

# start_disk DIR fua|nofua|ignore=flush|ignore=fua
start_disk()
{
	local args=()

	case $2 in
	nofua)		args=(fua=no) ;;
	ignore=*)	args=("$2") ;;
	esac
	rm -f /run/disk.sock
	nbdkit -f -U /run/disk.sock ./recorder.so size=$DISK_SIZE log="$1/log" clock="$1/clock" \
		"${args[@]}" >"$1/disk" 2>&1 &
	disk=$!
	until [ -S /run/disk.sock ]; do
		kill -0 $disk
		sleep 0.1
	done
	nbd-client -b 512 -unix /run/disk.sock $NBD >/dev/null
	udevadm settle
}

stop_disk()
{
	udevadm settle
	nbd-client -d $NBD >/dev/null
	kill $disk
	wait $disk || true
}

# make_backing HOST FILE: leaves its path in $backing. No discards: they would all be
# logged.
make_backing()
{
	backing=/host/file
	mkdir -p /host
	case $1 in
	raw)	backing=$NBD; return ;;
	ext4)	mkfs.ext4 -q -E nodiscard $NBD ;;
	xfs)	mkfs.xfs -q -K $NBD ;;
	btrfs)	mkfs.btrfs -q -K $NBD ;;
	esac
	mount $NBD /host
	case $2 in
	written)	dd if=/dev/zero of=$backing bs=1M count=$MIB status=none ;;
	unwritten)	fallocate -l ${MIB}M $backing ;;
	sparse)		truncate -s ${MIB}M $backing ;;
	esac
	sync -f $backing
}

# mounted DIR HOST COUNT SEED: "states N risky N bad N" to DIR/mounted, after a line for
# each bad one.
mounted()
{
	local dir=$1 host=$2 count=$3 seed=$4 image=/dev/shm/image n said at
	local risky=0 bad=0 verdict

	for ((n = 1; n <= count; n++)); do
		rm -f $image
		truncate -s $DISK_SIZE $image
		at=$(./crashimage "$dir/ledger" "$dir/log" $((seed * 1000 + n)) $image "$dir/kept")
		case $at in
		*"volatile 0,"*)	;;
		*)			risky=$((risky + 1)) ;;
		esac
		verdict=0 said='cannot be mounted'
		if mount -t "$host" -o loop $image /host; then
			said=$(./judge "$dir/kept" $backing) || verdict=$?
			umount /host
		else
			verdict=3
		fi
		[ $verdict = 0 ] && continue
		bad=$((bad + 1))
		echo "$at: $(head -n 1 <<<"$said")"
	done >"$dir/mounted"
	rm -f $image
	echo "states $count risky $risky bad $bad" >>"$dir/mounted"
}

# one NAME HOST POLICY DISK CLAIM OPS SEED FILE MOUNTED
one()
{
	local dir=/dev/shm/records/$1 host=$2 policy=$3 args=()

	mkdir -p "$dir"
	start_disk "$dir" "$4"
	make_backing "$host" "$8"
	# All that moves the file's data about on the disk.
	if [ "$9" != 0 ]; then
		[ "$8" = written ] || args=(--no-fill)
	else
		./extents $backing >"$dir/extents"
		[ "$host" = raw ] || args=(--no-discard)
	fi
	if [ "$policy" = switching ]; then
		policy=none
		args+=(--sysfs "$VINTEG" --switch "$SWITCHED" --every 50)
	fi
	echo "$policy" >$VINTEG/cache_policy
	echo $backing >$VINTEG/backing_file
	udevadm settle
	./workload --device /dev/vinteg0 --ledger "$dir/ledger" --clock "$dir/clock" \
		--policy "$5" --size $MIB --ops "$6" --seed "$7" "${args[@]}"
	udevadm settle
	echo 1 >$VINTEG/reset
	# Data that has moved can't be judged.
	[ "$9" != 0 ] || ./extents $backing | cmp - "$dir/extents"
	[ "$host" = raw ] || umount /host
	stop_disk
	rm "$dir/clock"
	[ "$9" != 0 ] || return 0
	mounted "$dir" "$host" "$9" "$7"
	# Of a bad one, all is wanted.
	! grep -q ' bad 0$' "$dir/mounted" || rm "$dir/log" "$dir/ledger"
}

# For the states that are mounted; built into some kernels.
modprobe -q loop || true
modprobe nbd
modprobe vinteg
while read -r name rest; do
	echo "$name"
	# shellcheck disable=SC2086 # the words of the line
	one "$name" $rest </dev/null
done <runs
tar -C /dev/shm/records -cf /dev/disk/by-id/virtio-records .
