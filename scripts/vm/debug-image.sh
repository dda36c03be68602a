#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# debug-image.sh KERNEL: what image.sh is, for a kernel of debug.sh (7.3-kcsan, 7.3-kasan).

. "$(dirname "$0")/../lib.sh"

[ $# = 1 ] || die "usage: debug-image.sh KERNEL"
kernel=$1
here=$TOP/scripts/vm
suite=$(suite_of "$kernel")
debug=$("$TOP/scripts/kernel/debug.sh" "${kernel#*-}")
root=$("$TOP/scripts/kernel/root.sh" "$suite")
image=$("$here/image.sh" "${kernel%-*}")
release=$(<"$debug/release")

# With a place for vinteg, as image.sh makes one.
stage_modules()
{
	mkdir -p "$tmp/tree/lib/modules"
	cp -a "$debug/modules/$release" "$tmp/tree/lib/modules/"
	mkdir -p "$tmp/tree/lib/modules/$release/updates"
	in_root "$root" "$tmp/tree/lib/modules/$release/updates:/mnt" -- \
		as -o /mnt/vinteg.ko /dev/null
	depmod -b "$tmp/tree" "$release"
}

# Without a mount: into the file system as it lies there.
add_modules()
{
	(
		cd "$tmp/tree/lib"
		find "modules/$release" -type d | sed 's|.*|mkdir /usr/lib/&|'
		find "modules/$release" -type f | sed "s|.*|write $tmp/tree/lib/& /usr/lib/&|"
	) >"$tmp/commands"
	debugfs -w -f "$tmp/commands" "$tmp/root.img"
	debugfs -R "stat /usr/lib/modules/$release/modules.dep" "$tmp/root.img" |
		grep -q 'Type: regular'
}

# All that the root disk takes is in the kernel.
make_initrd()
{
	mkdir -p "$tmp/initrd/bin" "$tmp/initrd/modules"
	cp "$(command -v busybox)" "$tmp/initrd/bin/busybox"
	cp "$here/initrd.sh" "$tmp/initrd/init"
	: >"$tmp/initrd/modules/list"
	(cd "$tmp/initrd" && find . | cpio --quiet -o -H newc) >"$tmp/initrd-$kernel"
	rm -r "$tmp/initrd"
}

make_image()
{
	mkdir -p "$tmp"
	cp --sparse=always "$image/root.img" "$tmp/root.img"
	stage_modules
	add_modules
	make_initrd
	cp "$debug/vmlinuz" "$tmp/vmlinuz-$kernel"
	rm -r "$tmp/tree" "$tmp/commands"
}

build()
{
	[ ! -e "$dir" ] || return 0
	need busybox-static cpio e2fsprogs kmod
	tmp=$dir.tmp
	rm -rf "$tmp"
	quietly "making the guest's disk image ($kernel)" make_image
	mv "$tmp" "$dir"
}

key=$( (cat "$here/debug-image.sh" "$here/initrd.sh"
	echo "$debug $image") | sha256sum | cut -c 1-12)
dir=$CACHE/image-${kernel#*-}-$key
with_lock "image-$kernel" build
echo "$dir"
