#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# crashstates-guest.sh: the part of crashstates.sh inside the test machine. For each
# line "NAME HOST POLICY DISK CLAIM OPS SEED" of the file "runs": a disk that records
# all that it is asked to do, a filesystem on it (or none), a fully written file, a
# vinteg device, a workload. All that was recorded goes to the drive "records".
#
# POLICY may be "switching": then it changes all the time. CLAIM is the policy whose
# promise is written down: another one than the real one for a control.

set -euo pipefail

NBD=/dev/nbd0
VINTEG=/sys/block/vinteg0
SWITCHED=none,directsync,writethrough,writeback,guest,unsafe
MIB=8

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
	nbdkit -f -U /run/disk.sock ./recorder.so size=512M log="$1/log" clock="$1/clock" \
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

# make_backing HOST: leaves its path in $backing. No discards: they would all be logged.
make_backing()
{
	backing=/host/file
	mkdir -p /host
	case $1 in
	raw)	backing=$NBD; return ;;
	ext4)	mkfs.ext4 -q -E nodiscard $NBD ;;
	xfs)	mkfs.xfs -q -K $NBD ;;
	esac
	mount $NBD /host
	dd if=/dev/zero of=$backing bs=1M count=$MIB conv=fsync status=none
}

# one NAME HOST POLICY DISK CLAIM OPS SEED
one()
{
	local dir=/dev/shm/records/$1 host=$2 policy=$3 args=()

	mkdir -p "$dir"
	start_disk "$dir" "$4"
	make_backing "$host"
	./extents $backing >"$dir/extents"
	# They would move the file's data about on the disk.
	[ "$host" = raw ] || args=(--no-discard)
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
	./extents $backing | cmp - "$dir/extents"
	[ "$host" = raw ] || umount /host
	stop_disk
	rm "$dir/clock"
}

modprobe nbd
modprobe vinteg
while read -r name rest; do
	echo "$name"
	# shellcheck disable=SC2086 # the words of the line
	one "$name" $rest </dev/null
done <runs
tar -C /dev/shm/records -cf /dev/disk/by-id/virtio-records .
