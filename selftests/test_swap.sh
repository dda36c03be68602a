#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Swap on the device.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/fs.sh"

HOG=20		# MiB that are used; a quarter stays in memory

swapped_out()
{
	awk '/^pswpout / { print $2 }' /proc/vmstat
}

swap_is_on()
{
	set_attr cache_policy "$1"
	bind "$LOWER/swap.img"
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

start mkswap
make_cgroup memory || ktap_exit_fail_msg "no control group for memory"
# Not memory.max: who gets there while pages are still on their way is killed.
echo $((HOG / 4))M >"$GROUP/memory.high"
load
lower_start ext4 200
truncate -s 128M "$LOWER/swap.img"
at_exit sh -c "swapoff $DEV 2>/dev/null || true"
for policy in none writeback; do
	check "swap can be switched on, and holds the device ($policy)" swap_is_on $policy
	check "memory that went through swap is the same ($policy)" memory_survives
	check "swap can be switched off ($policy)" swap_is_off
done
finish
