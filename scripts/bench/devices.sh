# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2153 # what job.conf sets
#
# To be sourced in the guest: how long it takes from loading the module until so many
# devices are there, bound, and known to udev, and how much memory that takes. Prints for
# each: "devices", target, number, repetition, milliseconds, KiB, separated by tabs. None at
# all is what the module itself takes, and how well that can be told.

# Loop's devices are made by a process each, as there is no other way in a shell.
devices_up()
{
	local target=$1 n=$2 files i

	case $target in
	vinteg-*)
		files=$(seq -s , -f "$HOST/%g" "$n")
		modprobe vinteg num_devices="$n" ${files:+backing_file=$files}
		;;
	loop-*)
		modprobe loop max_loop=0
		for ((i = 1; i <= n; i++)); do
			losetup --direct-io=on -f "$HOST/$i"
		done
		;;
	esac
	udevadm settle
}

devices_down()
{
	case $1 in
	loop-*)	[ "$2" = 0 ] || losetup -D ;;
	esac
	udevadm settle
	rmmod "${1%-*}"
}

# free_kb: after what the caches hold has gone.
free_kb()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	awk '$1 == "MemFree:" { print $2 }' /proc/meminfo
}

# ready NUMBER: whether all of them have their size.
ready()
{
	[ "$(cat /sys/block/{vinteg,loop}[0-9]*/size 2>/dev/null | grep -c '^2048$')" = "$1" ]
}

all_devices()
{
	local repetition target n i before start ms

	[ -n "$DEVICES" ] || return 0
	rmmod vinteg
	rmmod loop
	host_up plp ext4 0
	for ((i = 1; i <= 256; i++)); do
		truncate -s 1M "$HOST/$i"
	done
	for repetition in $(seq "$REPEAT"); do
		for target in vinteg-none loop-direct; do
			[[ $target =~ $TARGETS ]] || continue
			for n in 0 $DEVICES; do
				before=$(free_kb)
				start=${EPOCHREALTIME/./}
				devices_up $target "$n"
				ms=$(((${EPOCHREALTIME/./} - start) / 1000))
				ready "$n" || { echo "not $n devices of $target"; return 1; }
				printf 'devices\t%s\t%d\t%d\t%d\t%d\n' $target "$n" \
					"$repetition" $ms $((before - $(free_kb)))
				devices_down $target "$n"
			done
		done
	done
	host_down
	# As it was, for whoever unloads it.
	modprobe vinteg num_devices=1
}
