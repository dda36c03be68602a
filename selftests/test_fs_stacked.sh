#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A filesystem on vinteg on the same kind of filesystem, with next to no free memory:
# reclaim of the upper one's pages needs the lower one.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"

LEFT=160	# MiB that are left for everybody, the disk in memory included

# squeeze: the writers' pages are reclaimed in their own context all the time, and the
# kernel as a whole has little: a file in memory takes the rest.
squeeze()
{
	local available

	available=$(($(meminfo MemAvailable) / 1024))
	[ "$available" -gt $((LEFT * 2)) ] || ktap_exit_fail_msg "too little memory"
	fallocate -l $((available - LEFT))M "$SCRATCH/balloon/taken" ||
		ktap_exit_fail_msg "can't take memory"
}

release()
{
	rm "$SCRATCH/balloon/taken"
}

squeezed()
{
	(
		# shellcheck disable=SC2094 # not a file: joins the group
		echo "$BASHPID" >"$GROUP/cgroup.procs"
		"$@"
	)
}

# catches: a worker that waits for memory which only its own I/O can free (deadlock).
writes_under_pressure()
{
	local scanned

	set_attr cache_policy "$2"
	bind "$LOWER/upper.img"
	make_fs "$1" $DEV
	mount $DEV "$UPPER"
	scanned=$(pages_scanned)
	squeezed fio_verify "$UPPER" 24 --bs=64k
	squeezed churn "$UPPER"
	[ "$(pages_scanned)" -gt "$scanned" ]
	umount "$UPPER"
	no_errors
}

pages_scanned()
{
	awk '/^pgscan / { print $2 }' "$GROUP/memory.stat"
}

# catches: pages dropped by reclaim before they were written.
clean_afterwards()
{
	check_fs "$1" $DEV
	reset
}

# on_itself TYPE POLICY...
on_itself()
{
	local policy

	lower_start "$1" 500
	truncate -s 320M "$LOWER/upper.img"
	squeeze
	for policy in "${@:2}"; do
		check "$1 on vinteg on $1 writes with memory short ($policy)" \
			writes_under_pressure "$1" "$policy"
		check "$1 on vinteg on $1 is clean afterwards ($policy)" clean_afterwards "$1"
	done
	release
}

start fio stress-ng mkfs.xfs
modprobe -q -a loop xfs || true
make_cgroup memory || ktap_exit_fail_msg "no control group for memory"
mkdir "$SCRATCH/balloon"
echo 32M >"$GROUP/memory.max"
mount -t tmpfs -o size=100% balloon "$SCRATCH/balloon" || ktap_exit_fail_msg "no tmpfs"
load
on_itself ext4 none writeback
on_itself xfs none
finish
