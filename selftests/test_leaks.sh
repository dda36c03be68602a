#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What is done many times must not cost memory, threads or files. LEAK_ROUNDS=N does each
# thing N times.

. "$(dirname "$0")/lib.sh"

# in_use: objects in every slab cache. Those that wait for RCU are waited for, and
# those that a CPU keeps for itself are given back first.
in_use()
{
	local cache

	settle
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 0.5
	for cache in /sys/kernel/slab/*/shrink; do
		echo 1 >"$cache"
	done
	awk 'NR > 2 { print $1, $2 }' /proc/slabinfo | sort
}

workers()
{
	cat /proc/[0-9]*/comm 2>/dev/null | grep -c '^\(kworker/R-\)\?vinteg' || true
}

# times N: a third of the rounds, or N unless told otherwise.
times()
{
	TIMES=${LEAK_ROUNDS:+$(((LEAK_ROUNDS + 2) / 3))}
	TIMES=${TIMES:-$1}
}

# no_growth FUNCTION: not one object must stay behind each time. What is left behind shows
# in each of three batches of TIMES rounds, and does so again and again; noise doesn't.
# catches: one object, file or thread that each round leaves behind.
no_growth()
{
	local _

	for _ in 1 2 3; do
		measure_growth "$@"
		[ -s "$SCRATCH/grown" ] || return 0
	done
	return 1
}

measure_growth()
{
	local workers_before _

	repeat 1 "$@"
	in_use >"$SCRATCH/counts"
	workers_before=$(workers)
	for _ in 1 2 3; do
		repeat "$TIMES" "$@"
		in_use >"$SCRATCH/now"
		join "$SCRATCH/counts" "$SCRATCH/now" >"$SCRATCH/joined"
		mv "$SCRATCH/joined" "$SCRATCH/counts"
	done
	# What was mapped is given back late, and many at a time.
	awk -v limit=$((TIMES * 4 / 5)) '
		$1 != "vmap_area" && $3 - $2 >= limit && $4 - $3 >= limit && $5 - $4 >= limit
	' "$SCRATCH/counts" >"$SCRATCH/grown"
	[ "$(workers)" -le "$workers_before" ] || echo "workers" >>"$SCRATCH/grown"
	cat "$SCRATCH/grown"
}

# repeat TIMES FUNCTION: without a trace, which would be most of the work.
repeat()
{
	local i times=$1
	shift

	{ set +x; } 2>/dev/null
	for ((i = 0; i < times; i++)); do
		"$@"
	done
	set -x
}

bind_and_reset()
{
	echo "$FS/a.img" >$SYS/backing_file
	echo 1 >$SYS/reset
}

add_and_remove()
{
	local number

	read -r number <"$CONTROL/hot_add"
	echo "$FS/a.img" >"/sys/block/vinteg$number/backing_file"
	echo "$number" >"$CONTROL/hot_remove"
}

bad_binds()
{
	{
		echo /missing/file >$SYS/backing_file || true
		echo "$FS" >$SYS/backing_file || true
		echo "$FS/empty" >$SYS/backing_file || true
		echo /dev/vinteg0 >$SYS/backing_file || true
		echo /dev/vtlower >$SYS/backing_file || true
	} 2>/dev/null
}

bad_while_bound()
{
	{
		echo "$FS/b.img" >$SYS/backing_file || true
		echo bogus >$SYS/cache_policy || true
		echo unsafe >$SYS/cache_policy
		echo none >$SYS/cache_policy
		echo 1 >$SYS/rescan
		read -r _ <$SYS/backing_file
	} 2>/dev/null
}

io()
{
	local policy

	for policy in $POLICIES; do
		echo "$policy" >$SYS/cache_policy
		dd if=/dev/zero of=$DEV bs=4k count=4 oflag=direct,dsync 2>/dev/null
		dd if=$DEV of=/dev/null bs=4k count=4 iflag=direct 2>/dev/null
	done
	blkdiscard -f $DEV
}

load_and_unload()
{
	insert num_devices=4 "backing_file=$FS/a.img,$FS/b.img" cache_policy=unsafe,unsafe
	dd if=/dev/zero of=$DEV bs=16k count=1 oflag=direct 2>/dev/null
	rmmod vinteg
}

load_badly()
{
	fails insert num_devices=4 "backing_file=$FS/a.img,$FS/missing.img" 2>/dev/null
}

start mkfs.ext4 blkdiscard
must without_udev
FS=$SCRATCH/fs
mkdir "$FS"
must make_disk vtlower 64
must mkfs.ext4 -q /dev/vtlower
must mount /dev/vtlower "$FS"
truncate -s 4M "$FS/a.img" "$FS/b.img"
touch "$FS/empty"
must load
times 12
check "binding and resetting leaves nothing behind" no_growth bind_and_reset
check "adding, binding and removing a device leaves nothing behind" no_growth add_and_remove
check "failing to bind leaves nothing behind" no_growth bad_binds
must bind "$FS/a.img"
check "failing and succeeding while bound leaves nothing behind" no_growth bad_while_bound
times 6
check "requests leave nothing behind" no_growth io
must unload
check "loading and unloading leaves nothing behind" no_growth load_and_unload
check "failing to load leaves nothing behind" no_growth load_badly
umount "$FS"
finish
