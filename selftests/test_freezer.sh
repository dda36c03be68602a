#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tasks that are frozen in the middle of I/O: all of them, as on the way to suspend, or those
# of a control group.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"

PM=/sys/power

# writer NAME OPTION...: the same data again and again, until there is a file "stop".
writer()
{
	local name=$1

	echo "$BASHPID" >"$GROUP/cgroup.procs"
	while [ ! -e "$SCRATCH/stop" ]; do
		dd if="$SCRATCH/data" of="$UPPER/$name" bs=64k "${@:2}" || exit
		cmp "$SCRATCH/data" "$UPPER/$name" || exit
	done
}

# write_on POLICY: a file system on the device that is written to, in the background.
write_on()
{
	set_attr cache_policy "$1"
	bind "$LOWER/img"
	make_fs ext4 $DEV
	mount $DEV "$UPPER"
	rm -f "$SCRATCH/stop"
	writer cached conv=fsync >"$SCRATCH/cached" 2>&1 &
	pids=($!)
	writer direct oflag=direct >"$SCRATCH/direct" 2>&1 &
	pids+=($!)
	progress
}

# write_no_more: nothing has failed, and all is there.
write_no_more()
{
	local pid

	touch "$SCRATCH/stop"
	for pid in "${pids[@]}"; do
		wait "$pid" || { cat "$SCRATCH/cached" "$SCRATCH/direct"; return 1; }
	done
	umount "$UPPER"
	drop_caches
	check_fs ext4 $DEV
	mount $DEV "$UPPER"
	cmp "$SCRATCH/data" "$UPPER/cached"
	cmp "$SCRATCH/data" "$UPPER/direct"
	umount "$UPPER"
	no_errors
	reset
}

has_written()
{
	[ "$(stat_of writes)" -gt "$1" ]
}

# progress: there are more writes after a while.
progress()
{
	local before

	before=$(stat_of writes)
	wait_for 30 has_written $((before + 100))
}

# catches: a worker that is frozen, while those wait for it who can't be frozen then.
whole_system()
{
	write_on "$1"
	echo freezer >$PM/pm_test
	log_mark freezer
	# Freezes all tasks, waits for five seconds, and thaws them.
	echo freeze >$PM/state
	echo none >$PM/pm_test
	fails grep -i 'freezing.*failed\|refusing to freeze' <<<"$(log_since freezer)"
	progress
	write_no_more
}

is_frozen()
{
	grep -q '^frozen 1$' "$GROUP/cgroup.events"
}

nothing_under_way()
{
	[ "$(tr -d ' 0\n' <$SYS/inflight)" = "" ]
}

# catches: a request that goes on only with the task that has sent it, or keeps others from
# going on.
one_group()
{
	local _

	write_on "$1"
	for _ in {1..5}; do
		echo 1 >"$GROUP/cgroup.freeze"
		wait_for 30 is_frozen
		# What the frozen ones had dirtied is written back by somebody else.
		sync -f "$UPPER"
		wait_for 30 nothing_under_way
		echo others >"$UPPER/others"
		sync "$UPPER/others"
		set_attr cache_policy unsafe
		set_attr cache_policy "$1"
		refuses EBUSY reset 1
		echo 0 >"$GROUP/cgroup.freeze"
		progress
	done
	write_no_more
}

# catches: a device that can't be released by killing who holds it.
killed_while_frozen()
{
	write_on none
	umount -l "$UPPER"
	echo 1 >"$GROUP/cgroup.freeze"
	wait_for 30 is_frozen
	echo 1 >"$GROUP/cgroup.kill"
	wait "${pids[@]}" || true
	echo 0 >"$GROUP/cgroup.freeze"
	wait_for 30 put "$SYS/reset" 1
	settle
}

start mkfs.ext4
without_udev
make_cgroup pids || ktap_exit_fail_msg "no control group"
load
lower_start ext4 160
truncate -s 128M "$LOWER/img"
dd if=/dev/urandom of="$SCRATCH/data" bs=1M count=2 status=none
if [ -w $PM/pm_test ]; then
	check "all tasks can be frozen while they write, and go on (none)" whole_system none
	check "all tasks can be frozen while they write, and go on (writeback)" \
		whole_system writeback
else
	ktap_test_skip "all tasks frozen: this kernel has no $PM/pm_test"
fi
check "a frozen group's writes end, and others go on (none)" one_group none
check "a frozen group's writes end, and others go on (writeback)" one_group writeback
check "a group that is killed while frozen gives the device back" killed_while_frozen
finish
