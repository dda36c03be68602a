#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The policy is switched 10,000 times while fio writes, reads back and verifies, on five
# devices at a time (a switch mostly waits for the queue to drain), one of them held
# back by a cgroup's io.max.

. "$(dirname "$0")/lib.sh"
start fio policyswitch blkio mkfs.ext4
without_udev
DEVICES=5
SWITCHES=2000	# per device
LIMIT=100	# reads, and writes, a second; less where the machine is slow

# load_on N: direct and page-cache I/O, verified as it goes, until the file "stop" is
# there. The device is verified as a whole at the end of each round.
load_on()
{
	local direct=1 round=0

	[ "$1" != 4 ] || echo $BASHPID >$GROUP/cgroup.procs
	until [ -e "$SCRATCH/stop" ]; do
		round=$((round + 1))
		direct=$((1 - direct))
		fio --name=switching --filename="/dev/vinteg$1" --size=2M --bs=4k --rw=randwrite \
			--ioengine=libaio --iodepth=4 --direct=$direct --fsync=32 \
			--verify=crc32c --verify_fatal=1 --verify_backlog=64 \
			--randseed=$round --allow_file_create=0 || return
	done
	echo "$round rounds"
}

prepare()
{
	local i

	for ((i = 0; i < DEVICES; i++)); do
		dd if=/dev/zero of="$SCRATCH/fs/img$i" bs=1M count=2 status=none
		bind "$SCRATCH/fs/img$i" vinteg$i || return
	done
}

# requests N: so far, of vintegN.
requests()
{
	echo $(($(stat_of reads "vinteg$1") + $(stat_of writes "vinteg$1")))
}

# sectors_written N: so far, to vintegN.
sectors_written()
{
	awk '{ print $7 }' "/sys/block/vinteg$1/stat"
}

start_loads()
{
	local i

	for ((i = 0; i < DEVICES; i++)); do
		load_on $i >"$SCRATCH/fio$i" 2>&1 &
		LOADS[i]=$!
	done
}

# limit: vinteg4 gets a part of what it can do beside the others, which is looked at first.
limit()
{
	local begin=${EPOCHREALTIME/./} i rate

	start_loads
	sleep 3
	rate=$(($(requests 4) * 1000000 / (${EPOCHREALTIME/./} - begin)))
	touch "$SCRATCH/stop"
	for i in "${LOADS[@]}"; do
		wait "$i" || return
	done
	rm "$SCRATCH/stop"
	[ $((rate / 10)) -ge $LIMIT ] || LIMIT=$((rate / 10 + 2))
	echo "$(attr dev vinteg4) riops=$LIMIT wiops=$LIMIT" >$GROUP/io.max
}

run()
{
	local before=() i

	for ((i = 0; i < DEVICES; i++)); do
		before[i]=$(requests $i)
		WRITTEN[i]=$(sectors_written $i)
	done
	BEGIN=${EPOCHREALTIME/./}
	start_loads
	for ((i = 0; i < DEVICES; i++)); do
		policyswitch /sys/block/vinteg$i/cache_policy $SWITCHES $i >"$SCRATCH/switch$i" &
		SWITCHERS[i]=$!
	done
	for ((i = 0; i < DEVICES; i++)); do
		wait "${SWITCHERS[i]}"
		SWITCHED[i]=$?
	done
	touch "$SCRATCH/stop"
	for ((i = 0; i < DEVICES; i++)); do
		wait "${LOADS[i]}"
		LOADED[i]=$?
		REQUESTS[i]=$(($(requests $i) - before[i]))
		TOOK[i]=$(((${EPOCHREALTIME/./} - BEGIN) / 1000))
	done
}

# catches: a switch that fails, sticks, or takes hold halfway.
switched()
{
	cat "$SCRATCH/switch$1"
	[ "${SWITCHED[$1]}" = 0 ]
	grep -qx "$SWITCHES switches" "$SCRATCH/switch$1"
}

