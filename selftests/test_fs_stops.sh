#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The host's filesystem gives up while a device is bound to a file on it: it becomes
# read-only, or shuts down. What it says of a sync is not worth much then. And errors
# that come while the operator clears one.

. "$(dirname "$0")/lib.sh"
start blkio dmsetup mkfs.ext4 mkfs.xfs xfs_io
without_udev
. "$HERE/below.sh"

# heal: the disk is as it was.
heal()
{
	below_good
	below_slow 0 0
}

# prepare FS POLICY: a new filesystem, and 8 MiB on it that nobody has written yet.
prepare()
{
	[ -z "$(attr backing_file)" ] || put $SYS/reset <<<1 || true
	! below_is_mounted || umount "$BELOW_FS"
	heal
	# What failed before would be told to mkfs.
	sync $BELOW_MAP || true
	below_mount "$1"
	fallocate -l 8M "$IMG"
	sync -f "$IMG"
	bind "$IMG"
	set_attr cache_policy "$2"
}

is_read_only()
{
	grep -q " $BELOW_FS [a-z0-9]* ro" /proc/self/mounts
}

# Filesystems on disks, other than ours, that can be written to.
others()
{
	awk -v ours="$BELOW_FS" '$1 ~ "^/dev/" && $2 != ours && $4 ~ /^rw/ { print $2 }' \
		/proc/self/mounts
}

# may_disturb: whether nobody minds if all of them become read-only for a moment. Nobody
# does in a test machine of vinteg's own.
may_disturb()
{
	[ -z "$(others)" ] || grep -q ' vm\.token=' /proc/cmdline
}

# catches: ext4_sync_file(), which returns 0 there and does nothing.
emergency_read_only()
{
	local mounts mount

	prepare ext4 "$1"
	says ok blkio write $DEV 1M 64k
	says ok blkio flush $DEV
	says ok blkio write $DEV 1M 64k
	mounts=$(others)
	echo u >/proc/sysrq-trigger
	wait_for 30 is_read_only
	# All of them have become so by then, or will in a moment.
	sleep 1
	for mount in $mounts; do
		mount -o remount,rw "$mount"
	done
	# An overwrite needs nothing of the filesystem. It may even succeed.
	blkio write $DEV 1M 64k || true
	says EIO blkio flush $DEV
	says EIO blkio write $DEV 1M 64k fua
	[ "$(attr writeback_error)" != 0 ]
	mount -o remount,rw "$BELOW_FS"
	set_attr writeback_error 0
	says ok blkio flush $DEV
	says ok blkio write $DEV 1M 64k fua
}

was_touched()
{
	[ "$(stat -c %.9Y "$IMG")" != "$mtime" ]
}

# catches: the success of jbd2_complete_transaction() after a commit in the background has
# failed, until somebody starts a handle.
journal_fails_in_the_background()
{
	local mtime

	prepare ext4 "$1"
	mtime=$(stat -c %.9Y "$IMG")
	# The blocks have to be converted, which is in the running transaction.
	says ok blkio write $DEV 1M 64k
	# That starts a handle, too, once after a write: not between the commit and the FLUSH.
	wait_for 30 was_touched
	below_cut
	sync -f "$BELOW_FS" || true
	below_good
	says EIO blkio flush $DEV
	[ "$(attr writeback_error)" != 0 ]
}

# cut_and_shut_down PID: while that one waits for a sync, which the shutdown waits for, too.
cut_and_shut_down()
{
	local shutdown

	below_cut
	xfs_io -x -c "shutdown -f" "$BELOW_FS" &
	shutdown=$!
	wait "$1" || true
	wait $shutdown || true
}

# catches: the success that xfs makes of a failed log write if it is shutting down for
# another reason, and waits for that write, too.
shutdown_meets_a_sync()
{
	local flush

	prepare xfs none
	# The blocks have to be converted, which is for the log.
	says ok blkio write $DEV 1M 64k
	below_slow 1500 1500
	blkio flush $DEV >"$SCRATCH/flush" &
	flush=$!
	sleep 0.4
	cut_and_shut_down $flush
	says EIO cat "$SCRATCH/flush"
	[ "$(attr writeback_error)" != 0 ]
}

# catches: the same, of a durable write.
shutdown_meets_a_durable_write()
{
	local write

	prepare xfs "$1"
	below_slow 1500 1500
	blkio write $DEV 1M 64k fua >"$SCRATCH/write" &
	write=$!
	# The data first, then the log.
	sleep 2.2
	cut_and_shut_down $write
	says EIO cat "$SCRATCH/write"
}

has_error()
{
	[ "$(attr writeback_error)" != 0 ]
}

# catches: an error that the operator can't have known of, forgiven with the one he knew.
another_error_while_one_is_cleared()
{
	local first second

	prepare ext4 writethrough
	says ok blkio write $DEV 1M 64k
	says ok blkio write $DEV 2M 64k
	below_slow 4000 0
	blkio write $DEV 1M 64k >"$SCRATCH/first" &
	first=$!
	wait_for 10 writing 1
	sleep 0.3
	# Its sync is the next one.
	blkio write $DEV 2M 64k >"$SCRATCH/second" &
	second=$!
	wait_for 10 writing 2
	below_cut
	wait_for 10 has_error
	log_mark clear
	put $SYS/writeback_error 0 >"$SCRATCH/clear" || true
	wait $first $second || true
	says EBUSY cat "$SCRATCH/clear"
	log_lines clear | grep "not cleared"
	says EIO cat "$SCRATCH/first"
	says EIO cat "$SCRATCH/second"
	heal
	has_error
	says EIO blkio write $DEV 1M 64k
	set_attr writeback_error 0
	says ok blkio write $DEV 1M 64k
}

# catches: a write that began before the error was cleared, and went with it.
write_under_way_while_an_error_is_cleared()
{
	local write

	prepare ext4 none
	says ok blkio write $DEV 0 8M
	says ok blkio flush $DEV
	below_no_sync "$IMG"
	says EIO blkio flush $DEV
	below_good
	below_slow 1000 0
	blkio write $DEV 1M 64k seed=7 >"$SCRATCH/write" &
	write=$!
	sleep 0.4
	set_attr writeback_error 0
	wait $write || true
	says ok cat "$SCRATCH/write"
	below_slow 0 0
	says ok blkio flush $DEV
	says ok blkio verify $DEV 1M 64k seed=7
}

load
below_start fua slow && at_exit heal && modprobe -q dm-flakey && modprobe -q dm-delay ||
	ktap_exit_fail_msg "nothing to test on"
IMG=$BELOW_FS/img
for p in none writeback; do
	if ! may_disturb; then
		ktap_test_skip "$p: ext4 becomes read-only in an emergency: others would, too"
	else
		check "$p: ext4 becomes read-only in an emergency: no promise is made" \
			emergency_read_only $p
	fi
done
# On 6.1, ext4 does not tell.
case $(uname -r) in
6.1.*)	;;
*)	check "none: a commit of ext4's journal fails in the background" \
		journal_fails_in_the_background none ;;
esac
# It depends on which of two is woken first.
for i in 1 2 3; do
	check "xfs shuts down while it syncs ($i)" shutdown_meets_a_sync
	for p in none writethrough; do
		check "$p: xfs shuts down during a durable write ($i)" \
			shutdown_meets_a_durable_write $p
	done
done
check "an error that comes while another is cleared stays" another_error_while_one_is_cleared
check "a write that was under way while an error was cleared is done anew" \
	write_under_way_while_an_error_is_cleared
finish
