#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What udev is told of bind, unbind and resize.

. "$(dirname "$0")/lib.sh"

HEARD=

# listen: all that the kernel says of block devices, into a file.
listen()
{
	HEARD=$SCRATCH/heard
	udevadm monitor --kernel --property --subsystem-match=block >"$HEARD" &
	at_exit stop_listening $!
	wait_for 20 heartbeat
}

stop_listening()
{
	kill "$1"
	wait "$1"
}

# heartbeat: an event of our own, so that all before it have been heard.
heartbeat()
{
	local beat=${EPOCHREALTIME/./}

	echo "change aaaaaaaa-0000-0000-0000-000000000000 BEAT=$beat" >/sys/block/vinteg2/uevent
	wait_for 2 grep -q "^SYNTH_ARG_BEAT=$beat\$" "$HEARD"
}

# events COMMAND...: those of the disk and its partitions meanwhile, one a line: action,
# name, and the properties that matter. Without those that udev made up itself.
events()
{
	local from

	settle
	heartbeat
	from=$(wc -l <"$HEARD")
	"$@"
	settle
	heartbeat
	tail -n +$((from + 1)) "$HEARD" | awk -v RS= '
		/SYNTH_UUID/ { next }
		{
			action = name = rest = ""
			for (i = 1; i <= NF; i++) {
				split($i, pair, "=")
				if (pair[1] == "ACTION") action = pair[2]
				if (pair[1] == "DEVNAME") name = pair[2]
				if (pair[1] ~ /^(RESIZE|DISKSEQ|DISK_RO)$/) rest = rest " " $i
			}
			sub(".*/", "", name)
			if (name ~ /^vinteg[01]/) print action, name rest
		}' >"$SCRATCH/events"
	cat "$SCRATCH/events"
}

changes()
{
	grep '^change vinteg0\( \|$\)' "$SCRATCH/events"
}

udev_knows()
{
	udevadm info --query=property --name="$1" | grep -x "$2"
}

# catches: no event, or one before capacity, policy and partitions are there: udev would
# find nothing. A second one makes everybody look twice.
bind_is_told_once()
{
	local before

	before=$(attr diskseq)
	events set_attr backing_file "$SCRATCH/fs.img"
	[ "$(changes | wc -l)" = 1 ]
	[ "$(attr diskseq)" -gt "$before" ]
	changes | grep -w "DISKSEQ=$(attr diskseq)"
	udev_knows $DEV ID_FS_TYPE=ext4
	udev_knows $DEV ID_FS_LABEL=inside
}

# catches: the old content still offered, a sequence number that makes the empty disk
# look like the full one.
unbind_is_told_once()
{
	local before

	before=$(attr diskseq)
	events set_attr reset 1
	[ "$(changes | wc -l)" = 1 ]
	[ "$(attr diskseq)" -gt "$before" ]
	changes | grep -w "DISKSEQ=$(attr diskseq)"
	fails udev_knows $DEV ID_FS_TYPE=ext4
}

# catches: partitions announced after the disk, or not taken back.
partitions_come_first()
{
	set_attr cache_policy writeback
	set_attr logical_block_size 512
	events set_attr backing_file "$SCRATCH/parts.img"
	# The kernel itself sends one when it has found a partition table.
	[ "$(cut -d' ' -f 1,2 "$SCRATCH/events" | xargs)" = \
		"change vinteg0 add vinteg0p1 add vinteg0p2 change vinteg0" ]
	udev_knows $DEV ID_PART_TABLE_TYPE=gpt
	[ -b "$DEV"p2 ]
	events set_attr reset 1
	[ "$(cut -d' ' -f 1,2 "$SCRATCH/events" | sort | xargs)" = \
		"change vinteg0 remove vinteg0p1 remove vinteg0p2" ]
	[ "$(tail -n 1 "$SCRATCH/events" | cut -d' ' -f 1)" = change ]
}

# catches: a read-only disk that nobody is told of.
read_only_is_told()
{
	set_attr read_only 1
	events set_attr backing_file "$SCRATCH/fs.img"
	[ "$(changes | wc -l)" = 1 ]
	[ "$(attr ro)" = 1 ]
	events set_attr reset 1
	[ "$(changes | wc -l)" = 1 ]
}