# catches: data lost or torn by a switch, a request dropped, hung or failed at the freeze.
verified()
{
	tail -n 5 "$SCRATCH/fio$1"
	[ "${LOADED[$1]}" = 0 ]
	grep -q "rounds$" "$SCRATCH/fio$1"
	[ "$(stat_of errors vinteg"$1")" = 0 ]
	# All of the device at least once; some writes are merged.
	[ $(($(sectors_written "$1") - WRITTEN[$1])) -ge "$(attr size vinteg"$1")" ]
	[ "$(attr writeback_error vinteg"$1")" = 0 ]
}

# catches: a test that throttled nothing.
throttled()
{
	local all=0 i

	for ((i = 0; i < DEVICES; i++)); do
		echo "vinteg$i: ${REQUESTS[i]} requests in ${TOOK[i]} ms, limit $LIMIT"
		[ $i = 4 ] || all=$((all + REQUESTS[i]))
	done
	# The limit holds, with a little for how its slices are counted,
	[ "${REQUESTS[4]}" -le $((2 * LIMIT * TOOK[4] / 1000 + LIMIT)) ]
	# and it is the limit that holds it back: the others did more, in less time.
	[ $((REQUESTS[4] * 6000 / TOOK[4])) -lt $((all * 1000 / TOOK[0])) ]
}

# So many writes, at two a second: there is time for all switches on a busy machine, too.
HELD=48

# held SWITCH: all has been issued, some has not come to the driver, and nothing is between:
# the rest waits for io.max.
held()
{
	local came=$(($(stat_of writes vinteg4) - CAME))

	echo "$1: $came of $HELD have come"
	[ -e "/proc/$WRITER" ]
	[ "$(attr inflight vinteg4 | xargs)" = "0 0" ]
	[ $came -lt $HELD ]
}

# catches: a request that is lost, or made another, if it waits above the driver while the
# policy is switched below it.
held_across_switches()
{
	local p begin=$SECONDS

	blkio write /dev/vinteg4 0 4k count=$HELD depth=$HELD seed=8 blocking
	[ $((SECONDS - begin)) -le 2 ]
	CAME=$(stat_of writes vinteg4)
	echo "$(attr dev vinteg4) wiops=2" >$GROUP/io.max
	begin=${EPOCHREALTIME/./}
	(
		echo $BASHPID >$GROUP/cgroup.procs
		exec blkio write /dev/vinteg4 0 4k count=$HELD depth=$HELD seed=9 blocking
	) & WRITER=$!
	sleep 1
	for p in $POLICIES; do
		wait_for 1 held "before the switch to $p"
		set_attr cache_policy "$p" vinteg4
		wait_for 1 held "after the switch to $p"
	done
	# The limit was kept all the time.
	[ $(($(stat_of writes vinteg4) - CAME)) -le \
		$((2 * (${EPOCHREALTIME/./} - begin) / 1000000 + 4)) ]
	echo "$(attr dev vinteg4) wiops=max" >$GROUP/io.max
	wait $WRITER
	blkio verify /dev/vinteg4 0 4k count=$HELD seed=9
	[ "$(stat_of errors vinteg4)" = 0 ]
}

load num_devices=$DEVICES
make_disk vtswitch 64 cache_size=32 && mkfs.ext4 -q -b 4096 /dev/vtswitch &&
	mkdir "$SCRATCH/fs" && mount /dev/vtswitch "$SCRATCH/fs" && prepare ||
	ktap_exit_fail_msg "nothing to test on"
at_exit umount "$SCRATCH/fs"
make_cgroup io && limit || ktap_exit_fail_msg "no cgroup with io.max"
run
for ((n = 0; n < DEVICES; n++)); do
	check "vinteg$n: the policy was switched $SWITCHES times" switched $n
	check "vinteg$n: no I/O error and no verify error meanwhile" verified $n
done
check "vinteg4 was held back by io.max" throttled
check "writes that wait for io.max get through switches of the policy" held_across_switches
finish
