#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# source.sh KERNEL: unpacks Debian's source of a kernel and prints its path.
# To be left as it is: whoever builds in it makes a copy.

. "$(dirname "$0")/../lib.sh"

[ $# = 1 ] || die "usage: source.sh KERNEL"
kernel=$1
suite=$(suite_of "$kernel")

download()
{
	# The package lists in the root may be older than what the mirror holds now.
	in_root "$root" "$dir.tmp:/mnt" -- bash -euc '
		apt-get update
		cd /mnt
		apt-get download "linux-source-$1"' download "$kernel"
}

unpack()
{
	dpkg-deb --fsys-tarfile "$dir.tmp"/*.deb |
		tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
		tar -xJ --strip-components 1 -C "$dir.tmp"
	rm "$dir.tmp"/*.deb
}

build()
{
	[ ! -e "$dir" ] || return 0
	rm -rf "$dir.tmp"
	mkdir -p "$dir.tmp"
	quietly "fetching the source of kernel $kernel" download
	quietly "unpacking the source of kernel $kernel" unpack
	mv "$dir.tmp" "$dir"
}

root=$("$TOP/scripts/kernel/root.sh" "$suite")
dir=$(dirname "$root")/source-$kernel
with_lock "source-$kernel" build
echo "$dir"
