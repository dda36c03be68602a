#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The host's filesystem is frozen for a while (a snapshot, a backup). Who writes has to
# wait, and can be killed; and all is over within a second of the thaw.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"

WRITERS=4

# Without starting a process, which takes its time on some machines.
now_ms()
{
	echo $((${EPOCHREALTIME/./} / 1000))
}

gone()
{
	! kill -0 "$1" 2>/dev/null
}

# freeze: with writers that wait in the background, and what they write in $SCRATCH/data.
freeze()
{
	local i

	fsfreeze -f "$LOWER"
	for i in $(seq $WRITERS); do
		dd if="$SCRATCH/data" of=$DEV bs=64k count=1 seek="$i" oflag=direct conv=notrunc &
		pids+=($!)
	done
	wait_for 10 writing $WRITERS
}

# thaw: everything in $pids has to end, all within a second, and well.
thaw()
{
	local pid begin took

	fsfreeze -u "$LOWER"
	begin=$(now_ms)
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	took=$(($(now_ms) - begin))
	echo "${#pids[@]} ended within $took ms"
	[ $took -lt 1000 ]
	pids=()
}

# catches: a write that fails or goes past the freeze; a read that waits for writes.
writers_wait()
{
	local pids=() reader i

	freeze
	dd if=$DEV of=/dev/null bs=64k count=64 iflag=direct skip=8 & reader=$!
	wait_for 5 gone $reader
	wait $reader
	sleep 0.5
	writing $WRITERS
	thaw
	for i in $(seq $WRITERS); do
		cmp -n 65536 -i "$((i << 16)):0" $DEV "$SCRATCH/data"
	done
	no_errors
}

# catches: a discard or zeroes that go past the freeze, or hold locks of the filesystem
# while they wait; that are lost, or are done to others than they are meant for. (One disk
# has but one of them under way, hence its second name.)
deallocations_wait()
{
	local pids=() reader

	dm create vtalias --table "0 $(blockdev --getsz $DEV) linear $DEV 0"
	blkio write $DEV 32M 64k count=32 seed=7
	blkio flush $DEV
	freeze
	blkio discard $DEV 32832k 64k & pids+=($!)
	blkio zero /dev/mapper/vtalias 33M 256k & pids+=($!)
	wait_for 10 writing $((WRITERS + 2))
	blkio read $DEV 32M 64k count=8 & reader=$!
	wait_for 5 gone $reader
	wait $reader
	sleep 0.5
	writing $((WRITERS + 2))
	thaw
	dm remove --retry vtalias
	echo 3 >/proc/sys/vm/drop_caches
	blkio verify $DEV 32832k 64k seed=0
	blkio verify $DEV 33M 256k seed=0
	blkio verify $DEV 32M 64k seed=7
	blkio verify $DEV 32896k 64k count=14 seed=7
	blkio verify $DEV 34048k 64k count=12 seed=7
	no_errors
}

# catches: an issuer that is caught in the lower filesystem, where no signal reaches it.
writer_is_killed()
{
	local pids=() victim

	freeze
	fio --name=victim --filename=$DEV --rw=write --bs=4k --size=64k --offset=16M \
		--ioengine=io_uring --direct=1 --iodepth=4 --thread &
	victim=$!
	wait_for 10 writing $((WRITERS + 1))
	kill -KILL $victim
	wait_for 5 gone $victim
	thaw
	no_errors
}

# catches: a store that waits for the drain in a way that can't be interrupted; a queue
# that stays frozen after it was.
store_is_killed()
{
	local pids=() store policy

	freeze
	echo writeback >"$SYS/cache_policy" &
	store=$!
	sleep 0.5
	kill -0 $store
	kill -KILL $store
	wait_for 5 gone $store
	thaw
	policy=$(policy)
	[[ $policy =~ ^($1|writeback)$ ]]
	timeout 5 dd if="$SCRATCH/data" of=$DEV bs=64k oflag=direct conv=notrunc
	set_attr cache_policy "$1"
	no_errors
}

# catches: a store that is lost, or hangs, when it meets the freeze.
store_survives()
{
	local pids=()

	freeze
	echo writeback >"$SYS/cache_policy" &
	pids+=($!)
	thaw
	[ "$(policy)" = writeback ]
	set_attr cache_policy "$1"
	no_errors
}

# catches: a timestamp update in the background that holds up everybody else.
idle_device_is_free()
{
	dd if="$SCRATCH/data" of=$DEV bs=64k oflag=direct conv=notrunc
	fsfreeze -f "$LOWER"
	sleep 1.5
	timeout 5 dd if=$DEV of=/dev/null bs=64k count=64 iflag=direct skip=8
	fsfreeze -u "$LOWER"
	timeout 5 dd if="$SCRATCH/data" of=$DEV bs=64k oflag=direct conv=notrunc
	no_errors
}

# Never left frozen: nothing could be unmounted.
thawed()
{
	fsfreeze -u "$LOWER" 2>/dev/null || true
	[ ! -e /dev/mapper/vtalias ] || dm remove --retry vtalias
}

start fio fsfreeze blkio dmsetup
modprobe -q dm-mod || true	# built into some kernels
modprobe -q xfs || true
load
head -c 64k /dev/urandom >"$SCRATCH/data"
for type in ext4 xfs; do
	lower_start $type 400
	at_exit thawed
	truncate -s 64M "$LOWER/backing"
	for policy in none writethrough; do
		set_attr cache_policy $policy
		bind "$LOWER/backing"
		check "$type, $policy: writers wait, readers don't, all ends at the thaw" writers_wait
		thawed
		check "$type, $policy: discards and zeroes wait, reads don't" deallocations_wait
		thawed
		check "$type, $policy: a writer can be killed meanwhile" writer_is_killed
		thawed
		check "$type, $policy: a policy switch can be killed meanwhile" store_is_killed $policy
		thawed
		check "$type, $policy: a policy switch succeeds after the thaw" store_survives $policy
		thawed
		check "$type, $policy: without I/O in flight nobody is held up" idle_device_is_free
		thawed
		reset
	done
done
finish
