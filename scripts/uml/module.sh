#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# module.sh FLAVOUR SRC OUT [MAKE-ARGUMENT]...: builds the module of the checkout SRC
# for User-Mode Linux and leaves vinteg.ko in OUT. What hasn't changed isn't built
# again.

. "$(dirname "$0")/../lib.sh"

[ $# -ge 3 ] || die "usage: module.sh fast|debug|gcov SRC OUT [MAKE-ARGUMENT]..."
flavour=$1 src=$(realpath "$2") out=$3
shift 3

uml=$("$TOP/scripts/kernel/uml.sh" "$flavour")
root=$("$TOP/scripts/kernel/root.sh" bookworm)
linux=$("$TOP/scripts/kernel/source.sh" 7.3)
key=$(echo "$uml $src $*" | sha256sum | cut -c 1-12)
objects=$CACHE/uml-objects/$key

compile()
{
	mkdir -p "$objects"
	in_root "$root" "$linux:/usr/src/linux" "$uml:/usr/src/uml" "$src:/usr/src/vinteg" \
		"$objects:/usr/src/objects" -- \
		make -s -j"$(nproc)" -C /usr/src/uml/build ARCH=um M=/usr/src/vinteg \
		MO=/usr/src/objects "$@" modules >&2
	mkdir -p "$out"
	cp "$objects/drivers/block/vinteg/vinteg.ko" "$out/"
	# What was counted is about these.
	[ "$flavour" != gcov ] || cp "$objects"/drivers/block/vinteg/*.gcno "$out/"
}

with_lock "uml-objects-$key" compile "$@"
