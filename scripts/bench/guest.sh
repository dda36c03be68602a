#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2153 # what job.conf sets
#
# The guest's part of a benchmark: takes job.conf and cells, prints one line for each
# measurement. Its columns, separated by tabs: "result", lower disk, host file system,
# cell, kind, target, repetition, and what measure.sh says. First of all it prints what it
# is going to measure: the same columns after "plan", as far as the repetition. What was
# planned and has no result is missing.

set -euo pipefail
# A figure whose making failed is none.
shopt -s inherit_errexit
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./job.conf
. ./disks.sh
. ./targets.sh
. ./measure.sh
. ./devices.sh

# rotate N WORD...: the words, beginning with another one each time.
rotate()
{
	local n=$(($1 % ($# - 1)))
	shift

	echo "${@:n + 1}" "${@:1:n}"
}

# cell DISK FS NAME KIND SETS REPETITION NTH HOW: all its targets, each on a disk of its own.
# The NTH cell, counted anew in each repetition.
cell()
{
	local disk=$1 fs=$2 name=$3 kind=$4 sets=$5 repetition=$6 nth=$7 how=$8 all target result
	local copies=1

	# xfs wants 300 MB at least.
	case $how in
	"mounted xfs"*)	copies=3 ;;
	esac
	all=$(targets "$disk" "$kind" "$sets")
	[ -n "$all" ] || return 0
	# shellcheck disable=SC2086 # lists
	for target in $(rotate $((nth + repetition - 1)) $all); do
		# What keeps nothing can't be mounted.
		case $target-$how in
		empty-mounted* | disk-mounted*) continue ;;
		esac
		if [ -n "$planning" ]; then
			printf 'plan\t%s\t%s\t%s\t%s\t%s\t%s\n' \
				"$disk" "$fs" "$name" "$kind" "$target" "$repetition"
			continue
		fi
		host_up "$disk" "$fs" $copies
		[ "$target" != disk ] || host_leave
		target_up "$target"
		# shellcheck disable=SC2086 # options
		result=$(measure $how)
		target_down "$target"
		host_down
		printf 'result\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' \
			"$disk" "$fs" "$name" "$kind" "$target" "$repetition" "$result"
	done
}

# everything [PLANNING]: the outermost loop is over repetitions, so that whatever drifts
# shows.
everything()
{
	local planning=${1:-} repetition place name kind sets how nth

	for repetition in $(seq "$REPEAT"); do
		nth=0
		for place in $PLACES; do
			while IFS=$'\t' read -r name kind sets how; do
				# Nothing to compare: there is no file system.
				[ "${place#*:}-${how%% *}" != blk-mounted ] || continue
				# No way to have several of them at a time.
				[ "$JOBS" = 1 ] || [ "${how%% *}" != mounted ] || continue
				cell "${place%:*}" "${place#*:}" "$name" "$kind" "$sets" \
					"$repetition" "$((nth++))" "$how"
			done <cells
		done
	done
}

# What waits for the disks of this machine sees a virtual clock run away.
echo 0 >/proc/sys/kernel/hung_task_timeout_secs
modprobe -q configfs || true
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
modprobe null_blk nr_devices=0
modprobe loop max_loop=0
modprobe vinteg num_devices=1
null_disk empty irqmode=0 "size=$SIZE"
head -c "${SIZE}M" /dev/urandom >/run/noise
if [ -n "$PEERS" ]; then
	for target in qemu-nbd ublk-direct lio-buffered; do
		! why=$(missing $target) || echo "left out: ${target%-*}: $why"
	done
fi
learn_looking
everything planning
echo planned
everything
all_devices
