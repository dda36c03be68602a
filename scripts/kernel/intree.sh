#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# intree.sh: proves that the driver and its tests drop into a kernel tree. Puts them into a
# copy of the newest kernel's source, with a line in drivers/block/Kconfig and one in its
# Makefile, configures what selftests/config asks for, and builds the driver's objects as a
# module and into the kernel. Prints KTAP.

. "$(dirname "$0")/../lib.sh"

root=$("$TOP/scripts/kernel/root.sh" bookworm)
source=$("$TOP/scripts/kernel/source.sh" 7.3)
number=0 failed=0
tmp=$(mktemp -d "$CACHE/intree.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# What is above the source as it is. The source's own folder stays untouched: below an
# overlay it is only read. (Of which a layer can't be on another overlay.)
PREPARE='
	mkdir -p /layer
	mount -t tmpfs tmpfs /layer
	mkdir /layer/upper /layer/work /linux
	mount -t overlay -o lowerdir=/mnt,upperdir=/layer/upper,workdir=/layer/work overlay /linux
	cp -r /tree/drivers/block/vinteg /linux/drivers/block/
	find /linux/drivers/block/vinteg -name "*.o" -o -name "*.ko" -o -name ".*.cmd" -delete
	mkdir -p /linux/tools/testing/selftests/drivers/block
	cp -r /tree/selftests /linux/tools/testing/selftests/drivers/block/vinteg
	cd /linux
	# Before the last line, which ends the menu; and where all others are.
	sed -i "s|^endif # BLK_DEV\$|source \"drivers/block/vinteg/Kconfig\"\n\n&|" drivers/block/Kconfig
	grep -q vinteg drivers/block/Kconfig
	echo "obj-\$(CONFIG_BLK_DEV_VINTEG) += vinteg/" >>drivers/block/Makefile
	export KBUILD_OUTPUT=/out'

# check TEXT SCRIPT: one result: that of a script in the prepared tree.
check()
{
	local log=$tmp/log

	number=$((number + 1))
	if in_root "$root" "$source:/mnt" "$TOP:/tree" "$tmp/out:/out" -- \
			bash -euxc "$PREPARE
				$2" >"$log" 2>&1; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		failed=$((failed + 1))
		tail -n 40 "$log" >&2
	fi
}

# As "make kselftest-merge" does, and nothing may have been dropped for what it depends on.
CONFIGURE='
	make -s x86_64_defconfig
	scripts/kconfig/merge_config.sh -m -O /out /out/.config \
		tools/testing/selftests/drivers/block/vinteg/config
	make -s olddefconfig
	while read -r line; do
		case $line in
		CONFIG_*=m)	grep -qxE "${line%=m}=[my]" /out/.config ;;
		CONFIG_*)	grep -qx "$line" /out/.config ;;
		*)		continue ;;
		esac || { echo "not taken over: $line"; exit 1; }
	done <tools/testing/selftests/drivers/block/vinteg/config
	grep -qx CONFIG_BLK_DEV_VINTEG=m /out/.config'

# objects: silent, and all of them.
BUILD='
	scripts/config --file /out/.config "$@"
	make -s olddefconfig
	make -s -j"$(nproc)" W=1 drivers/block/vinteg/ 2>/tmp/warnings || { cat /tmp/warnings; exit 1; }
	cat /tmp/warnings
	[ ! -s /tmp/warnings ]
	ls /out/drivers/block/vinteg/*.o'

mkdir "$tmp/out"
echo "TAP version 13"
check "the kernel takes over the tests' configuration" "$CONFIGURE"
check "in a kernel tree, as a module" "
	make -s -j\"\$(nproc)\" prepare
	set -- --module BLK_DEV_VINTEG
	$BUILD
	[ -s /out/drivers/block/vinteg/vinteg.o ]"
check "in a kernel tree, built in, with its unit tests" "
	set -- --enable KUNIT --enable BLK_DEV_VINTEG --enable BLK_DEV_VINTEG_KUNIT_TEST
	$BUILD
	grep -qx CONFIG_BLK_DEV_VINTEG=y /out/.config
	grep -qx CONFIG_BLK_DEV_VINTEG_KUNIT_TEST=y /out/.config
	[ -s /out/drivers/block/vinteg/policy_kunit.o ]
	[ -s /out/drivers/block/vinteg/built-in.a ]"
echo "1..$number"
[ $failed = 0 ]
