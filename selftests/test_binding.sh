#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What can be bound and what can't.

. "$(dirname "$0")/lib.sh"

unbound()
{
	[ "$(attr backing_file) $(attr size) $(attr ro)" = " 0 0" ]
}

# not_bound ERROR FILE: catches: another error, a half-bound device, a leaked reference
# that keeps the file system busy (seen at the end).
not_bound()
{
	refuses "$1" backing_file "$2"
	unbound
}

# fits FILE: binds, has the size, is unbound again. Shows that what was refused before
# was refused for the reason meant.
fits()
{
	bind "$1"
	[ "$(blockdev --getsize64 $DEV)" = "$(stat -Lc %s "$1")" ]
	reset
	unbound
}

# catches: input cut at the NUL and taken.
nul_inside()
{
	[ "$(printf '%s\0' "$FS/a.img" | put $SYS/backing_file)" = EINVAL ]
	[ "$(printf '%s\0.img' "$FS/a.img" | put $SYS/backing_file)" = EINVAL ]
	[ "$(printf '\n' | put $SYS/backing_file)" = EINVAL ]
	unbound
}

# catches: blanks cut off.
blanks_are_part_of_the_name()
{
	not_bound ENOENT " $FS/a.img"
	not_bound ENOENT "$FS/a.img "
	[ "$(printf '%s\n\n' "$FS/a.img" | put $SYS/backing_file)" = ENOENT ]
}

