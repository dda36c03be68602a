#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# module.sh FLAVOUR SRC OUT: builds the module of the checkout SRC for User-Mode
# Linux and leaves vinteg.ko in OUT. What hasn't changed isn't built again.

. "$(dirname "$0")/../lib.sh"

[ $# = 3 ] || die "usage: module.sh fast|debug SRC OUT"
flavour=$1
src=$(cd "$2" && pwd)
out=$3

uml=$("$TOP/scripts/kernel/uml.sh" "$flavour")
root=$("$TOP/scripts/kernel/root.sh" bookworm)
linux=$("$TOP/scripts/kernel/source.sh" 7.3)
objects=$CACHE/uml-objects-$flavour-$(echo "$src $uml" | sha256sum | cut -c 1-12)

compile()
{
	mkdir -p "$objects"
	in_root "$root" "$linux:/usr/src/linux" "$uml:/usr/src/uml" "$src:/usr/src/vinteg" \
		"$objects:/usr/src/objects" -- \
		make -s -j"$(nproc)" -C /usr/src/uml/build ARCH=um M=/usr/src/vinteg \
		MO=/usr/src/objects modules >&2
}

with_lock "uml-objects-$flavour" compile
mkdir -p "$out"
find "$objects" -name '*.ko' -exec cp {} "$out/" \;
[ -e "$out/vinteg.ko" ] || die "the build made no vinteg.ko"
