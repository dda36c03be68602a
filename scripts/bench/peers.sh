#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# peers.sh SUITE: prints the folders with what vinteg is compared to and a guest hasn't got:
# kublk, from the kernel's selftests, and qemu-nbd, with the libraries that it takes.

. "$(dirname "$0")/../lib.sh"

# kublk is linked statically, in the release whose liburing is new enough, and for any.
build_kublk()
{
	local src

	[ ! -e "$kublk" ] || return 0
	rm -rf "$kublk.tmp"
	mkdir "$kublk.tmp"
	src=$("$TOP/scripts/kernel/source.sh" 7.3)
	quietly "building kublk, the kernel's ublk server" \
		in_root "$newest" "$src:/mnt" "$kublk.tmp:/out" -- bash -euc '
		cp -r /mnt/tools/testing/selftests/ublk /build
		mkdir -p /build/uapi/linux
		cp -r /mnt/include/uapi/linux/{ublk_cmd.h,fs.h,io_uring.h,io_uring} /build/uapi/linux/
		cp /mnt/tools/testing/selftests/kselftest.h /
		cd /build
		gcc -O2 -w -static -D_GNU_SOURCE -D__user= -I uapi -include linux/io_uring.h -o /out/kublk \
			kublk.c null.c file_backed.c common.c stripe.c fault_inject.c batch.c \
			$(ls shmem*.c 2>/dev/null) -luring -lpthread -lm'
	mv "$kublk.tmp" "$kublk"
}

# qemu-nbd comes with all its libraries but the C library.
fetch_qemu()
{
	[ ! -e "$qemu" ] || return 0
	rm -rf "$qemu.tmp"
	mkdir -p "$qemu.tmp/qemu"
	quietly "fetching qemu-nbd for $suite" \
		in_root "$root" "$qemu.tmp/qemu:/out" -- bash -euc '
		apt-get install -y --no-install-recommends qemu-utils
		ldd /usr/bin/qemu-nbd | sed -n "s/.* => \(\/[^ ]*\).*/\1/p" |
			xargs -I{} cp {} /out/
		rm -f /out/lib{c,m,pthread,dl,rt}.so* /out/ld-linux*
		cp /usr/bin/qemu-nbd /out/qemu-nbd.bin
		printf "%s\n" "#!/bin/sh" \
			"LD_LIBRARY_PATH=\${0%/*} exec \${0%/*}/qemu-nbd.bin \"\$@\"" \
			>/out/qemu-nbd
		chmod +x /out/qemu-nbd'
	mv "$qemu.tmp" "$qemu"
}

[ $# = 1 ] || die "usage: peers.sh SUITE"
suite=$1
root=$("$TOP/scripts/kernel/root.sh" "$suite")
newest=$("$TOP/scripts/kernel/root.sh" trixie)
kublk=$(dirname "$newest")/kublk-$(declare -f build_kublk | sha256sum | cut -c 1-12)
qemu=$(dirname "$root")/qemu-nbd-$(declare -f fetch_qemu | sha256sum | cut -c 1-12)
with_lock kublk build_kublk
with_lock "qemu-nbd-$suite" fetch_qemu
echo "$kublk"
echo "$qemu"
