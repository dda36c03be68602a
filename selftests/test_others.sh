#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What others do to the backing file while it is bound: unlink, rename, punch, map and
# write, make immutable, remount. Nothing may crash, hang or leak, what nobody touched is
# as it was written, and what failed says so.

. "$(dirname "$0")/lib.sh"
start blkio mkfs.ext4 mkfs.xfs xfs_io chattr fallocate
. "$HERE/fs.sh"

# with FS POLICY: bound to a new file whose blocks have been written.
with()
{
	DIR=$SCRATCH/lower-$1
	IMG=$DIR/img
	[ -z "$(attr backing_file)" ] || reset
	[ ! -e "$IMG" ] || chattr -i "$IMG"
	rm -f "$DIR"/*img*
	truncate -s 8M "$IMG"
	set_attr cache_policy "$2"
	bind "$IMG"
	says ok blkio write $DEV 0 8M seed=5
	says ok blkio flush $DEV
}

# works: whatever is asked for.
works()
{
	says ok blkio write $DEV 1M 64k seed=6
	says ok blkio write $DEV 2M 64k fua seed=7
	says ok blkio discard $DEV 3M 64k
	says ok blkio zero $DEV 4M 64k
	says ok blkio flush $DEV
	drop_caches
	says ok blkio verify $DEV 0 1M seed=5
	says ok blkio verify $DEV 1M 64k seed=6
	says ok blkio verify $DEV 2M 64k seed=7
	says ok blkio verify $DEV 4M 64k seed=0
	says ok blkio verify $DEV 5M 3M seed=5
	no_errors
}

used()
{
	df --output=used -B1 "$DIR" | tail -n 1
}

is_less_used()
{
	[ "$(used)" -lt "$1" ]
}

# catches: a lookup of the name after binding; a file that is never let go.
unlinked()
{
	local before

	with "$1" "$2"
	sync
	before=$(used)
	rm "$IMG"
	[ "$(attr backing_file)" = "$IMG\\040(deleted)" ]
	works
	set_attr cache_policy unsafe
	set_attr cache_policy "$2"
	set_attr rescan 1
	[ "$(blockdev --getsize64 $DEV)" = 8388608 ]
	reset
	sync
	wait_for 10 is_less_used $((before - 7000000))
}

# catches: a name remembered from the time of binding; another file under the old name
# that gets the data.
renamed()
{
	with "$1" "$2"
	mv "$IMG" "$DIR/new img"
	[ "$(attr backing_file)" = "$DIR/new\\040img" ]
	truncate -s 8M "$IMG"
	works
	says ok blkio verify "$IMG" 0 8M seed=0
	says ok blkio verify "$DIR/new img" 0 1M seed=5
	[ "$(attr backing_file)" = "$DIR/new\\040img" ]
	# Only the file is in use, not its old name.
	refuses EBUSY backing_file "$IMG"
	reset
	bind "$IMG"
	reset
	bind "$DIR/new img"
	says ok blkio verify $DEV 0 1M seed=5
}

# catches: rights that are checked with each request.
rights_taken_away()
{
	with "$1" "$2"
	chown 65534 "$IMG"
	chmod 0 "$IMG"
	works
}

# catches: a write into the hole that is not durable, or an error where there is none.
punched()
{
	with "$1" "$2"
	fallocate --punch-hole -o 1M -l 1M "$IMG"
	says ok blkio verify $DEV 1M 1M seed=0
	says ok blkio verify $DEV 2M 6M seed=5
	works
	fallocate --punch-hole -o 0 -l 8M "$IMG"
	says ok blkio verify $DEV 0 8M seed=0
	says ok blkio write $DEV 0 8M seed=5 fua
	works
}

# catches: a page of the mapping written over what the device has written elsewhere, or
# dropped.
mapped_and_written()
{
	local i

	with "$1" "$2"
	for i in {0..15}; do
		# Every other page by the one and by the other.
		xfs_io -c "mmap -rw 0 8M" -c "mwrite -S 0x5a $((i * 8192)) 4096" "$IMG"
		says ok blkio write $DEV $((i * 8192 + 4096)) 4k seed=8
	done
	says ok blkio flush $DEV
	drop_caches
	says ok blkio verify $DEV 4k 4k step=8k count=16 seed=8
	for i in {0..15}; do
		dd if=$DEV bs=4k skip=$((i * 2)) count=1 iflag=direct status=none |
			tr -d '\132' | cmp - /dev/null
	done
	no_errors
}

# catches: an errno that is not one of a disk; an error that sticks although no promise is
# broken.
immutable()
{
	with "$1" "$2"
	chattr +i "$IMG"
	says ok blkio read $DEV 0 64k
	says ok blkio flush $DEV
	if says EIO blkio write $DEV 1M 64k; then
		says EIO blkio write $DEV 2M 64k fua
		[ "$(stat_of errors)" -ge 2 ]
	fi
	[ "$(attr writeback_error)" = 0 ]
	chattr -i "$IMG"
	says ok blkio write $DEV 1M 64k seed=6
	says ok blkio verify $DEV 1M 64k seed=6
	says ok blkio flush $DEV
	[ "$(attr writeback_error)" = 0 ]
	reset
	# It can't be opened for writing then, which is said, not made up for.
	chattr +i "$IMG"
	refuses EPERM backing_file "$IMG"
	set_attr read_only 1
	bind "$IMG"
	says ok blkio read $DEV 0 64k
	reset
	chattr -i "$IMG"
}

# catches: a bound file that does not keep its file system writable; one that is bound for
# reading and does.
remounted_read_only()
{
	with "$1" "$2"
	fails mount -o remount,ro "$DIR"
	works
	reset
	set_attr read_only 1
	bind "$IMG"
	mount -o remount,ro "$DIR"
	drop_caches
	says ok blkio verify $DEV 5M 3M seed=5
	set_attr cache_policy writethrough
	says ok blkio verify $DEV 5M 3M seed=5
	reset
	refuses EROFS backing_file "$IMG"
	mount -o remount,rw "$DIR"
	bind "$IMG"
	works
}

# catches: a file that keeps more than itself busy.
nothing_is_left()
{
	[ -z "$(attr backing_file)" ] || reset
	umount "$SCRATCH/lower-$1"
	mount "/dev/vt$1" "$SCRATCH/lower-$1"
}

lower_start ext4 64
lower_start xfs 400
must load
for fs in ext4 xfs; do
	for p in none writethrough writeback; do
		for t in unlinked renamed rights_taken_away punched mapped_and_written immutable \
				remounted_read_only; do
			check "$fs: $p: its file: ${t//_/ }" $t $fs $p
		done
	done
	check "$fs: nothing is left" nothing_is_left $fs
done
finish
