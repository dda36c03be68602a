#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations and I/O fail by the kernel's fault injection, where it has that (failslab,
# fail_page_alloc, fail_make_request): what can't be done says so and changes nothing, and
# nothing that was acknowledged is lost. FAULT_ROUNDS=N does more of it, FAULT_STEP=1 all
# of the nearly thousand allocations that loading the module takes.

. "$(dirname "$0")/lib.sh"
start faults mkfs.ext4

# The kernel says where it could not allocate, with those who had called.
WARNINGS+='|\] +(\? )?vinteg_[a-z_]+\+0x|Workqueue: vinteg'
# It also says which tracepoints of a module that is being loaded it could not make, and
# event_define_fields() warns of every error (kernel/trace/trace_events.c of 7.3).
WARNINGS+='|(Could not|Failed to|No memory to) (create|initialize) (trace|event|system|directory)'
WARNINGS+='|Modules linked in: '
# And of which file's coverage it does not know.
WARNINGS+='|gcov: could not (add|remove) '
NO_TROUBLE='WARNING: .*event_define_fields'

DEBUG=/sys/kernel/debug
ROUNDS=${FAULT_ROUNDS:-60}
STEP=${FAULT_STEP:-5}

# tune NAME=VALUE...: of failslab and fail_page_alloc, as far as they have it.
tune()
{
	local setting path

	for setting in "$@"; do
		for path in $DEBUG/fail{slab,_page_alloc,_make_request}/"${setting%%=*}"; do
			[ ! -e "$path" ] || echo "${setting#*=}" >"$path" || return
		done
	done
}

reset_tuning()
{
	tune probability=0 task-filter=N ignore-gfp-wait=Y ignore-gfp-highmem=Y min-order=1 \
		verbose=2
}

# catches: an allocation whose failure is forgotten: a crash, a leak, a half-made device,
# an error that is acknowledged as success.
each_allocation_in_turn()
{
	faults nth "$1"
}

# catches: a module that stays half loaded, or is loaded and has no devices.
each_allocation_of_loading()
{
	udevadm settle
	rmmod vinteg
	# It uses O_NONBLOCK, and nobody else has the disks open: there is no udev.
	faults load "$1" "$(modinfo -n vinteg)" "$STEP"
	load
}

# catches: the same in the workers of the driver and of what is below.
allocations_at_random()
{
	faults failslab,fail_page_alloc "$1" "$ROUNDS" "$2"
}

# catches: a write that is acknowledged before it has reached the disk, in whatever step
# it fails.
io_at_random()
{
	tune task-filter=N
	echo 1 >/sys/block/vtfault/make-it-fail
	faults fail_make_request /dev/vtfault "$ROUNDS" "$1"
	echo 0 >/sys/block/vtfault/make-it-fail
	tune task-filter=Y
}

mountpoint -q $DEBUG || mount -t debugfs debugfs $DEBUG
if [ ! -d $DEBUG/failslab ] || [ ! -e /proc/self/fail-nth ]; then
	skip_all "this kernel has no fault injection"
fi
without_udev
must make_disk vtfault 16
must make_disk vtlower 32
FS=$SCRATCH/fs
mkdir "$FS"
must mkfs.ext4 -q /dev/vtlower
must mount /dev/vtlower "$FS"
truncate -s 1M "$FS/img" "$SCRATCH/img"
at_exit reset_tuning
must tune probability=0 interval=1 times=-1 task-filter=Y ignore-gfp-wait=N \
	ignore-gfp-highmem=N min-order=0 verbose=0
must load
check "ext4: each allocation of a caller fails once" each_allocation_in_turn "$FS/img"
check "raw disk: each allocation of a caller fails once" each_allocation_in_turn /dev/vtfault
check "ext4: allocations fail when it is loaded: one in $STEP" each_allocation_of_loading "$FS/img"
for i in 1 2 3; do
	check "raw disk: allocations fail at random ($i)" allocations_at_random /dev/vtfault $i
	check "tmpfs: allocations fail at random ($i)" allocations_at_random "$SCRATCH/img" $i
done
if [ -d $DEBUG/fail_make_request ]; then
	for i in 1 2 3; do
		check "raw disk: its I/O fails at random ($i)" io_at_random $i
	done
else
	ktap_test_skip "raw disk: its I/O fails at random: no fail_make_request"
fi
put $SYS/reset 1 >/dev/null
must umount "$FS"
finish
