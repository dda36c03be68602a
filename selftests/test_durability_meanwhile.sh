#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The promise where things go on at the same time: writes, FLUSHes and policy switches
# on a slow disk, whose power is cut at the moment at which most could be lost.

. "$(dirname "$0")/lib.sh"
start blkio dmsetup mkfs.ext4 filefrag taskset
without_udev
. "$HERE/below.sh"
. "$HERE/cut.sh"

SLOW=2000	# milliseconds; it takes a part of that to cut the power

# catches: a FLUSH that waits only for what came through its own hardware queue.
flush_elsewhere()
{
	taskset -c 0 blkio write $DEV 1M 4k count=$N step=16k seed=1
	taskset -c 1 blkio flush $DEV
}

flush_covers_all_queues()
{
	power_cut "to $1" flush_elsewhere
	is_plain
}

# write_one I: the I-th of these; says so when it is acknowledged.
write_one()
{
	! blkio write $DEV $((2048 + 16 * $1))k 4k seed=2 fua || touch "$SCRATCH/acked.$1"
}

# The first one's sync takes so long that all the others wait together for the next.
write_while_syncing()
{
	local i first

	rm -f "$SCRATCH"/acked.*
	below_slow 0 $SLOW
	write_one 0 & first=$!
	sleep 0.3
	for i in 1 2 3 4 5 6 7; do
		write_one $i &
	done
	wait $first
}

# catches: group commit that acknowledges before its sync, or all by one that had begun
# before, or all by a sync of the first one's data.
grouped_writes_survive()
{
	local acked

	power_cut "to $1" write_while_syncing
	[ -e "$SCRATCH/acked.0" ]
	for acked in "$SCRATCH"/acked.*; do
		blkio verify "$IMG" $((2048 + 16 * ${acked##*.}))k 4k seed=2
	done
}

write_together()
{
	blkio write $DEV 2M 4k count=$N step=16k depth=$N seed=2 fua "$@"
}

# The first one's sync takes so long that the others wait together for the next.
write_grouped()
{
	below_slow 0 300
	write_together
}

# Where there is something that need not be synced.
write_beside_plain()
{
	do_plain
	write_grouped
}

# catches: group commit that syncs the data of one.
group_survives()
{
	power_cut "to $1" "$2"
	is_fua
}

switch_under_way()
{
	[ "$(policy)" = "$1" ] && [ -e "/proc/$SWITCH" ]
}

# In the last part of a switch, when the new policy is there, but not all is synced yet.
flush_while_switching()
{
	below_slow 0 $SLOW
	(to "$1" || true) & SWITCH=$!
	sleep 0.3
	do_plain
	wait_for 20 switch_under_way "$1"
	blkio flush $DEV
}

# catches: a FLUSH that has nothing to do under the new policy, and finds nothing done.
flush_during_a_switch_holds()
{
	power_cut "to $1" "flush_while_switching $2"
	is_plain
}

write_while_switching()
{
	local writer

	below_slow $SLOW 0
	blkio write $DEV 1M 4k seed=1 & writer=$!
	sleep 0.4
	to "$1"
	wait $writer
}

# catches: a switch that doesn't wait for what is under way and still volatile.
switch_waits_for_writes()
{
	power_cut "to $1" "write_while_switching $2"
	blkio verify "$IMG" 1M 4k seed=1
}

# Two a second: the switch comes when most of them wait, above the driver. One that may not
# wait, and that io.max lets go while the queue is frozen, would come back with EAGAIN: the
# block layer says so to io_uring when it can't begin anew.
write_throttled()
{
	local writer

	echo "$(attr dev) wiops=2" >$GROUP/io.max
	(echo $BASHPID >$GROUP/cgroup.procs && write_together blocking) & writer=$!
	sleep 0.5
	to "$1"
	kill -0 $writer		# or nothing has waited
	wait $writer
}

# catches: FUA that is lost on the way, because a write-through policy was advertised as
# "no cache" when the write was issued.
throttled_fua_survives()
{
	power_cut "to $1" "write_throttled $2"
	is_fua
}

load
make_cgroup io || ktap_exit_fail_msg "no cgroup with io.max"
modprobe -q dm-delay || true	# built into some kernels
on "fua slow" ext4
for p in none writeback; do
	if [ "$(nproc)" -ge 2 ]; then
		property "$p: a FLUSH covers writes from another CPU" flush_covers_all_queues $p
	else
		ktap_test_skip "$p: a FLUSH covers writes from another CPU: there is but one"
	fi
done
for p in none writeback; do
	property "$p: FUA writes at the same time survive" group_survives $p write_grouped
	property "$p: FUA writes survive beside plain ones" group_survives $p write_beside_plain
done
property "FUA writes that wait for the same sync are acknowledged after it" \
	grouped_writes_survive writeback
for p in writethrough directsync; do
	property "writeback to $p: a FLUSH before it is complete holds" \
		flush_during_a_switch_holds writeback $p
done
property "none to directsync: a write that is under way then is durable" \
	switch_waits_for_writes none directsync
for p in directsync writethrough; do
	property "$p to none: FUA writes that waited for io.max survive" \
		throttled_fua_survives $p none
done
finish
