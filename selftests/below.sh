# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The disk below the host filesystem: in memory, with a volatile cache, under a
# device-mapper name, so that it can fail, be cut off, and come back without what
# was in its cache. What reaches it is counted by its completed requests.
#
# To be sourced after lib.sh, and wants without_udev. These functions are not for the
# inside of a property, except where it is said.

BELOW=vtbelow				# the disk
BELOW_MAP=/dev/mapper/vtmap		# what filesystems are made on; or vtslow
BELOW_SIZE=400				# MiB; xfs wants 300
BELOW_FS=$SCRATCH/below			# where they are mounted
BELOW_TRACE=/sys/kernel/tracing/instances/$BELOW

# below_start fua|nofua [slow]: a disk with a volatile cache, with FUA or without; one
# that can be slow.
below_start()
{
	local option=()

	BELOW_MAP=/dev/mapper/vtmap
	[ "${2:-}" != slow ] || BELOW_MAP=/dev/mapper/vtslow
	modprobe null_blk nr_devices=0 || return
	[ "$1" = fua ] || ! modinfo -p null_blk | grep -q "^fua:" || option=(fua=0)
	make_disk $BELOW $BELOW_SIZE cache_size=128 "${option[@]}" || return
	BELOW_LOOP=
	if [ "$1" = nofua ] && [ ${#option[@]} = 0 ]; then
		# Before 6.12 null_blk always has FUA. Loop never has.
		modprobe -q loop || true	# built into some kernels
		BELOW_LOOP=y
	fi
	# Before the disk itself is removed.
	at_exit below_stop
	below_node || return
	BELOW_SECTORS=$(blockdev --getsz "$BELOW_NODE") || return
	mkdir -p "$BELOW_FS"
	below_map
}

# below_is_mounted: one that has shut down can't be asked itself.
below_is_mounted()
{
	grep -q " $BELOW_FS " /proc/self/mounts
}

below_stop()
{
	! below_is_mounted || umount "$BELOW_FS"
	[ ! -d $BELOW_TRACE ] || rmdir $BELOW_TRACE
	below_unmap
	if [ -e /dev/$BELOW ]; then
		below_no_node
		remove_disk $BELOW
	fi
}

# below_node, below_no_node: what the map is above. Loop passes all on at once, flushes
# included, and keeps nothing in a cache of its own.
below_node()
{
	BELOW_NODE=/dev/$BELOW
	[ -z "$BELOW_LOOP" ] ||
		BELOW_NODE=$(losetup --find --show --direct-io=on /dev/$BELOW)
}

below_no_node()
{
	[ -z "$BELOW_LOOP" ] || losetup -d "$BELOW_NODE"
}

# What is slow lies above what can be cut off, so that a cut is not late.
below_map()
{
	dm create vtmap --table "0 $BELOW_SECTORS linear $BELOW_NODE 0" || return
	[ $BELOW_MAP = /dev/mapper/vtmap ] || dm create vtslow --table "$(below_slow_table 0 0)"
}

below_unmap()
{
	[ ! -e /dev/mapper/vtslow ] || dm remove --retry vtslow || return
	[ ! -e /dev/mapper/vtmap ] || dm remove --retry vtmap
}

below_slow_table()
{
	local map=/dev/mapper/vtmap

	echo "0 $BELOW_SECTORS delay $map 0 ${3:-0} $map 0 $1 $map 0 $2"
}

# below_load MAP: gives it another device-mapper table, which is read from standard input.
# Nothing is flushed before.
below_load()
{
	dm load "$1" && dm suspend --noflush --nolockfs "$1" && dm resume "$1"
}

# below_slow WRITE FLUSH [READ]: how many milliseconds each takes from now on. May be used
# inside of a property.
below_slow()
{
	below_slow_table "$@" | below_load vtslow
}

# below_slow_part FIRST COUNT WRITE: so many milliseconds each write to these sectors takes,
# and all else nothing.
below_slow_part()
{
	local map=/dev/mapper/vtmap end=$(($1 + $2))

	printf '%s\n' "0 $1 linear $map 0" "$1 $2 delay $map $1 0 $map $1 $3 $map $1 0" \
		"$end $((BELOW_SECTORS - end)) linear $map $end" | below_load vtslow
}

# below_mount ext4|xfs|btrfs [OPTIONS]: a new filesystem, at $BELOW_FS. Its timers are far
# off, so that whatever reaches the disk was asked for.
below_mount()
{
	case $1 in
	ext4)
		mkfs.ext4 -q -F -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 $BELOW_MAP &&
			mount -o "commit=900${2:+,$2}" $BELOW_MAP "$BELOW_FS"
		;;
	xfs)
		mkfs.xfs -q -f $BELOW_MAP &&
			mount ${2:+-o "$2"} $BELOW_MAP "$BELOW_FS" &&
			echo 90000 >/proc/sys/fs/xfs/xfssyncd_centisecs
		;;
	btrfs)
		mkfs.btrfs -q -f $BELOW_MAP >/dev/null &&
			mount -o "commit=900${2:+,$2}" $BELOW_MAP "$BELOW_FS"
		;;
	esac
}