# shown_as FILE ESCAPED: catches: a name shown so that it reads as two words or lines.
shown_as()
{
	truncate -s 1M "$1"
	bind "$1"
	[ "$(cat $SYS/backing_file; echo .)" = "$2
." ]
	reset
	rm "$1"
}

# catches: a name that ends the line and begins another one, and a reason that is not the
# one, or that a long name pushes out of the line.
explained()
{
	local name

	log_mark explained
	not_bound ENOENT "$FS/two"$'\n'"vinteg0: lines"
	not_bound ELOOP "$FS/circle"
	name=$(printf 'n%.0s' {1..200})
	not_bound ENOENT "$FS$(printf "/$name%.0s" {1..15})/"$'\n\n\n'
	log_lines explained >"$SCRATCH/lines"
	cat "$SCRATCH/lines"
	[ "$(wc -l <"$SCRATCH/lines")" = 3 ]
	grep "$FS/two\\\\nvinteg0: lines: no such file (-2)\$" "$SCRATCH/lines"
	grep "$FS/circle: .*loop of links (-40)\$" "$SCRATCH/lines"
	grep 'bind \.\.\.n*/\\n\\n: no such file (-2)$' "$SCRATCH/lines"
}

# catches: a buffer for short names.
long_name()
{
	local dir=$FS name _

	name=$(printf 'n%.0s' {1..200})
	for _ in {1..15}; do
		dir=$dir/$name
	done
	mkdir -p "$dir"
	shown_as "$dir/file" "$dir/file"
	rm -r "${FS:?}/$name"
	not_bound ENAMETOOLONG "$FS/$name$name"
	not_bound ENAMETOOLONG "$(printf '/x%.0s' {1..2500})"
}

# catches: opening with the rights of the kernel instead of the writer's.
unreadable()
{
	local said

	truncate -s 1M "$FS/private.img"
	chown 1:1 "$FS/private.img"
	chmod 0 "$FS/private.img"
	said=$(setpriv --bounding-set -dac_override,-dac_read_search \
		put $SYS/backing_file "$FS/private.img") || true
	echo "$said"
	[ "$said" = EACCES ]
	unbound
	fits "$FS/private.img"
	rm "$FS/private.img"
}

# catches: a path looked up in the mount namespace or the root of somebody else.
looked_up_as_the_writer_sees_it()
{
	mkdir "$FS/own"
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare --mount --propagation private sh -ec '
		mount -t tmpfs -o size=4M vinteg-test "$1/own"
		truncate -s 2M "$1/own/hidden.img"
		put /sys/block/vinteg0/backing_file "$1/own/hidden.img"
	' sh "$FS"
	settle
	[ "$(attr size)" = 4096 ]
	reset
	not_bound ENOENT "$FS/own/hidden.img"
	rmdir "$FS/own"
}

# catches: the same file under another name taken for another file.
once_only()
{
	local again

	ln "$FS/a.img" "$FS/hard.img"
	ln -s a.img "$FS/soft.img"
	bind "$FS/a.img"
	for again in a hard soft; do
		refuses EBUSY backing_file "$FS/$again.img" vinteg1
		set_attr read_only 1 vinteg1
		refuses EBUSY backing_file "$FS/$again.img" vinteg1
		set_attr read_only 0 vinteg1
	done
	reset

	set_attr read_only 1
	bind "$FS/a.img"
	refuses EBUSY backing_file "$FS/a.img" vinteg1
	[ "$(attr size vinteg1)" = 0 ]
	set_attr read_only 1 vinteg1
	bind "$FS/hard.img" vinteg1
	[ "$(attr size) $(attr size vinteg1)" = "2048 2048" ]
	reset vinteg1
	# The one that is left still counts.
	refuses EBUSY backing_file "$FS/a.img" vinteg1
	reset
	rm "$FS/hard.img" "$FS/soft.img"
	fits "$FS/a.img"
}

# catches: an overlay file taken for another one when it has been copied up.
copied_up()
{
	mkdir "$FS/lower" "$SCRATCH"/{upper,work,over}
	truncate -s 1M "$FS/lower/c.img"
	modprobe -q overlay || true	# built into some kernels
	mount -t overlay -o "lowerdir=$FS/lower,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" \
		overlay "$SCRATCH/over"
	set_attr read_only 1
	bind "$SCRATCH/over/c.img"
	[ ! -e "$SCRATCH/upper/c.img" ]
	refuses EBUSY backing_file "$SCRATCH/over/c.img" vinteg1
	# By the attempt itself.
	[ -e "$SCRATCH/upper/c.img" ]
	refuses EBUSY backing_file "$SCRATCH/over/c.img" vinteg1
	reset
	fits "$SCRATCH/over/c.img"
	umount "$SCRATCH/over"
	rm -r "$FS/lower" "$SCRATCH"/{upper,work,over}
}

# catches: an attribute taken for data, and a worker that reads it.
no_data()
{
	local before file

	before=$(ls /sys/block)
	# The log has room for ten such lines in five seconds.
	sleep 5.5
	log_mark data
	for file in "$CONTROL/hot_add" "$CONTROL/hot_remove" "$SYS/size" "$SYS/rescan" \
			/proc/version; do
		set_attr read_only 1	# for writing they can't even be opened
		not_bound EINVAL "$file"
		set_attr read_only 0
		not_bound EINVAL "$file"
	done
	log_since data | grep "can't bind $CONTROL/hot_add: it is no file that holds data"
	[ "$(ls /sys/block)" = "$before" ]
}

# catches: a device that waits for itself.
own_device()
{
	mknod "$SCRATCH/node" b "$(stat -c %Hr $DEV)" "$(stat -c %Lr $DEV)"
	ln -sf $DEV "$SCRATCH/link"
	not_bound ELOOP $DEV
	not_bound ELOOP "$SCRATCH/node"
	not_bound ELOOP "$SCRATCH/link"
	fits "$FS/a.img"
}

# catches: the same by way of others.
chain_that_closes()
{
	truncate -s 8M "$FS/b.img"
	bind "$FS/b.img"
	bind $DEV vinteg1
	# A file of the file system that is on vinteg1, to be below vinteg0.
	mkfs.ext4 -q /dev/vinteg1
	mkdir "$SCRATCH/upper"
	mount /dev/vinteg1 "$SCRATCH/upper"
	truncate -s 1M "$SCRATCH/upper/c.img"
	refuses EBUSY reset 1
	refuses EBUSY backing_file "$SCRATCH/upper/c.img"
	refuses EBUSY backing_file /dev/vinteg1
	# One more is no circle.
	bind "$SCRATCH/upper/c.img" vinteg2
	refuses EBUSY backing_file /dev/vinteg2
	[ "$(attr backing_file)" = "$FS/b.img" ]
	dd if=/dev/urandom of=/dev/vinteg2 bs=64k count=4 oflag=direct
	reset vinteg2
	umount "$SCRATCH/upper"
	reset vinteg1
	reset
	rmdir "$SCRATCH/upper"
}

# catches: completions that run up a chain on one stack, until it overflows.
chain_that_is_too_long()
{
	local number

	bind "$FS/a.img"
	for number in {1..7}; do
		[ -e "/sys/block/vinteg$number" ] || [ "$(cat "$CONTROL/hot_add")" = "$number" ]
		bind "/dev/vinteg$((number - 1))" "vinteg$number"
	done
	[ "$(cat "$CONTROL/hot_add")" = 8 ]
	refuses ELOOP backing_file /dev/vinteg7 vinteg8
	dd if=/dev/urandom of=/dev/vinteg7 bs=64k count=4 oflag=direct
}

# catches: a disk that somebody uses, bound all the same; or used while it is bound.
disks_exclusively()
{
	not_bound EBUSY /dev/vtlower
	[ "$(mkswap "$FS/swap" >/dev/null && swapon "$FS/swap" && echo on)" = on ]
	refuses EBUSY backing_file "$FS/swap"
	swapoff "$FS/swap"
	fits "$FS/swap"

	bind /dev/vtspare
	[ "$(attr size)" = "$(cat /sys/block/vtspare/size)" ]
	[ "$(attr backing_file)" = /dev/vtspare ]
	refuses EBUSY backing_file /dev/vtspare vinteg1
	fails mount /dev/vtspare "$SCRATCH/other"
	reset
	mount /dev/vtspare "$SCRATCH/other"
	umount "$SCRATCH/other"
}

# catches: a silent downgrade to read-only, or a device that can be written to.
read_only_medium()
{
	mount -o remount,ro "$FS"
	not_bound EROFS "$FS/a.img"
	set_attr read_only 1
	bind "$FS/a.img"
	[ "$(attr ro)" = 1 ]
	mount -o remount,rw "$FS"
	reset
	[ "$(attr read_only) $(attr ro)" = "0 0" ]
}

# catches: the same for one file, and for a disk that is read-only.
read_only_file()
{
	chattr +i "$FS/a.img"
	not_bound EPERM "$FS/a.img"
	set_attr read_only 1
	bind "$FS/a.img"
	reset
	chattr -i "$FS/a.img"
	chattr +a "$FS/a.img"
	not_bound EPERM "$FS/a.img"
	chattr -a "$FS/a.img"
	fits "$FS/a.img"
	blockdev --setro /dev/vtspare
	refuses EROFS backing_file /dev/vtspare
	set_attr read_only 1
	bind /dev/vtspare
	[ "$(attr ro)" = 1 ]
	reset
	blockdev --setrw /dev/vtspare
}

# catches: a read-only device that a write reaches, or that can be made writable.
read_only_binding()
{
	local before

	before=$(sha256sum "$FS/fs.img"; stat -c '%y %z' "$FS/fs.img")
	set_attr read_only 1
	bind "$FS/fs.img"
	[ "$(attr ro)" = 1 ]
	fails dd if=/dev/zero of=$DEV bs=4k count=1 oflag=direct
	blockdev --setrw $DEV || true
	fails dd if=/dev/zero of=$DEV bs=4k count=1 oflag=direct
	fails blkdiscard $DEV
	fails blkdiscard -z $DEV
	# Device mapper opens it for writing all the same.
	dm create vtabove --table "0 $(blockdev --getsz $DEV) linear $DEV 0"
	fails dd if=/dev/zero of=/dev/mapper/vtabove bs=4k count=1 oflag=direct
	fails blkdiscard -z /dev/mapper/vtabove
	dm remove --retry vtabove
	mount -o ro $DEV "$SCRATCH/other"
	grep content "$SCRATCH/other/file"
	fails touch "$SCRATCH/other/file"
	umount "$SCRATCH/other"
	sync $DEV
	reset
	sleep 1.2	# mtime lags by a second
	[ "$(sha256sum "$FS/fs.img"; stat -c '%y %z' "$FS/fs.img")" = "$before" ]
}

# catches: a default that fails, and a wish that is ignored, where there is no direct I/O.
without_direct_io()
{
	local name

	log_mark direct
	bind "$SCRATCH/ram/a.img"
	[ "$(policy)" = writethrough ]
	log_lines direct | grep 'falls back to writethrough'
	for name in none directsync; do
		refuses EOPNOTSUPP cache_policy $name
		[ "$(policy)" = writethrough ]
	done
	for name in writethrough writeback guest unsafe; do
		set_attr cache_policy $name
	done
	reset
	for name in none directsync; do
		set_attr cache_policy $name
		refuses EOPNOTSUPP backing_file "$SCRATCH/ram/a.img"
		unbound
		[ "$(policy)" = $name ]
	done
	reset
}

# catches: blocks that direct I/O can't write.
block_size_below_direct_io()
{
	set_attr cache_policy none
	set_attr logical_block_size 512
	refuses EINVAL backing_file "$SCRATCH/big/a.img"
	unbound
	set_attr cache_policy writeback
	bind "$SCRATCH/big/a.img"
	[ "$(attr queue/logical_block_size)" = 512 ]
	refuses EINVAL cache_policy none
	refuses EINVAL cache_policy directsync
	[ "$(policy)" = writeback ]
	dd if=/dev/urandom of=$DEV bs=512 count=3 seek=5 oflag=direct
	reset
	bind "$SCRATCH/big/a.img"
	[ "$(attr queue/logical_block_size) $(policy)" = "4096 none" ]
	dd if=/dev/urandom of=$DEV bs=4k count=3 oflag=direct
	reset
}

# catches: a file system that lies, trusted without a word.
liar_is_named()
{
	log_mark liar
	set_attr cache_policy writeback
	bind "$SCRATCH/a.img"
	log_lines liar | grep 'acknowledges syncs without'
	reset
	log_mark honest
	set_attr cache_policy writeback
	bind "$FS/a.img"
	fails grep acknowledges <<<"$(log_lines honest)"
	reset
	log_mark unsafe
	set_attr cache_policy unsafe
	bind "$SCRATCH/a.img"
	fails grep acknowledges <<<"$(log_lines unsafe)"
	reset
}

# property TEXT FUNCTION...: what a failed one leaves bound fails no other.
property()
{
	local disk

	check "$@"
	[ ! -e /dev/mapper/vtabove ] || dm remove --retry vtabove
	for disk in vinteg{8..0}; do
		[ ! -e "/sys/block/$disk" ] || [ "$(attr size "$disk")" = 0 ] || reset "$disk"
	done
}

# The block layer's word about what device mapper does to a disk that can't be written to.
WARNINGS+='|Trying to write to read-only block-device'

start setpriv mkfs.ext4 chattr mkswap dmsetup
must without_udev
FS=$SCRATCH/fs
mkdir "$FS" "$SCRATCH/other" "$SCRATCH/ram" "$SCRATCH/big"
must load num_devices=3
must make_disk vtlower 64
must make_disk vtspare 16
must make_disk vtbig 32 blocksize=4096
for disk in vtlower vtspare vtbig; do
	must mkfs.ext4 -q /dev/$disk
done
must mount /dev/vtlower "$FS"
must mount /dev/vtbig "$SCRATCH/big"
must mount -t ramfs vinteg-test "$SCRATCH/ram"
truncate -s 1M "$SCRATCH/a.img" "$FS/a.img" "$SCRATCH/ram/a.img" "$SCRATCH/big/a.img"
truncate -s 511 "$FS/tiny"
touch "$FS/empty"
mkfifo "$FS/fifo"
ln -s nowhere "$FS/dangling"
ln -s circle "$FS/circle"
dd if=/dev/zero of="$FS/swap" bs=1M count=2 status=none
chmod 600 "$FS/swap"
mkdir "$FS/content"
echo content >"$FS/content/file"
truncate -s 4M "$FS/fs.img"
must mkfs.ext4 -q -d "$FS/content" "$FS/fs.img"

property "a file fits" fits "$FS/a.img"
property "a symbolic link to it fits" fits "$(ln -s a.img "$FS/link"; echo "$FS/link")"
property "refused: a missing file" not_bound ENOENT "$FS/missing"
property "refused: a missing folder" not_bound ENOENT "$FS/missing/a.img"
property "refused: a file taken for a folder" not_bound ENOTDIR "$FS/a.img/b.img"
property "refused: a symbolic link to nothing" not_bound ENOENT "$FS/dangling"
property "what is refused is explained, by one line each" explained
property "refused: a symbolic link to itself" not_bound ELOOP "$FS/circle"
property "refused: a folder" not_bound EISDIR "$FS"
property "refused: a FIFO" not_bound ENOTBLK "$FS/fifo"
property "refused: a character device" not_bound ENOTBLK /dev/zero
property "refused: files of sysfs and proc" no_data
property "refused: an empty file" not_bound EINVAL "$FS/empty"
property "refused: a file smaller than a block" not_bound EINVAL "$FS/tiny"
property "refused: a name with a NUL in it, an empty name" nul_inside
property "blanks are part of the name" blanks_are_part_of_the_name
property "refused: what the writer may not read" unreadable
property "the name is looked up as the writer sees it" looked_up_as_the_writer_sees_it
property "a name with blanks, tabs, newlines, backslashes is shown escaped" shown_as \
	"$FS/a b	c
d\\e" "$FS/a\\040b\\011c\\012d\\134e"
property "a name that is not UTF-8 is shown as it is" shown_as "$FS/"$'\xff\xfe\x80' "$FS/"$'\xff\xfe\x80'
property "a name may be long, and not too long" long_name
property "a file is bound once, or several times for reading" once_only
property "and so is a file of overlay that is copied up meanwhile" copied_up
property "refused: the device itself" own_device
property "refused: a chain that closes; one that doesn't works" chain_that_closes
property "refused: a chain that is too long" chain_that_is_too_long
property "disks and swap files in use are refused, and bound disks can't be used" disks_exclusively
property "a read-only file system is bound for reading only, and only on demand" read_only_medium
property "and so is an immutable file and a read-only disk" read_only_file
property "a device bound read-only can't be written to, nor made writable" read_only_binding
property "without direct I/O the default falls back, and a wish for it fails" without_direct_io
property "a block size below that of direct I/O is for page-cache policies" block_size_below_direct_io
property "a file system whose sync does nothing is named in the log" liar_is_named
umount "$FS" "$SCRATCH/big" "$SCRATCH/ram"
check "no reference to any file is left" test ! -e "$FS/a.img"
finish
