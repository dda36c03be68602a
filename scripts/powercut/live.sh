#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# live.sh [--check]: cuts the power of disks while they are written to through vinteg,
# and judges what is found on them. CUTS=number, KERNELS="uml 6.1 6.12 7.3" (uml is
# User-Mode Linux 7.3), SEED=number of the first cut, SRC=checkout with another driver.
# CUTS are those of durable policies; "unsafe" and broken disks come on top.
# PLAN=file has cuts of its own, as live-guest.sh reads them. With --check it prints KTAP.
#
# Fails if anything was lost that had to be kept, but also if nothing was lost where
# that had to be seen: under "unsafe", and on disks that are broken.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/machines.sh"
. "$(dirname "$0")/report.sh"
. "$(dirname "$0")/results.sh"
. "$(dirname "$0")/rigs.sh"
. "$(dirname "$0")/../vm/accident.sh"

CUTS=${CUTS:-300}
KERNELS=${KERNELS:-uml}
SEED=${SEED:-1}
# Twice as many as processors: a rig often waits.
RIGS=${RIGS:-4}
ROW=40

take_options "$@"
here=$TOP/scripts/powercut
logs_in "${LOGS:-$CACHE/powercut}"

gather()
{
	cp "$logs/programs/"* "$here/rig.sh" "$here/live-guest.sh" "$1/"
}

# Each line of these stands for as many cuts as there are policies, all with the same
# seed: HOST FILE DISK LOAD.
PLACES="
	ext4 written volatile blocks
	xfs written fua blocks
	ext4 sparse fua blocks
	xfs unwritten volatile blocks
	raw - volatile blocks
	btrfs written volatile blocks
	ext4 written fua switching
	xfs reflinked volatile blocks
	btrfs-nocow written fua blocks
	ext4 unwritten volatile ext4
	raw - fua blocks
	xfs sparse fua xfs
	btrfs reflinked fua blocks
	xfs written volatile switching
	ext4 sparse volatile btrfs
	raw - volatile switching
	ext4 unwritten fua override
	btrfs sparse volatile ext4
	xfs sparse volatile ext4
	btrfs-nocow unwritten volatile switching
	ext4 written volatile errors
	xfs written fua errors
	btrfs written volatile errors
	raw - volatile errors
	ext4 unwritten fua errors
	btrfs reflinked fua errors
	raw - volatile flush-errors
	xfs unwritten volatile flush-errors
"
# The short form has to do with these.
SHORT_PLACES="
	ext4 written volatile blocks
	xfs written fua blocks
	ext4 sparse fua blocks
	xfs unwritten volatile blocks
	ext4 written fua switching
	raw - volatile errors
"
POLICIES="none directsync writethrough writeback guest unsafe"
# Broken disks, for policies that depend on what is broken: one for each place.
CONTROLS="
	none ext4 written no-flush blocks
	writeback xfs written no-flush blocks
	directsync ext4 written no-fua overwrite
	directsync xfs written no-fua overwrite
"

# lines TEXT: those that have something.
lines()
{
	sed 's/^[[:space:]]*//; /^$/d' <<<"$1"
}

# plan: CUTS of durable policies, and the controls, each three times at least.
plan()
{
	local seed=$SEED places controls place policy n=0 durable=0

	places=$PLACES
	[ -z "$check" ] || places=$SHORT_PLACES
	mapfile -t places < <(lines "$places")
	mapfile -t controls < <(lines "$CONTROLS")
	while [ $durable -lt "$CUTS" ]; do
		place=${places[n % ${#places[@]}]}
		for policy in $POLICIES; do
			# A switch away from "unsafe" saves what it had promised.
			case "$policy $place" in
			unsafe*switching | unsafe*override | unsafe*errors)
				continue ;;
			esac
			echo "$seed $policy $place"
			[ "$policy" = unsafe ] || durable=$((durable + 1))
		done
		echo "$seed ${controls[n % ${#controls[@]}]}"
		n=$((n + 1)) seed=$((seed + 1))
	done
	# So many at least that one which had nothing to lose doesn't count for too much.
	while [ $n -lt $((3 * ${#controls[@]})) ]; do
		echo "$seed ${controls[n % ${#controls[@]}]}"
		n=$((n + 1)) seed=$((seed + 1))
	done
}

# as_expected SEED POLICY HOST FILE DISK LOAD VERDICT ...
as_expected()
{
	case $2-$5-$7 in
	unsafe-* | *-no-* | *-kept)	;;
	*)				return 1 ;;
	esac
}

compile "$logs/programs"
cut_all live-guest.sh
remember "$logs/cuts"
report "$logs/cuts" "$logs/notes"
