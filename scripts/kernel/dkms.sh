#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dkms.sh [KERNEL]...: proves, in the roots, that "make install" and dkms install a
# module that modprobe finds, and that both take it away again; and that systemd has nothing
# to say against the unit. Prints KTAP.

. "$(dirname "$0")/../lib.sh"

[ $# != 0 ] || eval "set -- $KERNELS_ALL"
number=0 failed=0

# check TEXT ROOT SCRIPT ARGUMENT...: one result: that of a script inside a root, which
# sees a copy of this tree in /tree.
check()
{
	local text=$1 root=$2 script=$3 log
	shift 3

	number=$((number + 1))
	log=$(mktemp "$CACHE/log.XXXXXX")
	if in_root "$root" "$TOP:/mnt" -- bash -euxc "
			mkdir /tree
			tar -c -C /mnt --exclude=.git --exclude='*.o' --exclude='*.ko' . | tar -x -C /tree
			cd /tree
			$script" check "$@" >"$log" 2>&1; then
		echo "ok $number - $text"
	else
		echo "not ok $number - $text"
		failed=$((failed + 1))
		tail -n 30 "$log" >&2
	fi
	rm "$log"
}

MAKE_INSTALL='
	make KVER="$1" DESTDIR=/new install
	[ -f "/new/lib/modules/$1/updates/drivers/block/vinteg/vinteg.ko" ]
	modprobe -d /new -S "$1" --show-depends vinteg
	modinfo -F vermagic /new/lib/modules/*/updates/drivers/block/vinteg/vinteg.ko | grep -F "$1 "
	make KVER="$1" DESTDIR=/new uninstall
	left=$(find /new -type f ! -name "modules.*")
	[ -z "$left" ]
	if modprobe -q -d /new -S "$1" --show-depends vinteg; then
		exit 1
	fi'

# A kernel's package runs depmod first; newer dkms counts on that. The roots have headers
# only.
DKMS='
	depmod "$1"
	version=$(sed -n "s/^PACKAGE_VERSION=//p" dkms.conf | tr -d \")
	cp -r /tree "/usr/src/vinteg-$version"
	dkms add "vinteg/$version"
	dkms build "vinteg/$version" -k "$1"
	dkms install "vinteg/$version" -k "$1"
	dkms status "vinteg/$version" -k "$1" | grep -q ": installed"
	modprobe -S "$1" --show-depends vinteg
	[ "$(modinfo -k "$1" -F depends vinteg)" = "" ]
	dkms remove "vinteg/$version" --all
	if modprobe -q -S "$1" --show-depends vinteg; then
		exit 1
	fi'

NO_HEADERS='
	if make --no-print-directory KVER=6.99.0-none install >/tmp/out 2>/tmp/err; then
		exit 1
	fi
	[ ! -s /tmp/out ]
	[ "$(grep -vc "^make: \*\*\*" /tmp/err)" = 1 ]
	grep -q linux-headers-6.99.0-none /tmp/err'

# The roots have no systemd: they are never booted by one. (The lists may be older than
# what the mirror holds now.)
UNIT='
	get="apt-get install -y --no-install-recommends systemd"
	$get || { apt-get update && $get; }
	make install-files
	for file in srv-a.img srv-with\\x20a\\x2dblank; do
		systemd-analyze verify --man=no "vinteg@$file.service" 2>&1 | tee /tmp/said
		[ ! -s /tmp/said ]
	done
	[ "$(systemd-escape -p "/srv/with a-blank")" = "$file" ]
	# It would say so.
	sed -i "s/^Type=.*/Type=never/" /usr/local/lib/systemd/system/vinteg@.service
	systemd-analyze verify --man=no "vinteg@$file.service" 2>&1 | grep -i "type.*never"'

echo "TAP version 13"
for kernel; do
	root=$("$TOP/scripts/kernel/root.sh" "$(suite_of "$kernel")")
	release=$(<"$root/../kernels/$kernel/release")
	check "make install and uninstall on $kernel" "$root" "$MAKE_INSTALL" "$release"
	check "dkms add, build, install and remove on $kernel" "$root" "$DKMS" "$release"
done
check "systemd takes the unit" "$root" "$UNIT"
check "without headers make install names the package that lacks" "$root" "$NO_HEADERS"
echo "1..$number"
[ $failed = 0 ]
