# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Cutting the power of the disk below: nothing reaches it any more, and what was in its
# volatile cache is gone when it comes back. What had been acknowledged as durable must
# be there then, and what was not must not: else the cut was none.
#
# To be sourced after below.sh.
#
#	on fua ext4			# what the following is about
#	property "what must hold" FUNCTION [ARGUMENT...]

OLD=100	# seed of what is on the disk before
N=4	# requests of each kind

# The operations, on places of their own; "is_" says if the file shows the effect.
do_plain()	{ blkio write "$DEV" 1M 4k count=$N step=16k seed=1; }
is_plain()	{ blkio verify "$IMG" 1M 4k count=$N step=16k seed=1; }
do_fua()	{ blkio write "$DEV" 2M 4k count=$N step=16k seed=2 fua; }
is_fua()	{ blkio verify "$IMG" 2M 4k count=$N step=16k seed=2; }
do_flushed()	{ blkio write "$DEV" 0 4k count=$N step=16k seed=3 && blkio flush "$DEV"; }
is_flushed()	{ blkio verify "$IMG" 0 4k count=$N step=16k seed=3; }
do_discard()	{ blkio discard "$DEV" 3M 16k count=$N step=32k; }
is_discard()	{ blkio verify "$IMG" 3M 16k count=$N step=32k seed=0; }
do_zero()	{ blkio zero "$DEV" 3584k 16k count=$N step=32k; }
is_zero()	{ blkio verify "$IMG" 3584k 16k count=$N step=32k seed=0; }

# on DISK FS: the disk, as of below_start, and the kind of backing file: a file on ext4 or
# xfs, or the "raw" disk.
on()
{
	ON=("$@")
}

# property TEXT FUNCTION...: what it is about is only made if this one is selected.
property()
{
	selected "$1" || return 0
	if [ "${ON[0]}" != "${MADE[0]:-}" ]; then
		below_stop
		# shellcheck disable=SC2086 # words
		below_start ${ON[0]} || ktap_exit_fail_msg "no disk"
	fi
	if [ "${ON[*]}" != "${MADE[*]:-}" ]; then
		! mountpoint -q "$BELOW_FS" || umount "$BELOW_FS"
		new_image "${ON[1]}"
		MADE=("${ON[@]}")
	fi
	check "$@"
}

# again: all as it was before the first property, after one that failed half-way, too.
again()
{
	[ -e "$SYS" ] || { unload_if_loaded; load; }
	wait_for 20 unbound
	if [ -e "$SCRATCH/half-way" ]; then
		! mountpoint -q "$BELOW_FS" || umount "$BELOW_FS"
		below_unmap
		below_map
	fi
	come_back
	touch "$SCRATCH/half-way"
}

# unbound: if its last sync fails, that is reported, and the file is let go of anyway.
unbound()
{
	[ -z "$(attr backing_file)" ] || put "$SYS/reset" <<<1 || [ -z "$(attr backing_file)" ]
}

# new_image FS, go_away, come_back, forget: for the kind of backing file that FS is.
new_image()
{
	FS=$1
	IMG=$BELOW_FS/img
	if [ "$FS" = raw ]; then
		IMG=$BELOW_MAP
	else
		below_mount "$FS" && below_file img 4 || ktap_exit_fail_msg "no $FS"
	fi
}

go_away()
{
	[ "$FS" = raw ] || umount "$BELOW_FS"
}

come_back()
{
	[ "$FS" = raw ] || mountpoint -q "$BELOW_FS" || mount "$BELOW_MAP" "$BELOW_FS"
}

# What is in the file before. What a discard or zeroes are to remove is not at risk.
forget()
{
	if [ "$FS" = raw ]; then
		blkdiscard -l 4M "$BELOW_MAP"
	else
		[ "$(stat -c %b "$IMG")" -ge 8192 ] || below_file img 4
		below_forget "$IMG"
	fi
	blkio write "$IMG" 3M 64k count=16 seed=$OLD
	sync "$IMG"
}

hole()
{
	truncate -s 0 "$IMG"
	truncate -s 4M "$IMG"
	sync "$IMG"
}

preallocated()
{
	truncate -s 0 "$IMG"
	fallocate -l 4M "$IMG"
	sync "$IMG"
}

# power_cut COMMAND...: the commands are done to vinteg0 on a file of fresh blocks, or on
# what $before makes of it, then the power is cut, and comes back.
power_cut()
{
	local step

	again
	${before:-forget}
	bind "$IMG"
	for step; do
		$step
	done
	below_cut
	wait	# for what was still under way
	if [ -e "$SYS" ]; then
		settle
		unbound
	fi
	go_away
	below_restart
	come_back
	rm "$SCRATCH/half-way"
}

to()
{
	set_attr cache_policy "$1"
}

# The control: without it "survives" could be due to a cut that cuts nothing.
is_lost()
{
	local said

	said=$("is_$1") || true
	[[ $said == of* ]]
}

