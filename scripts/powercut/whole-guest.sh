#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# whole-guest.sh: in a machine that is about to lose its power. "places" has a line for
# each of its disks: POLICY HOST FILE DISK. Judges what the last cut has left of each, if
# there was one, twice; then writes through vinteg until the next one comes. "next" has
# the places to write to, if they are others.
#
# Says "@cut SEED POLICY HOST FILE DISK whole VERDICT NUMBERS" for each disk that it
# has judged: one line, whatever is left of the disk. With "no" as its argument it doesn't
# write anything. "again" says how often the power went while the machine came up again.

set -uo pipefail
cd "$(dirname "$0")" || exit

seed=$(<seed)

judge()
{
	if host_mount; then
		judge_by "kept$RIG"
		host_umount
	else
		verdict=UNMOUNTABLE numbers="acknowledged 0 durable 0"
		dmesg | tail -n 5 >"$WORK/judged"
	fi
}

judge_twice()
{
	local verdict numbers first

	judge
	if [ "$verdict" = kept ]; then
		first=$numbers
		echo 3 >/proc/sys/vm/drop_caches
		judge
		[ "$verdict $numbers" = "kept $first" ] || verdict=UNSTEADY
	fi
	echo "@cut $((seed - 1)) $policy $host $kind $disk_kind whole $verdict" \
		"$numbers again $(<again) disk $RIG"
	[ "$verdict" = kept ] || sed 's/^/@note /' "$WORK/judged"
}

# prepare NEW: makes a disk ready to be written to.
prepare()
{
	local new=$1

	# What can't be mounted any more has been told of.
	if [ "$new" = no ] && ! host_mount; then
		new=yes
	fi
	if [ "$new" = yes ]; then
		make_fs "$host" "$disk"
		host_mount || complain "no $host" || return
	fi
	[ "$host" != raw ] || return 0
	rm -f "$HOST"/*.img
	if ! make_file "$kind" "$FILE_SIZE" || ! sync -f "$HOST"; then
		complain "no file"
	fi
}

# before: judges a disk, and makes it ready.
before()
{
	local new=no next_host next_kind

	mkdir -p "$WORK" "$HOST"
	if [ -e "kept$RIG" ]; then
		judge_twice
	else
		new=yes
	fi
	[ "$writes" = yes ] || return 0
	read -r _ next_host next_kind _ < <(sed -n "$((RIG + 1))p" next)
	[ "$next_host" = "$host" ] || new=yes
	host=$next_host kind=$next_kind
	prepare $new
}

# until_cut: writes.
until_cut()
{
	local claim=$policy options=()

	# The ledger is of a promise that "unsafe" has to be seen to break.
	[ "$policy" != unsafe ] || claim=writeback
	# Files are new, and blank.
	[ "$host" != raw ] || options=(--unknown)
	case $kind in
	sparse | unwritten | reflinked)	options+=(--no-fill) ;;
	esac
	bind "$policy" || complain "cannot bind" || return
	./workload --device "/dev/$VINTEG" --ledger "/dev/virtio-ports/cut$RIG" "${options[@]}" \
		--policy "$claim" --seed "$seed" --size "$FILE_SIZE" 2>&1
}

# with_all COMMAND <PLACES: for each disk, side by side.
with_all()
{
	local policy host kind disk_kind disk rig=0

	while read -r policy host kind disk_kind; do
		{
			RIG=$rig
			. ./rig.sh
			disk=/dev/disk/by-id/virtio-cut$rig
			"$1"
		} </dev/null &
		rig=$((rig + 1))
	done
	wait
}

writes=${1:-yes}
echo "@kernel $(uname -r)"
modprobe -a virtio_console ext4 xfs btrfs
modprobe vinteg num_devices="$(wc -l <places)" || exit
udevadm trigger --subsystem-match=virtio-ports --action=add
udevadm settle
with_all before <places
# All begin at the same time: none has more time than others to become durable by itself.
[ "$writes" = no ] || with_all until_cut <next
