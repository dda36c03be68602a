#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# An operation on a device can't end, because the disk below has stopped. Whoever wants
# something else of the device has to wait, and can be killed.

. "$(dirname "$0")/lib.sh"

LOWER=/dev/mapper/vtstuck

# in_background COMMAND...: sets $pid, a process that waits in the kernel by now. What it
# says is in $SCRATCH/said-$pid.
in_background()
{
	local said

	said=$(mktemp -p "$SCRATCH")
	"$@" >"$said" 2>&1 &
	pid=$!
	mv "$said" "$SCRATCH/said-$pid"
	wait_for 20 is_waiting "$pid"
}

# Not just once: for a moment everybody waits for something.
is_waiting()
{
	local _

	for _ in {1..5}; do
		grep -q -s '^State:.D' "/proc/$1/status" || return
		sleep 0.1
	done
}

gone()
{
	! kill -0 "$1" 2>/dev/null
}

# killed COMMAND...: it waits, and ends when it is killed. "wait" is not asked, which
# would do so without a limit.
killed()
{
	local pid

	in_background "$@"
	kill -KILL "$pid"
	wait_for 10 gone "$pid"
}

# stall: there is data that can't reach the disk, and a policy switch ($stuck) that waits
# for it.
stall()
{
	local pid

	[ -n "$(attr backing_file)" ] || set_attr backing_file $LOWER
	set_attr cache_policy writeback
	dd if=/dev/zero of=$DEV bs=64k count=4 oflag=direct
	dm suspend --noflush --nolockfs vtstuck
	in_background put $SYS/cache_policy writethrough
	stuck=$pid
}

go_on()
{
	dm resume vtstuck
	wait "$stuck"
}

# Never left stopped: nothing could be removed. What the others did not do is done here.
restore()
{
	dm resume vtstuck || true
	sleep 0.5
	[ -e /sys/module/vinteg ] || load num_devices=2
	[ -e $SYS ] || cat "$CONTROL/hot_add"
}

can_be_opened()
{
	: <$DEV
}

# catches: a store that nobody waits for any more, but that takes effect, and undoes what
# others have done meanwhile.
killed_in_time()
{
	stall
	killed put $SYS/cache_policy unsafe
	go_on
	sleep 1
	[ "$(policy)" = writethrough ]
}

# catches: the same for one that has begun, which has to go on.
killed_too_late()
{
	stall
	kill -KILL "$stuck"
	wait_for 10 gone "$stuck"
	[ "$(policy)" = writeback ]
	dm resume vtstuck
	wait_for 10 has_policy writethrough
}

has_policy()
{
	[ "$(policy)" = "$1" ]
}

# catches: a store that overtakes another.
in_order()
{
	local name pid pids=()

	stall
	for name in unsafe none guest directsync writeback none unsafe guest; do
		in_background put $SYS/cache_policy $name
		pids+=("$pid")
	done
	go_on
	wait "${pids[@]}"
	[ "$(policy)" = guest ]
}

# catches: a file kept open, or a device kept from being opened, by a bind that was killed.
bind_is_taken_back()
{
	stall
	killed put $SYS/backing_file /dev/vtother
	can_be_opened
	set_attr backing_file /dev/vtother vinteg1
	go_on
	[ "$(attr backing_file)" = $LOWER ]
	set_attr reset 1 vinteg1
}

# catches: the same of a reset.
reset_is_taken_back()
{
	stall
	killed put $SYS/reset 1
	can_be_opened
	go_on
	sleep 1
	[ "$(attr backing_file)" = $LOWER ]
}

# catches: a removal that waits where nobody can be killed, or that goes half of the way.
removal_is_taken_back()
{
	stall
	killed put "$CONTROL/hot_remove" 0
	can_be_opened
	go_on
	sleep 1
	[ "$(attr backing_file) $(policy)" = "$LOWER writethrough" ]
	set_attr cache_policy none
}

# catches: a removal that fails, or leaves those who wait behind it waiting.
removal_waits()
{
	local pid removal late

	stall
	in_background put "$CONTROL/hot_remove" 0
	removal=$pid
	in_background put $SYS/cache_policy unsafe
	late=$pid
	go_on
	wait "$removal"
	fails wait "$late"
	[ "$(cat "$SCRATCH/said-$late")" = ENODEV ]
	[ ! -e $SYS ]
	[ "$(cat "$CONTROL/hot_add")" = 0 ]
	set_attr backing_file $LOWER
}