# below_file NAME MIB: a file all of whose blocks have been written, and synced.
below_file()
{
	dd if=/dev/zero of="$BELOW_FS/$1" bs=1M count="$2" conv=fsync status=none
}

# below_extents FILE: where it is on the disk; lines of "first sector, sectors".
below_extents()
{
	filefrag -v -b512 "$1" | tr -s ':. ' ' ' |
		awk '$1 ~ /^[0-9]+$/ && NF >= 6 { print $4, $6 }'
}

# below_forget FILE: takes the blocks of a file, which must be synced, off the disk
# behind the filesystem's back. A page that null_blk has on stable storage it writes
# there, past its cache: only pages that it never saw are at risk.
below_forget()
{
	local first count

	below_extents "$1" | while read -r first count; do
		blkdiscard --force -o $((first * 512)) -l $((count * 512)) /dev/$BELOW \
			2>/dev/null || return
	done && echo 1 >/proc/sys/vm/drop_caches
}

# below_table [LINE...]: gives the disk another device-mapper table. Nothing is flushed
# before. May be used inside of a property, as all that follow.
below_table()
{
	printf '%s\n' "$@" | below_load vtmap
}

# below_good: all is well again.
below_good()
{
	below_table "0 $BELOW_SECTORS linear $BELOW_NODE 0"
}

# below_bad FIRST COUNT: these sectors fail, the others don't.
below_bad()
{
	below_table "0 $1 linear $BELOW_NODE 0" "$1 $2 error" \
		"$(($1 + $2)) $((BELOW_SECTORS - $1 - $2)) linear $BELOW_NODE $(($1 + $2))"
}

# below_no_sync FILE: writes to the start of the file fail, and all flushes. The rest
# can be written, or the filesystem would give up for good.
below_no_sync()
{
	local first count

	read -r first count <<<"$(below_extents "$1")"
	below_table "0 $first linear $BELOW_NODE 0" \
		"$first $count flakey $BELOW_NODE $first 0 3600 1 error_writes" \
		"$((first + count)) $((BELOW_SECTORS - first - count)) linear $BELOW_NODE $((first + count))"
}

# below_cut: from now on nothing reaches the disk, and nothing is acknowledged. (The error
# target of older kernels lets a FLUSH succeed.)
below_cut()
{
	below_table "0 $BELOW_SECTORS flakey $BELOW_NODE 0 0 3600"
}

# below_restart: the disk comes back, without what was in its volatile cache. Nothing
# may be mounted on it.
below_restart()
{
	local power=/sys/kernel/config/nullb/$BELOW/power

	below_unmap && below_no_node && echo 0 >"$power" && echo 1 >"$power" && below_node &&
		below_map
}

# below_count COMMAND...: runs it, then sets W, FUA and FL to the numbers of data writes,
# of FUA writes among them, and of flushes, that the disk completed meanwhile.
below_count()
{
	local event=$BELOW_TRACE/events/block/block_rq_complete numbers rc=0

	if [ ! -d $BELOW_TRACE ]; then
		mkdir $BELOW_TRACE || return
		numbers=$(lsblk -dno MAJ:MIN "$BELOW_NODE" | tr -d ' ')
		echo 2048 >$BELOW_TRACE/buffer_size_kb
		echo "dev == $((${numbers%:*} << 20 | ${numbers#*:}))" >"$event/filter"
		echo 1 >"$event/enable"
	fi
	echo >$BELOW_TRACE/trace
	"$@" || rc=$?
	# A real flush is "FF"; a write of 0 sectors is its caller being told.
	eval "$(awk '
		{ kind = ""; size = 0 }
		/block_rq_complete:/ {
			for (i = 1; $i != "block_rq_complete:"; i++);
			kind = $(i + 2)
			for (; $i != "+"; i++);
			size = $(i + 1)
		}
		kind ~ /^FF/ { flushes++ }
		kind ~ /^W/ && size { writes++ }
		kind ~ /^WF/ && size { fua++ }
		END { printf "W=%d FUA=%d FL=%d", writes, fua, flushes }
	' $BELOW_TRACE/trace)"
	return $rc
}
