#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# demo-guest.sh write|check RUN: the demo's part inside the test machine, before and
# after the power cut. What it prints is read by people, except for the lines that
# begin with "@", which are for demo.sh.

set -euo pipefail

POLICIES="none directsync writethrough writeback guest unsafe"
DISK=/dev/disk/by-id/virtio-volatile
LEDGER=/dev/virtio-ports/ledger
# Kept by every policy: they are on the disk before the rest is written.
SETTLED=20

phase=$1 run=$2
cd "$(dirname "$0")"

# show COMMAND-LINE
show()
{
	printf '    # %s\n' "$1"
	eval "$1" 2>&1 | sed 's/^/    /'
}

# list FORMAT SEPARATOR: one item per policy.
list()
{
	local policy out=''

	for policy in $POLICIES; do
		# shellcheck disable=SC2059 # the format is the argument
		out+=${out:+$2}$(printf "$1" "$policy")
	done
	echo "$out"
}

load()
{
	local params

	params=("backing_file=$(list /host/%s.img ,)" "cache_policy=$(list %s ,)")
	printf '    # modprobe vinteg%s\n' "$(printf ' \\\n          %s' "${params[@]}")"
	modprobe vinteg "${params[@]}"
	udevadm settle
}

attributes()
{
	local dev

	printf '    %-9s %-24s %-13s %-12s %s\n' device backing_file cache_policy write_cache fua
	for dev in /sys/block/vinteg[0-5]; do
		printf '    %-9s %-24s %-13s %-12s %s\n' "${dev##*/}" "$(<"$dev/backing_file")" \
			"$(sed 's/.*\[\(.*\)\].*/\1/' "$dev/cache_policy")" \
			"$(<"$dev/queue/write_cache")" "$(<"$dev/queue/fua")"
	done
}

# each COMMAND: for every device, with its number and its policy.
each()
{
	local policy n=0

	for policy in $POLICIES; do
		"$@" $n "$policy"
		n=$((n + 1))
	done
}

make_fs()
{
	mkfs.ext4 -q "/dev/vinteg$1"
	mkdir -p "/mnt/$2"
	mount "/dev/vinteg$1" "/mnt/$2"
}

records()
{
	local policy

	for policy in $POLICIES; do
		echo "$policy=/mnt/$policy/records"
	done
}

phase_write()
{
	local policy

	# The ledger's port: built in, in some kernels, and then older than udev.
	modprobe virtio_console
	udevadm trigger --subsystem-match=virtio-ports --action=add
	udevadm settle
	echo "@step $(uname -r) is up: a filesystem on its disk, as a host has it, and six files"
	mkfs.ext4 -q "$DISK"
	mkdir -p /host
	mount "$DISK" /host
	for policy in $POLICIES; do
		truncate -s 64M "/host/$policy.img"
	done
	show 'ls -s --block-size=K /host/*.img'
	echo "@step loading the module: one device per file, each with another cache policy"
	load
	show 'lsblk -o NAME,SIZE,TYPE,RO,MOUNTPOINTS /dev/vinteg?'
	echo "Their attributes, from /sys/block:"
	attributes
	echo "@step making a filesystem on each device, and mounting it"
	each make_fs
	show 'findmnt -nl -o SOURCE,TARGET,FSTYPE -t ext4 | grep vinteg'
	echo "@step writing: six programs append records; each calls fsync after every record"
	# shellcheck disable=SC2046 # one argument per record
	./writer "$run" 0 $SETTLED $LEDGER $(records)
	echo "After $SETTLED records each: one 'sync' of the whole machine, so that even"
	echo "'unsafe' has something on the disk. From here on nobody helps it."
	sync
	echo "@writing"
	# shellcheck disable=SC2046
	exec ./writer "$run" $SETTLED 0 $LEDGER $(records)
}

# judge N POLICY: "@found POLICY FOUND FILESYSTEM"
judge()
{
	local dev=/dev/vinteg$1 policy=$2 found=0 state=clean

	mkdir -p "/mnt/$policy"
	if mount "$dev" "/mnt/$policy"; then
		found=$(./checker "$run" ledger "$policy=/mnt/$policy/records" |
			sed 's/.* found //')
		umount "/mnt/$policy"
		e2fsck -fn "$dev" >"e2fsck-$policy" 2>&1 || state=damaged
	else
		state=unmountable
	fi
	echo "@found $policy $found $state"
}

phase_check()
{
	echo "@step $(uname -r) is up again"
	mkdir -p /host
	mount "$DISK" /host
	load
	echo "@step looking for every record that was acknowledged"
	each judge
	rmmod vinteg
	umount /host
}

case $phase in
write)	phase_write ;;
check)	phase_check ;;
*)	exit 2 ;;
esac