# catches: an rmmod that waits in the middle of the removal, where nobody can be killed.
module_stays()
{
	local pid

	stall
	rmmod vinteg &
	pid=$!
	wait_for 10 gone "$pid"
	fails wait "$pid"
	killed put $SYS/cache_policy unsafe
	go_on
	[ "$(policy)" = writethrough ]
}

# catches: an rmmod beside a reset that goes on by itself, in whose middle the disk
# disappears.
module_stays_for_those_killed()
{
	local pid

	set_attr backing_file $LOWER
	set_attr cache_policy writeback
	dd if=/dev/zero of=$DEV bs=64k count=4 oflag=direct
	dm suspend --noflush --nolockfs vtstuck
	killed put $SYS/reset 1
	rmmod vinteg &
	pid=$!
	wait_for 10 gone "$pid"
	fails wait "$pid"
	[ -n "$(attr backing_file)" ]
	dm resume vtstuck
	wait_for 10 rmmod vinteg
	# Which shows that the disk below is not held any more.
	dm suspend vtstuck
	dm resume vtstuck
	load num_devices=2
	set_attr backing_file $LOWER
}

# at_it PLACE...: reads 64 KiB at each, in this order and all at once, while the disk has
# stopped. Prints how many workers are at that, with whom they all succeed.
at_it()
{
	local place pid pids=()

	[ -n "$(attr backing_file)" ] || set_attr backing_file $LOWER
	set_attr cache_policy writeback
	blockdev --flushbufs $LOWER
	dm suspend --noflush --nolockfs vtstuck
	for place in "$@"; do
		in_background dd if=$DEV of=/dev/null bs=64k count=1 skip="$place" iflag=direct
		pids+=("$pid")
	done
	read_workers
	dm resume vtstuck
	wait "${pids[@]}"
}

# catches: several workers for a sequence, each of which reads ahead for itself.
one_for_a_sequence()
{
	local workers

	workers=$(at_it 16 17 18 19 20)
	# Nothing tells that the first is one of a sequence.
	[ "$workers" = 2 ]
}

# catches: a sequence that is taken for none because several read it, none in step.
one_for_several_at_a_sequence()
{
	local workers

	workers=$(at_it 100 100 101 101 103 102)
	[ "$workers" = 2 ]
}

# catches: reads that wait for others that they have nothing to do with.
one_for_each()
{
	local workers

	workers=$(at_it 32 50 40 60 36)
	[ "$workers" = 5 ]
}

# catches: reads that wait in line where nothing is gained by that.
one_for_each_without_readahead()
{
	local workers before

	before=$(blockdev --getra $LOWER)
	set_attr reset 1
	blockdev --setra 0 $LOWER
	workers=$(at_it 16 17 18 19 20)
	blockdev --setra "$before" $LOWER
	set_attr reset 1
	[ "$workers" = 5 ]
}

start dmsetup blockdev
must without_udev
must make_disk vtlower 16
must make_disk vtother 16
must dm create vtstuck --table "0 16384 linear /dev/vtlower 0"
at_exit dm remove --retry vtstuck
must load num_devices=2

check "a store that is killed before it begins has no effect" killed_in_time
restore
check "one that has begun goes on" killed_too_late
restore
check "stores take effect in the order in which they were made" in_order
restore
check "a bind that is killed before it begins leaves nothing behind" bind_is_taken_back
restore
check "a reset that is killed before it begins has no effect" reset_is_taken_back
restore
check "a hot_remove can be killed, and then has no effect" removal_is_taken_back
restore
check "a hot_remove waits for its turn; who comes later is told ENODEV" removal_waits
restore
check "rmmod is refused at once" module_stays
restore
set_attr reset 1
check "reads that follow each other have one worker" one_for_a_sequence
restore
check "several who read the same have one worker" one_for_several_at_a_sequence
restore
check "other reads have one each" one_for_each
restore
check "so have all reads if there is no readahead" one_for_each_without_readahead
restore
check "rmmod is refused beside a reset whose writer was killed" module_stays_for_those_killed
restore
set_attr reset 1
finish