# catches: a resize without an event, or with that of another disk.
resize_is_told_once()
{
	local before

	truncate -s 4M "$SCRATCH/a.img"
	events set_attr backing_file "$SCRATCH/a.img"
	before=$(attr diskseq)
	truncate -s 8M "$SCRATCH/a.img"
	events set_attr rescan 1
	[ "$(changes | grep -cw RESIZE=1)" = 1 ]
	[ "$(changes | wc -l)" = 1 ]
	truncate -s 6M "$SCRATCH/a.img"
	events set_attr rescan 1
	[ "$(changes | grep -cw RESIZE=1)" = 1 ]
	[ "$(changes | wc -l)" = 1 ]
	# It is the same disk still.
	[ "$(attr diskseq)" = "$before" ]
	reset
}

# catches: noise.
nothing_to_tell()
{
	local before

	bind "$SCRATCH/fs.img"
	events nothing_while_bound
	[ ! -s "$SCRATCH/events" ]
	reset
	before=$(attr diskseq)
	events nothing_while_unbound
	[ ! -s "$SCRATCH/events" ]
	[ "$(attr diskseq)" = "$before" ]
}

nothing_while_bound()
{
	set_attr rescan 1
	set_attr cache_policy unsafe
	set_attr cache_policy writeback
	refuses EBUSY backing_file "$SCRATCH/fs.img"
	refuses EBUSY read_only 1
	set_attr writeback_error 0
}

nothing_while_unbound()
{
	refuses ENOENT backing_file /missing
	refuses EISDIR backing_file /
	set_attr read_only 1
	set_attr reset 1
}

# catches: a device that udev is not told of.
devices_are_told()
{
	events cat "$CONTROL/hot_add"
	[ "$(cut -d' ' -f 1,2 "$SCRATCH/events")" = "add vinteg1" ]
	udev_has_seen vinteg1
	events eval "echo 1 >$CONTROL/hot_remove"
	[ "$(cut -d' ' -f 1,2 "$SCRATCH/events")" = "remove vinteg1" ]
}

# bind_early: somebody binds a device as soon as it has an attribute for that.
bind_early()
{
	local file=/sys/devices/virtual/block/vinteg1/backing_file binders=() _

	for _ in 1 2; do
		while :; do
			echo "$SCRATCH/fs.img" >$file || true
		done 2>/dev/null &
		binders+=($!)
	done
	for _ in {1..40}; do
		cat "$CONTROL/hot_add"
		wait_for 20 put "$CONTROL/hot_remove" 1 >/dev/null
	done
	kill "${binders[@]}"
	wait "${binders[@]}" || true
}

# catches, if it is lucky: a device that can be bound before it is announced. The event of
# the binding then comes first, or that of the device twice.
never_too_early()
{
	events bind_early >"$SCRATCH/all"
	[ "$(grep -c '^add vinteg1\( \|$\)' "$SCRATCH/events")" = 40 ]
	# shellcheck disable=SC2016 # these are awk's
	fails awk '
		$2 == "vinteg1" && there == ($1 == "add") {
			print there ? "there: " : "not there: ", $0
			found = 1
		}
		$2 == "vinteg1" { there = $1 != "remove" }
		END { exit !found }' "$SCRATCH/events"
}

# catches: a device that was refused to udev when it wanted to look at it: udev keeps a
# file, empty perhaps, for all that it has looked at.
udev_has_seen()
{
	local name

	for name in "$@"; do
		[ -e "/run/udev/data/b$(attr dev "$name")" ]
	done
}

# prober: udev looks into disks whose names it knows only.
prober()
{
	local rules=/run/udev/rules.d/60-vinteg-test.rules

	mkdir -p "${rules%/*}"
	at_exit udevadm control --reload
	at_exit rm $rules
	echo 'SUBSYSTEM=="block", KERNEL=="vinteg*", IMPORT{builtin}="blkid"' >$rules
	udevadm control --reload
}

start mkfs.ext4 sfdisk
truncate -s 8M "$SCRATCH/parts.img"
printf 'size=2M\nsize=3M\n' | sfdisk -q -X gpt "$SCRATCH/parts.img"
truncate -s 4M "$SCRATCH/fs.img"
must mkfs.ext4 -q -L inside "$SCRATCH/fs.img"
must load num_devices=3
check "udev has seen the devices that were made when the module was loaded" \
	udev_has_seen vinteg0 vinteg1 vinteg2
echo 1 >"$CONTROL/hot_remove"
settle
must prober
must listen
check "bind: one event, after everything is set; a new sequence number" bind_is_told_once
check "reset: one event, after everything is gone; a new sequence number" unbind_is_told_once
check "partitions are announced before the disk, and taken back before it" partitions_come_first
check "a read-only binding: one event" read_only_is_told
check "resize: one event that says so, the same sequence number" resize_is_told_once
check "no event when nothing has changed" nothing_to_tell
check "hot_add and hot_remove: one event each" devices_are_told
check "a new device can't be bound before it is announced" never_too_early
finish
