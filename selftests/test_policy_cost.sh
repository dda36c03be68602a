#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What a request costs the disk below the host filesystem, per policy: data writes,
# FUA writes and flushes that this disk completes. No room for a journal commit.

. "$(dirname "$0")/lib.sh"
start blkio dmsetup mkfs.ext4 mkfs.xfs lsblk
without_udev
. "$HERE/below.sh"

N=8	# requests of each kind

# costs WRITES FUA FLUSHES COMMAND...: a number may be "<=NUMBER".
costs()
{
	local want=("$1" "$2" "$3") got i
	shift 3

	below_count "$@"
	got=("$W" "$FUA" "$FL")
	echo "$*: writes $W, of them FUA $FUA, flushes $FL; expected ${want[*]}"
	for i in 0 1 2; do
		case ${want[i]} in
		"<="*)	[ "${got[i]}" -le "${want[i]#<=}" ] ;;
		*)	[ "${got[i]}" -eq "${want[i]}" ] ;;
		esac
	done
}

# writes_cost WRITES FUA FLUSHES [OPTION...]: of 4 KiB each, one after the other.
writes_cost()
{
	costs "$1" "$2" "$3" blkio write $DEV 1M 4k count=$N "${@:4}"
}

nothing_dirty()
{
	blkio flush $DEV
	costs 0 0 "$1" blkio flush $DEV
}

# direct DISK: what a durable direct write costs there.
durable_direct()
{
	case $1 in
	fua)	echo "$N $N 0" ;;
	nofua)	echo "$N 0 $N" ;;
	esac
}

# catches: a FUA write that commits the journal, syncs other data or flushes twice; a
# plain write that is durable for nothing.
none_costs()
{
	set_attr cache_policy "$2"
	writes_cost $N 0 0
	# shellcheck disable=SC2046 # three numbers
	writes_cost $(durable_direct "$1") fua
	nothing_dirty "<=1"
}

# catches: write-through without dsync (no FUA, no flush); a FLUSH with a price.
directsync_costs()
{
	set_attr cache_policy directsync
	# shellcheck disable=SC2046 # three numbers
	writes_cost $(durable_direct "$1")
	# shellcheck disable=SC2046 # three numbers
	writes_cost $(durable_direct "$1") fua
	costs 0 0 0 blkio flush $DEV
}

# catches: the same through the page cache, which has to be flushed after each write.
writethrough_costs()
{
	set_attr cache_policy writethrough
	writes_cost $N 0 $N
	writes_cost $N 0 $N fua
	costs 0 0 0 blkio flush $DEV
}

# catches: a FUA write that syncs the rest of the file, which is dirty here.
writeback_costs()
{
	set_attr cache_policy writeback
	costs 0 0 0 blkio write $DEV 2M 64k
	writes_cost 0 0 0
	writes_cost $N 0 $N fua
	nothing_dirty "<=1"
}

# catches: "unsafe" that pays for what it doesn't give.
unsafe_costs()
{
	set_attr cache_policy unsafe
	writes_cost 0 0 0
	writes_cost 0 0 0 fua
	costs 0 0 0 blkio flush $DEV
}

# A raw disk. Whoever waits for a durable write himself flushes the disk, although FUA was
# enough: so nobody must.
# catches: a synchronous kiocb, which pays for each FUA write with a FLUSH besides.
raw_disk_costs()
{
	set_attr cache_policy none
	writes_cost $N 0 0
	# shellcheck disable=SC2046 # three numbers
	writes_cost $(durable_direct "$1") fua
	# shellcheck disable=SC2046 # three numbers
	[ "$1" = nofua ] || writes_cost $(durable_direct "$1") fua depth=$N
	nothing_dirty "<=1"
	directsync_costs "$1"
	set_attr cache_policy guest
	# shellcheck disable=SC2046 # three numbers
	writes_cost $(durable_direct "$1") fua
}

# catches: discards and zeroes of a write-through policy that stay in the journal.
deallocations_cost()
{
	local op

	for op in discard zero; do
		set_attr cache_policy none
		below_count blkio $op $DEV 4M 64k
		echo "none: $op: flushes $FL, FUA $FUA"
		[ $((FL + FUA)) = 0 ]
		set_attr cache_policy directsync
		below_count blkio $op $DEV 5M 64k
		echo "directsync: $op: writes $W, flushes $FL, FUA $FUA"
		[ "$W" -gt 0 ]
		[ $((FL + FUA)) -gt 0 ]
	done
}

load
for disk in fua nofua; do
	below_start $disk || ktap_exit_fail_msg "no disk ($disk)"
	for fs in ext4 xfs; do
		below_mount $fs && below_file img 8 || ktap_exit_fail_msg "no $fs"
		bind "$BELOW_FS/img" || ktap_exit_fail_msg "can't bind a file on $fs"
		on="$fs on a disk with FUA"
		[ $disk = fua ] || on="$fs on a disk without FUA"
		check "$on: cost of none" none_costs $disk none
		check "$on: cost of directsync" directsync_costs $disk
		check "$on: cost of writethrough" writethrough_costs
		check "$on: cost of writeback" writeback_costs
		check "$on: cost of guest" none_costs $disk guest
		check "$on: cost of unsafe" unsafe_costs
		check "$on: cost of discard and write-zeroes" deallocations_cost
		reset
		umount "$BELOW_FS"
	done
	bind $BELOW_MAP || ktap_exit_fail_msg "can't bind a raw disk"
	check "raw disk ${on#* on a disk }: cost of durable writes" raw_disk_costs $disk
	reset
	below_stop
done
finish
