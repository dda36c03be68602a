#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# whole-guest.sh: in a machine that is about to lose its power. "places" has a line for
# each of its disks: POLICY HOST FILE DISK. Judges what the last cut has left of each, if
# there was one, twice; then writes through vinteg until the next one comes.
#
# Says "@cut SEED POLICY HOST FILE DISK whole VERDICT NUMBERS" for each disk that it
# has judged. With "no" as its argument it doesn't write anything.

set -uo pipefail
cd "$(dirname "$0")" || exit

seed=$(<seed)

judge_twice()
{
	local verdict numbers first

	judge_by "kept$RIG"
	first="$verdict $numbers"
	host_umount
	host_mount || complain "$host is damaged after it was mounted once"
	judge_by "kept$RIG"
	[ "$first" = "$verdict $numbers" ] || verdict=UNSTEADY
	echo "@cut $((seed - 1)) $policy $host $kind $disk_kind whole $verdict $numbers"
	[ "$verdict" = kept ] || sed 's/^/@note /' "$WORK/judged"
}

# before: judges a disk, and makes it ready to be written to.
before()
{
	mkdir -p "$WORK" "$HOST"
	if [ -e "kept$RIG" ]; then
		host_mount || complain "$host is damaged" || return
		judge_twice
	else
		make_fs "$host" "$disk"
		host_mount || [ "$host" = raw ] || complain "no $host" || return
	fi
	if [ "$host" = raw ] || [ "$writes" = no ]; then
		return 0
	fi
	rm -f "$HOST"/*.img
	if ! make_file "$kind" "$FILE_SIZE" || ! sync -f "$HOST"; then
		complain "no file"
	fi
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

# with_all COMMAND: for each disk, side by side.
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
	done <places
	wait
}

writes=${1:-yes}
modprobe -a virtio_console ext4 xfs btrfs
modprobe vinteg num_devices="$(wc -l <places)" || exit
udevadm trigger --subsystem-match=virtio-ports --action=add
udevadm settle
with_all before
# All begin at the same time: none has more time than others to become durable by itself.
[ "$writes" = no ] || with_all until_cut
