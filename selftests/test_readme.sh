#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The examples of README, word by word, and what is installed besides the module: the rule
# for udev, the example for modprobe.d. They are not a part of the kernel: where they are
# not installed, this is skipped.

. "$(dirname "$0")/lib.sh"

PREFIX=$(realpath "$(command -v vintegctl || echo /usr/local/sbin/vintegctl)")
PREFIX=${PREFIX%/sbin/vintegctl}
README=$PREFIX/share/doc/vinteg/README
if [ ! -e "$README" ] || ! modprobe -n -q vinteg; then
	skip_all "vinteg is not installed"
fi
start mkfs.ext4 mkfs.xfs sfdisk unshare

# life FROM TO: the indented lines of README between two lines of "A disk's life".
life()
{
	sed -n "/^A disk's life/,/^Cache policies/p" "$README" |
		sed -n "/^$1/,/^$2/{/^  /s/^  //p}" >"$SCRATCH/lines"
	cat "$SCRATCH/lines"
	[ -s "$SCRATCH/lines" ]
}

# at_home COMMAND...: runs it where /srv and /mnt are empty, and whatever it leaves mounted
# is gone afterwards.
at_home()
{
	unshare --mount --propagation private bash -euc "
		mount --bind '$SCRATCH/srv' /srv
		mount -t tmpfs tmpfs /mnt
		\"\$@\"" at_home "$@"
}

leave_nothing()
{
	[ ! -e /sys/module/vinteg ] || unload
}

# session: runs the commands of a session, those after "# ", and prints it anew.
session()
{
	local line

	while read -r line; do
		case $line in
		"# "*)
			echo "$line"
			eval "${line#\# }"
			;;
		esac
	done
}

# blanks: how the columns are apart is not what matters.
blanks()
{
	tr -s ' '
}

# catches: an example that doesn't work, or shows something else.
with_the_tool()
{
	leave_nothing
	rm -f "$SCRATCH/srv"/*
	life "With the tool" "Without it"
	export -f session
	at_home session <"$SCRATCH/lines" >"$SCRATCH/session"
	diff <(blanks <"$SCRATCH/lines") <(blanks <"$SCRATCH/session")
}

# The commands are followed by what they are for. The file and its filesystem come from
# the example before.
without_it()
{
	leave_nothing
	life "Without it" "All at once"
	sed 's/  .*//' "$SCRATCH/lines" >"$SCRATCH/commands"
	[ "$(wc -l <"$SCRATCH/commands")" -ge 10 ]
	# Udev looks at the disk for a moment.
	sed -i 's/.*> \(backing_file\|reset\|.*hot_remove\)$/udevadm settle; &/' "$SCRATCH/commands"
	[ "$(grep -c settle "$SCRATCH/commands")" = 3 ]
	at_home bash -eu "$SCRATCH/commands" >"$SCRATCH/session"
	cat "$SCRATCH/session"
	[ "$(cat "$SCRATCH/session")" = 2 ]
	[ "$(echo /sys/block/vinteg*)" = "/sys/block/vinteg0 /sys/block/vinteg1" ]
	[ "$(attr backing_file)" = "" ]
}

# value PARAMETER LINE
value()
{
	xargs -n 1 <<<"$2" | sed -n "s/^$1=//p"
}

