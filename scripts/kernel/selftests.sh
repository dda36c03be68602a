#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# selftests.sh SUITE OUT: copies the selftests into the kernel's own and installs them
# from there, which shows that they drop in. OUT gets run_kselftest.sh and what
# belongs to it, built for the Debian release SUITE.

. "$(dirname "$0")/../lib.sh"

[ $# = 2 ] || die "usage: selftests.sh bookworm|trixie OUT"
suite=$1 out=$2
root=$("$TOP/scripts/kernel/root.sh" "$suite")
# The newest framework, on every kernel.
src=$("$TOP/scripts/kernel/source.sh" 7.3)
log=$(mktemp "$CACHE/log.XXXXXX")
mkdir -p "$out"

rc=0
in_root "$root" "$src:/mnt" "$TOP/selftests:/selftests" "$(realpath "$out"):/out" -- bash -euc '
	mkdir /linux
	cd /mnt
	find tools/testing/selftests -maxdepth 1 -type f |
		tar -c -T - scripts/subarch.include tools/scripts tools/include \
			tools/testing/selftests/kselftest |
		tar -x -C /linux
	cd /linux/tools/testing/selftests
	mkdir -p drivers/block
	cp -r /selftests drivers/block/vinteg
	make -s TARGETS=drivers/block/vinteg FORCE_TARGETS=1 KSFT_INSTALL_PATH=/out install
	' >"$log" 2>&1 || rc=$?
if [ $rc != 0 ] || grep -q 'warning:' "$log"; then
	cat "$log" >&2
fi
rm "$log"
exit $rc
