#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Processors that go away and come back while the module is loaded.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"

CPU=1
ONLINE=/sys/devices/system/cpu/cpu$CPU/online

cpu()
{
	case $1 in
	on)	echo 1 >$ONLINE ;;
	off)	echo 0 >$ONLINE ;;
	esac
}

# come_and_go: until it is killed; a line in a file for each time.
come_and_go()
{
	while :; do
		cpu off
		sleep 0.2
		cpu on
		sleep 0.2
		echo turn >>"$SCRATCH/turns"
	done
}

# busy_meanwhile COMMAND...: a command while the processor comes and goes.
busy_meanwhile()
{
	local pid rc=0

	: >"$SCRATCH/turns"
	come_and_go &
	pid=$!
	"$@" || rc=$?
	kill $pid
	wait $pid || true
	cpu on 2>/dev/null || true	# EINVAL if it is there
	[ "$(wc -l <"$SCRATCH/turns")" -gt 2 ]
	return $rc
}

# catches: a request whose worker or hardware queue went away with its processor, and one
# that is lost or done twice.
io_goes_on()
{
	set_attr cache_policy "$1"
	busy_meanwhile fio --filename=$DEV --size=16M --bs=4k --rw=randwrite --direct=1 \
		--ioengine=libaio --iodepth=16 --fsync=32 --verify=crc32c --verify_fatal=1 \
		--randseed=1 --numjobs=2 --offset_increment=16M --loops=2 --name=hotplug
	no_errors
}

switch_often()
{
	local end=$((SECONDS + 4)) policy

	while [ $SECONDS -lt $end ]; do
		for policy in $POLICIES; do
			set_attr cache_policy "$policy"
		done
	done
}

# catches: a switch that waits for a processor that is not there.
switch_goes_on()
{
	busy_meanwhile switch_often
	no_errors
}

# catches: counters of the processors that are there at the moment only.
counts_stay()
{
	local before

	before=$(stat_of writes)
	taskset -c $CPU dd if=/dev/zero of=$DEV bs=4k count=64 oflag=direct
	[ $(($(stat_of writes) - before)) = 64 ]
	cpu off
	[ $(($(stat_of writes) - before)) = 64 ]
	cpu on
}

# catches: hardware queues for the processors that were there when the disk was made only.
one_more_processor()
{
	reset
	unload
	cpu off
	load
	bind "$LOWER/img"
	cpu on
	taskset -c $CPU dd if=/dev/urandom of="$SCRATCH/data" bs=64k count=16
	taskset -c $CPU dd if="$SCRATCH/data" of=$DEV bs=64k oflag=direct conv=fsync
	cpu off
	drop_caches
	cmp -n 1048576 "$SCRATCH/data" $DEV
	cpu on
	no_errors
}

# catches: an unbind, an unload or a bind that waits for what ran on that processor.
life_without()
{
	cpu off
	reset
	bind "$LOWER/img"
	reset
	unload
	load
	bind "$LOWER/img"
	cpu on
}

start fio taskset
if [ ! -w $ONLINE ]; then
	skip_all "processor $CPU can't be taken away"
fi
without_udev
at_exit sh -c "echo 1 >$ONLINE 2>/dev/null || true"
load
lower_start ext4 96
truncate -s 40M "$LOWER/img"
must bind "$LOWER/img"
check "I/O goes on while a processor comes and goes (none)" io_goes_on none
check "I/O goes on while a processor comes and goes (writeback)" io_goes_on writeback
check "so do policy switches" switch_goes_on
check "what a processor has counted is counted when it is gone" counts_stay
check "a processor that comes later is served, too" one_more_processor
check "bind, reset and unload without a processor that was there" life_without
finish