# bound_as_told: what the line says of each file holds for a device.
bound_as_told()
{
	local files policies read_only i

	IFS=, read -ra files <<<"$(value backing_file "$1")"
	IFS=, read -ra policies <<<"$(value cache_policy "$1")"
	IFS=, read -ra read_only <<<"$(value read_only "$1")"
	[ ${#files[@]} -ge 2 ]
	for i in "${!files[@]}"; do
		[ "$(attr backing_file "vinteg$i")" = "${files[i]}" ]
		[ "$(policy "vinteg$i")" = "${policies[i]}" ]
		[ "$(attr ro "vinteg$i")" = "${read_only[i]:-0}" ]
	done
}

# at_load LINE: as it is in /etc/modprobe.d.
at_load()
{
	leave_nothing
	echo "$1"
	mkdir -p "$SCRATCH/modprobe.d"
	echo "$1" >"$SCRATCH/modprobe.d/vinteg.conf"
	truncate -s 16M "$SCRATCH/srv"/{a,b}.img
	export -f bound_as_told value attr policy
	at_home bash -euc "modprobe -C '$SCRATCH/modprobe.d' vinteg; bound_as_told '$1'"
}

all_at_once()
{
	life "All at once" "The files have"
	[ "$(wc -l <"$SCRATCH/lines")" = 1 ]
	at_load "$(cat "$SCRATCH/lines")"
}

example_of_modprobe()
{
	at_load "$(grep '^options' "$PREFIX/share/doc/vinteg/modprobe.conf")"
}

# rule: the one that is shipped takes effect.
rule()
{
	mkdir -p /run/udev/rules.d
	at_exit udevadm control --reload
	at_exit rm -f /run/udev/rules.d/60-vinteg.rules
	cp "${PREFIX%/usr/local}/etc/udev/rules.d/60-vinteg.rules" /run/udev/rules.d/ &&
		udevadm control --reload
}

# links_to LINK DISK: or what udev knows of the disk is told.
links_to()
{
	wait_for 10 is_link_to "$@" || { udevadm info "$2"; return 1; }
}

is_link_to()
{
	[ "$(readlink -f "/dev/disk/$1")" = "$2" ]
}

# catches: a rule that does not match, or a link that stays.
links_come_and_go()
{
	leave_nothing
	load num_devices=2
	truncate -s 8M "$SCRATCH/srv/fs.img"
	mkfs.ext4 -q -L above -U 11111111-2222-3333-4444-555555555555 "$SCRATCH/srv/fs.img"
	bind "$SCRATCH/srv/fs.img"
	links_to by-uuid/11111111-2222-3333-4444-555555555555 $DEV
	links_to by-label/above $DEV
	reset
	[ ! -e /dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 ]
	[ ! -e /dev/disk/by-label/above ]
}

# catches: partitions that are forgotten.
partitions_have_links()
{
	truncate -s 8M "$SCRATCH/srv/parts.img"
	echo "size=2M, uuid=AAAAAAAA-2222-3333-4444-555555555555" |
		sfdisk -q -X gpt "$SCRATCH/srv/parts.img"
	bind "$SCRATCH/srv/parts.img"
	links_to by-partuuid/aaaaaaaa-2222-3333-4444-555555555555 "$DEV"p1
	reset
	[ ! -e /dev/disk/by-partuuid/aaaaaaaa-2222-3333-4444-555555555555 ]
}

# catches: a rule that has udev open the disk after each close, which is in the way.
nobody_looks_after_a_write()
{
	local i

	truncate -s 8M "$SCRATCH/srv/empty.img"
	bind "$SCRATCH/srv/empty.img"
	for i in {1..30}; do
		dd if=/dev/zero of=$DEV bs=4k count=1 status=none
		set_attr reset 1
		bind "$SCRATCH/srv/empty.img"
	done
	# So a filesystem made on the bound disk has no link yet; README says what to do.
	mkfs.ext4 -q -U 22222222-2222-3333-4444-555555555555 $DEV
	settle
	[ ! -e /dev/disk/by-uuid/22222222-2222-3333-4444-555555555555 ]
	i=$(sed -n 's/^ *\(udevadm trigger [^ ]*\)\. .*/\1/p' "$README")
	[ -n "$i" ]
	eval "$i"
	settle
	links_to by-uuid/22222222-2222-3333-4444-555555555555 $DEV
	reset
}

mkdir "$SCRATCH/srv"
modprobe -q xfs || true	# built into some kernels
must make_disk vtreadme 320
must mkfs.xfs -q /dev/vtreadme
must mount /dev/vtreadme "$SCRATCH/srv"
at_exit umount "$SCRATCH/srv"
at_exit unload_if_loaded
check "README: a disk's life, with the tool" with_the_tool
check "README: a disk's life, without it" without_it
check "README: all at once, when the module is loaded" all_at_once
check "modprobe.conf: the example" example_of_modprobe
must rule
check "the rule for udev: links come and go" links_come_and_go
check "the rule for udev: partitions have links" partitions_have_links
check "the rule for udev: nobody looks at the disk after a write" nobody_looks_after_a_write
leave_nothing
finish
