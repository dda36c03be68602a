#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# uml.sh fast|debug|gcov: builds User-Mode Linux 7.3 and prints the path of a folder with
# "linux" (the kernel, a program), "modules" (its modules, for /lib/modules) and
# "build" (the tree that modules are built against).

. "$(dirname "$0")/../lib.sh"

flavour=${1:-}
case $flavour in
fast)	fragments=(common.config) minutes=6 ;;
debug)	fragments=(common.config debug.config) minutes=30 ;;
gcov)	fragments=(common.config gcov.config) minutes=6 ;;
*)	die "usage: uml.sh fast|debug|gcov" ;;
esac

configs=$TOP/scripts/uml
here=$(cd "$(dirname "$0")" && pwd)
root=$("$here/root.sh" bookworm)
src=$("$here/source.sh" 7.3)

# The kernel's makefiles write down the paths they were called with; inside the
# root these are always the same.
in_tree()
{
	in_root "$root" "$src:/usr/src/linux" "$1:/usr/src/uml" "$configs:/mnt" -- \
		bash -euc "$change$2" in_tree "${@:3}"
}

# Two mistakes of User-Mode Linux 7.3 that the checks of the debug kernel show.
#
# When areas of vmalloc() are freed, kasan_release_vmalloc_node() clears the shadow of each,
# and then has the TLB flushed for all from the first to the last. In User-Mode Linux that
# is a second clearing (__kasan_release_vmalloc() in mm/kasan/shadow.c), of whatever lies
# between, too: areas for percpu are at the far end of 128 TiB, modules at the near one, so
# an rmmod can be at it for hours. That call is left out.
#
# flush_tlb_mm() goes through the areas of a process without a lock, which lockdep objects
# to, and then is silent about all else. It marks the whole address space instead.
# shellcheck disable=SC2016 # expanded in the root
mend_kernel='
	mend()
	{
		mended=$(mktemp)
		sed "$2" "/usr/src/linux/$1" >"$mended"
		! cmp -s "$mended" "/usr/src/linux/$1" || return
		mount --bind "$mended" "/usr/src/linux/$1"
	}
	mend mm/vmalloc.c \
		"/kasan_release_vmalloc(start, end, start, end, KASAN_VMALLOC_TLB_FLUSH);/d"
	mend arch/um/kernel/tlb.c "/^void flush_tlb_mm(/,/^}/{
		/VMA_ITERATOR\|struct vm_area_struct\|for_each_vma/d
		s/vma->vm_start, vma->vm_end/0, TASK_SIZE/
	}"
'

configure()
{
	in_tree "$tmp" '
		out=/usr/src/uml/build
		cd /usr/src/linux
		make -s ARCH=um O=$out defconfig
		cd /mnt
		/usr/src/linux/scripts/kconfig/merge_config.sh -m -O $out $out/.config "$@"
		make -s -C $out ARCH=um olddefconfig
		grep -h "CONFIG_" "$@" | while read -r line; do
			case $line in
			"# "*)	! grep -q "^$(echo "$line" | cut -d " " -f 2)=" $out/.config ;;
			*)	grep -qx "$line" $out/.config ;;
			esac || { echo "not taken over: $line"; exit 1; }
		done' "${fragments[@]}"
}

compile()
{
	in_tree "$tmp" '
		cd /usr/src/uml/build
		nice make ARCH=um -j"$(nproc)"
		make ARCH=um INSTALL_MOD_PATH=/usr/src/uml/install modules_install'
}

# KASAN and kmemleak record the stack with each allocation. In User-Mode Linux that is a
# look at every word on it, and with lockdep each look makes system calls: booting takes
# minutes rather than seconds. So what is recorded is made empty. Reports then show where
# something went wrong, but not who had allocated it.
record_no_stacks()
{
	in_tree "$1" '
		cd /usr/src/uml
		address=$((16#$(awk "\$3 == \"stack_trace_save\" { print \$1 }" build/System.map)))
		offset=$(readelf -lW linux | while read -r type from to _ size _; do
			[ "$type" = LOAD ] && [ $((address)) -ge $((to)) ] &&
				[ $((address)) -lt $((to + size)) ] || continue
			echo $((address - to + from))
			break
		done)
		# Return 0.
		printf "\x31\xc0\xc3" | dd of=linux bs=1 seek="$offset" conv=notrunc status=none'
}

# Modules need the headers, the scripts and the symbols; not the objects.
tidy_up()
{
	rm "$tmp/build/vmlinux"
	mv "$tmp/build/linux" "$tmp/linux"
	mv "$tmp/install/lib/modules" "$tmp/modules"
	rm -rf "$tmp/install" "$tmp"/modules/*/build "$tmp/configured"
	find "$tmp/build" -name '*.[oa]' ! -path '*/scripts/*' -delete
}

build()
{
	[ ! -e "$dir" ] || return 0
	tmp=$dir.tmp
	# What an interrupted build has done already is kept.
	if [ ! -e "$tmp/configured" ]; then
		rm -rf "$tmp"
		mkdir -p "$tmp/build"
		quietly "configuring User-Mode Linux 7.3 ($flavour)" configure
		touch "$tmp/configured"
	fi
	quietly "building User-Mode Linux 7.3 ($flavour); two cores take $minutes minutes" compile
	tidy_up
	[ "$flavour" != debug ] || record_no_stacks "$tmp"
	mv "$tmp" "$dir"
	step "User-Mode Linux 7.3 ($flavour) is ready: $(du -sh "$dir" | cut -f 1)"
}

change=
[ "$flavour" != debug ] || change=$mend_kernel
key=$( (cd "$configs" && cat "${fragments[@]}" "$src/Makefile"
	declare -f configure compile
	[ "$flavour" != debug ] || declare -f record_no_stacks
	echo -n "$change"
	chroot "$root" gcc --version) | sha256sum | cut -c 1-12)
dir=$CACHE/uml-$flavour-$key
with_lock "uml-$flavour" build
echo "$dir"
