#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In whose name the driver runs. Workers are below a block device that memory may be freed
# to: they must not wait for that themselves. And a write that is tried in the context of
# who submits it is not his write to the file.

. "$(dirname "$0")/lib.sh"
start blkio dmsetup mkfs.ext4 pgrep fsfreeze fallocate
without_udev
. "$HERE/below.sh"

# Of the flags in /proc/PID/stat; as in include/linux/sched.h since 5.15.
NOIO=$((0x00080000))
LOCAL_THROTTLE=$((0x00100000))

# catches: a workqueue that stands still while memory is short.
workers_have_rescuers()
{
	local kind

	for kind in read write sync; do
		# Its thread is named after the workqueue, in newer kernels with more in front.
		pgrep -x "(kworker/R-)?vinteg0-$kind" >/dev/null || {
			echo "vinteg0-$kind has no rescuer"
			return 1
		}
	done
}

# worker KIND: the process that does something for vinteg0 now, which shows in its name.
worker()
{
	grep -l -E "^kworker/u.*[+]vinteg0-$1$" /proc/[0-9]*/comm 2>/dev/null | head -n 1 |
		tr -dc 0-9
}

works_at()
{
	[ -n "$(worker "$1")" ]
}

# does_no_io KIND COMMAND...: the worker of this kind that the command keeps busy for two
# seconds must not wait for memory that is written out.
# catches: a worker that allocates as anybody does.
does_no_io()
{
	local kind=$1 command pid stat
	shift

	"$@" & command=$!
	wait_for 10 works_at "$kind"
	pid=$(worker "$kind")
	stat=$(cat "/proc/$pid/stat")
	wait $command
	echo "$stat"
	# The name may have blanks, but ends the second field.
	read -r -a stat <<<"${stat##*) }"
	[ $((stat[6] & NOIO)) != 0 ]
	[ $((stat[6] & LOCAL_THROTTLE)) != 0 ]
}

write_while_frozen()
{
	local thaw

	fsfreeze -f "$BELOW_FS"
	{ sleep 2; fsfreeze -u "$BELOW_FS"; } & thaw=$!
	blkio write $DEV 64k 4k
	wait $thaw
}

# catches: a limit for files of the submitter, and its signal, applied to a disk.
file_size_limit_is_for_files()
{
	set_attr cache_policy "$1"
	(
		ulimit -f 1
		blkio write $DEV 1M 4k seed=3
		blkio write $DEV 2M 4k seed=3 fua
	)
	blkio verify $DEV 1M 4k seed=3
	blkio verify $DEV 2M 4k seed=3
}

# catches: a submitter who waits, in the middle of anything, for somebody who has a lock of
# the raw disk below.
reader_does_not_wait()
{
	local zero reader stack

	blkio read $DEV 0 4k
	fallocate --zero-range --offset 1M --length 14M /dev/vtlock & zero=$!
	sleep 0.3
	blkio read $DEV 0 4k & reader=$!
	sleep 0.3
	stack=$(cat "/proc/$reader/stack")
	kill -0 $reader
	kill -0 $zero
	wait $reader
	wait $zero
	echo "$stack"
	grep -q blkdev_read_iter <<<"$stack"
	fails grep vinteg <<<"$stack"
}

# Newer kernels refuse what can't be polled, older ones wait for it all the same.
# catches: a request that never ends for who polls, or one that fails without a word.
polled()
{
	local p said

	for p in $POLICIES; do
		set_attr cache_policy "$p"
		said=$(blkio write $DEV 0 4k count=64 depth=16 seed=5 polled fua) || true
		echo "$p: $said"
		case $said in
		ok)		says ok blkio verify $DEV 0 4k count=64 seed=5 ;;
		EOPNOTSUPP)	says ok blkio write $DEV 0 4k count=64 depth=16 seed=5 fua ;;
		*)		return 1 ;;
		esac
		[ "$(attr inflight | xargs)" = "0 0" ]
	done
	set_attr cache_policy none
}

load
modprobe -q dm-delay || true	# built into some kernels
below_start fua slow && below_mount ext4 && below_file img 4 && bind "$BELOW_FS/img" ||
	ktap_exit_fail_msg "nothing to test on"
check "the workers have rescuers" workers_have_rescuers
set_attr cache_policy writeback
blkio write $DEV 1M 4k >/dev/null
below_slow 0 2000
check "a worker that syncs doesn't wait for memory that is written out" \
	does_no_io sync blkio flush $DEV
below_slow 0 0
check "nor does one that writes" does_no_io write write_while_frozen
reset

# On a disk that can do without waiting, so that the submitter tries.
umount "$BELOW_FS"
below_stop
make_disk vtfast 64 && mkfs.ext4 -q -b 4096 /dev/vtfast && mount /dev/vtfast "$BELOW_FS" &&
	below_file img 4 && bind "$BELOW_FS/img" || ktap_exit_fail_msg "no fast disk"
at_exit umount "$BELOW_FS"
check "who polls for the end of a request gets it, or is told that he can't" polled
for p in none writeback; do
	check "$p: a limit of the submitter's file size is not for disks" \
		file_size_limit_is_for_files $p
done
reset

# In small pieces, so that zeroing it takes seconds.
must make_disk vtlock 16 irqmode=2 completion_nsec=10000000 max_sectors=8 hw_queue_depth=16
must set_attr cache_policy writeback
must bind /dev/vtlock
check "who reads what is cached doesn't wait for a lock of a raw disk" reader_does_not_wait
reset
finish
