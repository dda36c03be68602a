#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Swap on the device.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"

HOG=20		# MiB that are used; a quarter stays in memory
SWAP=128	# MiB
LEFT=200	# MiB that all have in the end, when memory runs out
HUGE=/proc/sys/vm/nr_hugepages

swapped_out()
{
	awk '/^pswpout / { print $2 }' /proc/vmstat
}

# swap_is_on POLICY FILE
swap_is_on()
{
	set_attr cache_policy "$1"
	bind "$2"
	mkswap $DEV
	swapon $DEV
	refuses EBUSY reset 1
}

# catches: a worker that needs memory to write memory out (hangs), and wrong pages.
memory_survives()
{
	local before

	before=$(swapped_out)
	(
		echo "$BASHPID" >"$GROUP/cgroup.procs"
		memory_hog $HOG 1
	)
	# At least what did not fit, and in each pass.
	[ $((($(swapped_out) - before) * $(getconf PAGESIZE))) -gt $((HOG << 20)) ]
	no_errors
}

swap_is_off()
{
	swapoff $DEV
	reset
}

# take_memory: all but $LEFT, or as much as there is in large pieces; huge pages can't be
# reclaimed, and need not be filled.
take_memory()
{
	drop_caches
	echo $((($(meminfo MemAvailable) - LEFT * 1024) / $(meminfo Hugepagesize))) >$HUGE
}

killed()
{
	log_since oom | grep -o 'Killed process [0-9]* ([^)]*)'
}

# catches: a worker that can't write memory out because there is none, an error, and a task
# that is killed in place of the one that has it all.
memory_runs_out()
{
	local before rc=0

	before=$(swapped_out)
	take_memory
	log_mark oom
	(
		echo 1000 >/proc/self/oom_score_adj
		exec memory_hog $(($(meminfo MemAvailable) / 1024 + SWAP + 100)) 1
	) || rc=$?
	echo 0 >$HUGE
	[ $rc = 137 ]
	[ "$(killed | grep -c .)" = 1 ]
	killed | grep memory_hog
	# It was not before most of the swap was used.
	[ $((($(swapped_out) - before) * $(getconf PAGESIZE))) -gt $((SWAP << 19)) ]
	no_errors
}

start mkswap
make_cgroup memory || ktap_exit_fail_msg "no control group for memory"
# Not memory.max: who gets there while pages are still on their way is killed.
echo $((HOG / 4))M >"$GROUP/memory.high"
load
lower_start ext4 200
truncate -s ${SWAP}M "$LOWER/swap.img"
at_exit sh -c "swapoff $DEV 2>/dev/null || true"
at_exit sh -c "[ ! -w $HUGE ] || echo 0 >$HUGE"
for policy in none writeback; do
	check "swap can be switched on, and holds the device ($policy)" \
		swap_is_on $policy "$LOWER/swap.img"
	check "memory that went through swap is the same ($policy)" memory_survives
	check "swap can be switched off ($policy)" swap_is_off
done
# Not on a file: its file system and whoever swaps take bios from the same pool, which is
# empty then; so for loop, too. See "Swap" in vinteg.rst.
if [ -w $HUGE ]; then
	must make_disk vtraw $SWAP
	# The disk takes memory for what is written to it first.
	must dd if=/dev/zero of=/dev/vtraw bs=1M count=$SWAP oflag=direct status=none
	check "swap can be switched on (a raw block device)" swap_is_on none /dev/vtraw
	check "memory runs out, and who has it all is killed" memory_runs_out
	check "swap can be switched off (a raw block device)" swap_is_off
else
	ktap_test_skip "memory runs out: this kernel has no huge pages"
fi
finish
