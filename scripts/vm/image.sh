#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# image.sh KERNEL: prepares what a guest boots from and prints the folder: root.img
# (an ext4 filesystem without the build tools, with the modules of its release's
# kernels), vmlinuz and initrd.

. "$(dirname "$0")/../lib.sh"

[ $# = 1 ] || die "usage: image.sh KERNEL"
kernel=$1
suite=$(suite_of "$kernel")
here=$TOP/scripts/vm

# In the root for building only, or pulled in by a dependency and never used.
LEAVE_OUT=(usr/src usr/include usr/lib/gcc usr/lib/gcc-cross usr/share/doc usr/share/X11
	usr/share/perl usr/share/bison usr/share/gcc var/lib/apt/lists var/cache/apt
	var/lib/dpkg/info usr/lib/udev/hwdb.d usr/lib/udev/hwdb.bin
	# It starts a process for each disk that comes.
	usr/lib/udev/rules.d/99-nfs.rules)
LEAVE_OUT_GLOBS=("libLLVM*" "*.a" "*_dri.so" "*.ko.xz")

# Modules that a storage test may want; all of a kernel's drivers are 350 MB.
MODULES='^kernel/((arch|block|crypto|fs|lib|mm)/|drivers/((block|md|nvme|target|dax|nvdimm|virtio)/|(scsi|char|net)/(scsi|sd_mod|sg|sr_mod|virtio|net_failover|hw_random/)|cdrom/)|net/(core|9p|sunrpc|dns_resolver)/)'

# add_modules FOLDER: the modules of one kernel, unpacked and indexed.
add_modules()
{
	local from=$1 release to

	release=$(<"$from/release")
	to=$tmp/tree/usr/lib/modules/$release
	from=$from/lib/modules/$release
	rm -rf "$to"
	mkdir -p "$to"
	cp "$from"/modules.{order,builtin,builtin.modinfo} "$to/"
	(cd "$from" && find kernel -name '*.ko*' | grep -E "$MODULES" | tar -c -T -) |
		tar -x -C "$to"
	find "$to" -name '*.ko.xz' -print0 | xargs -0 -r -P 2 -n 50 xz -d
	# A place for vinteg, so that no guest has to spend seconds on an index.
	mkdir "$to/updates"
	in_root "$root" "$to/updates:/mnt" -- as -o /mnt/vinteg.ko /dev/null
	depmod -b "$tmp/tree/usr" "$release"
}

# make_initrd KERNEL: finds the root disk, and hands over to the guest's init.
make_initrd()
{
	local release module dir=$tmp/initrd-$1

	release=$(<"$kernels/$1/release")
	mkdir -p "$dir/bin" "$dir/modules"
	cp "$(command -v busybox)" "$dir/bin/busybox"
	cp "$here/initrd.sh" "$dir/init"
	# In the order of insertion: each after those that it depends on.
	for module in virtio_pci virtio_blk ext4; do
		modprobe -d "$tmp/tree/usr" -S "$release" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$dir/list"
	while read -r module; do
		cp "$module" "$dir/modules/"
		basename "$module"
	done <"$dir/list" >"$dir/modules/list"
	rm "$dir/list"
	(cd "$dir" && find . | cpio --quiet -o -H newc) >"$tmp/initrd-$1.cpio"
	rm -r "$dir"
}

make_image()
{
	local path k

	mkdir -p "$tmp"
	# Links, not copies: from here on files are added or removed, never changed.
	cp -al "$root" "$tmp/tree"
	for path in "${LEAVE_OUT[@]}"; do
		rm -rf "${tmp:?}/tree/$path"
	done
	for path in "${LEAVE_OUT_GLOBS[@]}"; do
		find "$tmp/tree/usr/lib" -name "$path" -delete
	done
	mkdir -p "$tmp/tree/job"
	for k in "$kernels"/*/; do
		add_modules "$k"
		make_initrd "$(basename "$k")"
		cp "$k/vmlinuz" "$tmp/vmlinuz-$(basename "$k")"
		mv "$tmp/initrd-$(basename "$k").cpio" "$tmp/initrd-$(basename "$k")"
	done
	# Never written: what a guest writes is thrown away, so a journal is idle work.
	mke2fs -q -t ext4 -O ^has_journal -m 0 -E nodiscard,root_owner=0:0 \
		-L vinteg-root -d "$tmp/tree" "$tmp/root.img" "$image_size"
	rm -rf "$tmp/tree"
}

build()
{
	[ ! -e "$dir" ] || return 0
	need busybox-static cpio e2fsprogs kmod
	tmp=$dir.tmp
	rm -rf "$tmp"
	quietly "making the guest's disk image ($suite)" make_image
	mv "$tmp" "$dir"
}

image_size=2G
root=$("$TOP/scripts/kernel/root.sh" "$suite")
kernels=$(dirname "$root")/kernels
key=$(cat "$here/image.sh" "$here/initrd.sh" | sha256sum | cut -c 1-12)
dir=$(dirname "$root")/image-$key
with_lock "image-$suite" build
echo "$dir"
