#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A backing file that grows and shrinks.

. "$(dirname "$0")/lib.sh"

bytes()
{
	blockdev --getsize64 $DEV
}

can_read_at()
{
	dd if=$DEV of=/dev/null bs=4k count=1 skip=$(($1 / 4096)) iflag=direct
}

# catches: a size that is taken over unasked, or not when asked; an end that can't be used.
grows()
{
	truncate -s 4M "$FS/a.img"
	bind "$FS/a.img"
	truncate -s 6M "$FS/a.img"
	[ "$(bytes)" = $((4 << 20)) ]
	set_attr rescan 1
	[ "$(bytes)" = $((6 << 20)) ]
	echo last | dd of=$DEV bs=4k seek=1535 count=1 conv=sync,fsync oflag=direct iflag=fullblock
	[ "$(tail -c 4096 "$FS/a.img" | tr -d '\0')" = last ]
	reset
}

# catches: reads past the end of the file that succeed, before the rescan or after.
shrinks()
{
	truncate -s 6M "$FS/a.img"
	bind "$FS/a.img"
	truncate -s 4M "$FS/a.img"
	fails can_read_at $((5 << 20))
	set_attr rescan 1
	[ "$(bytes)" = $((4 << 20)) ]
	can_read_at $(((4 << 20) - 4096))
	[ "$(dd if=$DEV bs=4k count=1 skip=1024 iflag=direct | wc -c)" = 0 ]
	reset
}

# catches: a rescan that needs the disk closed, or that disturbs who uses it.
grows_under_mount()
{
	truncate -s 4M "$FS/a.img"
	bind "$FS/a.img"
	mkfs.ext4 -q $DEV
	mount $DEV "$SCRATCH/mnt"
	echo before >"$SCRATCH/mnt/before"
	truncate -s 12M "$FS/a.img"
	set_attr rescan 1
	resize2fs $DEV
	dd if=/dev/urandom of="$SCRATCH/mnt/large" bs=1M count=6
	sha256sum "$SCRATCH/mnt/large" >"$SCRATCH/sum"
	umount "$SCRATCH/mnt"
	e2fsck -fn $DEV
	mount $DEV "$SCRATCH/mnt"
	sha256sum -c "$SCRATCH/sum"
	grep before "$SCRATCH/mnt/before"
	umount "$SCRATCH/mnt"
	reset
}

# catches: a write past the end of the file that makes it grow, or succeeds.
ends_at_the_end()
{
	truncate -s 4M "$FS/a.img"
	bind "$FS/a.img"
	set_attr cache_policy "$1"
	truncate -s 1M "$FS/a.img"
	fails dd if=/dev/zero of=$DEV bs=4k count=1 seek=512 oflag=direct
	fails can_read_at $((2 << 20))
	[ "$(stat -c %s "$FS/a.img")" = $((1 << 20)) ]
	reset
}

# catches: a capacity that is not a whole number of blocks.
rounds_down()
{
	truncate -s $(((1 << 20) + 4095)) "$FS/a.img"
	set_attr logical_block_size 4096
	bind "$FS/a.img"
	[ "$(bytes)" = $((1 << 20)) ]
	truncate -s $(((1 << 20) + 8191)) "$FS/a.img"
	set_attr rescan 1
	[ "$(bytes)" = $(((1 << 20) + 4096)) ]
	reset
}

# catches: a capacity of 0 that makes a bound disk look empty.
not_below_a_block()
{
	truncate -s 1M "$FS/a.img"
	set_attr logical_block_size 4096
	bind "$FS/a.img"
	truncate -s 4095 "$FS/a.img"
	refuses EINVAL rescan 1
	truncate -s 0 "$FS/a.img"
	refuses EINVAL rescan 1
	[ "$(bytes)" = $((1 << 20)) ]
	truncate -s 4096 "$FS/a.img"
	set_attr rescan 1
	[ "$(bytes)" = 4096 ]
	reset
	refuses ENODEV rescan 1
}

# catches: a disk as backing whose size is taken from its inode.
disk_grows()
{
	dm create vtgrow --table "0 8192 linear /dev/vtspare 0"
	settle
	bind /dev/mapper/vtgrow
	[ "$(bytes)" = $((4 << 20)) ]
	dm load vtgrow --table "0 16384 linear /dev/vtspare 0"
	dm suspend vtgrow
	dm resume vtgrow
	set_attr rescan 1
	[ "$(bytes)" = $((8 << 20)) ]
	reset
	dm remove --retry vtgrow
}

start mkfs.ext4 resize2fs e2fsck dmsetup
must without_udev
FS=$SCRATCH/fs
mkdir "$FS" "$SCRATCH/mnt"
must make_disk vtlower 64
must make_disk vtspare 8
must mkfs.ext4 -q /dev/vtlower
must mount /dev/vtlower "$FS"
must load
check "a file that has grown is taken over by a rescan, and only then" grows
check "a file that has shrunk too" shrinks
check "a mounted file system can be enlarged" grows_under_mount
for policy in none writethrough; do
	check "I/O past the end of the file fails and doesn't extend it: $policy" \
		ends_at_the_end $policy
done
check "the capacity is a whole number of blocks" rounds_down
check "refused: a rescan with less than a block, or with nothing bound" not_below_a_block
check "a disk that has grown is taken over as well" disk_grows
umount "$FS"
finish
