#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The promise itself, by cutting the power of the disk below: nothing reaches it any
# more, and what was in its volatile cache is gone when it comes back. What had been
# acknowledged as durable must be there then, and what was not must not: else the cut
# was none.

. "$(dirname "$0")/lib.sh"
start blkio dmsetup mkfs.ext4 mkfs.xfs filefrag blkdiscard
without_udev
. "$HERE/below.sh"

OLD=100	# seed of what is on the disk before
N=4	# requests of each kind

# The operations, on places of their own; "is_" says if the file shows the effect.
do_plain()	{ blkio write $DEV 1M 4k count=$N step=16k seed=1; }
is_plain()	{ blkio verify "$IMG" 1M 4k count=$N step=16k seed=1; }
do_fua()	{ blkio write $DEV 2M 4k count=$N step=16k seed=2 fua; }
is_fua()	{ blkio verify "$IMG" 2M 4k count=$N step=16k seed=2; }
do_flushed()	{ blkio write $DEV 0 4k count=$N step=16k seed=3 && blkio flush $DEV; }
is_flushed()	{ blkio verify "$IMG" 0 4k count=$N step=16k seed=3; }
do_discard()	{ blkio discard $DEV 3M 16k count=$N step=32k; }
is_discard()	{ blkio verify "$IMG" 3M 16k count=$N step=32k seed=0; }
do_zero()	{ blkio zero $DEV 3584k 16k count=$N step=32k; }
is_zero()	{ blkio verify "$IMG" 3584k 16k count=$N step=32k seed=0; }

# again: all as it was before the first property, after one that failed half-way, too.
again()
{
	[ -e $SYS ] || { unload_if_loaded; load; }
	[ -z "$(attr backing_file)" ] || put $SYS/reset <<<1
	[ -e $BELOW_MAP ] || below_map
	below_good
	come_back
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
	[ "$FS" = raw ] || mountpoint -q "$BELOW_FS" || mount $BELOW_MAP "$BELOW_FS"
}

# What a discard or zeroes are to remove is not at risk.
forget()
{
	if [ "$FS" = raw ]; then
		blkdiscard -l 4M $BELOW_MAP
	else
		[ "$(stat -c %b "$IMG")" -ge 8192 ] || below_file img 4
		below_forget "$IMG"
	fi
	blkio write "$IMG" 3M 64k count=16 seed=$OLD
	sync "$IMG"
}

# power_cut COMMAND...: the commands are done to vinteg0 on a file of fresh blocks, then the
# power is cut, and comes back.
power_cut()
{
	local step

	again
	forget
	bind "$IMG"
	for step; do
		$step
	done
	below_cut
	if [ -e $SYS ]; then
		settle
		# It unbinds, and says that the last sync failed if there was one.
		put $SYS/reset <<<1 || [ -z "$(attr backing_file)" ]
	fi
	go_away
	below_restart
	come_back
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

hot_remove()
{
	settle
	put $CONTROL/hot_remove <<<0
}

# Noticed by a check once a second, at the latest.
override()
{
	echo "write through" >$SYS/queue/write_cache
	sleep 2
	echo "write back" >$SYS/queue/write_cache
}

# catches: FUA flag dropped, and a cut that is none.
only_fua_survives()
{
	power_cut "to $1" do_fua do_plain
	is_fua
	is_lost plain
}

# catches: FLUSH completes without a sync.
flushed_survives()
{
	power_cut "to $1" do_flushed
	is_flushed
}

# catches: write-through without dsync, for either kind of write.
all_writes_survive()
{
	power_cut "to $1" do_fua do_plain
	is_fua
	is_plain
}

# catches: discard or write-zeroes not synced in write-through. A sync for the second
# would cover the first, so each is the second once.
deallocations_survive()
{
	power_cut "to $1" "do_$2" "do_$3"
	"is_$2"
	"is_$3"
}

nothing_survives()
{
	power_cut "to $1" do_fua do_flushed
	is_lost fua
	is_lost flushed
}

# survives OPERATION COMMAND...: done as the last of the commands.
survives()
{
	power_cut "${@:2}"
	"is_$1"
}

promises()
{
	local policy

	for policy in none guest writeback; do
		check "$ON: $policy: a FUA write survives, a plain one doesn't" \
			only_fua_survives $policy
		check "$ON: $policy: a write followed by a FLUSH survives" \
			flushed_survives $policy
	done
	for policy in directsync writethrough; do
		check "$ON: $policy: plain and FUA writes survive" all_writes_survive $policy
	done
	check "$ON: directsync: discard and write-zeroes survive" \
		deallocations_survive directsync discard zero
	check "$ON: writethrough: write-zeroes and discard survive" \
		deallocations_survive writethrough zero discard
	check "$ON: unsafe: nothing survives" nothing_survives unsafe
}

# catches: switch, unbind or override without a sync.
changes()
{
	check "$ON: writeback to none: a write before it survives" \
		survives plain "to writeback" do_plain "to none"
	check "$ON: none to directsync: a write before it survives" \
		survives plain "to none" do_plain "to directsync"
	check "$ON: unsafe to none: a FLUSH before it is made good" \
		survives flushed "to unsafe" do_flushed "to none"
	check "$ON: a write before a reset survives" \
		survives plain "to writeback" do_plain reset
	check "$ON: a write before hot_remove survives" survives plain do_plain hot_remove
	check "$ON: a write before rmmod survives" survives plain "to unsafe" do_plain unload
	check "$ON: queue/write_cache := write through: a write before it survives" \
		survives plain "to writeback" do_plain override
}

# Fewer, where only the filesystem or the disk differs.
essentials()
{
	check "$ON: none: a FUA write survives, a plain one doesn't" only_fua_survives none
	check "$ON: none: a write followed by a FLUSH survives" flushed_survives none
	check "$ON: directsync: plain and FUA writes survive" all_writes_survive directsync
}

load
below_start fua || ktap_exit_fail_msg "no disk"
ON=ext4
new_image ext4
promises
changes
umount "$BELOW_FS"
ON=xfs
new_image xfs
essentials
check "$ON: directsync: discard and write-zeroes survive" \
	deallocations_survive directsync discard zero
umount "$BELOW_FS"
ON="raw disk"
new_image raw
essentials
below_stop

# Where null_blk always has FUA (6.1), a disk without it can't lose its cache.
if modinfo -p null_blk | grep -q ^fua:; then
	below_start nofua || ktap_exit_fail_msg "no disk"
	ON="ext4 without FUA"
	new_image ext4
	essentials
	check "$ON: writeback: a FUA write survives, a plain one doesn't" \
		only_fua_survives writeback
fi
finish
