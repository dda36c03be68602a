#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# debug.sh kcsan|kasan: builds a kernel 7.3 that looks for bugs, for the virtual machine, and
# prints the path of a folder with "vmlinuz", "release" (the output of uname -r), "modules"
# (its modules, for /lib/modules) and "build" (the tree that modules are built against).

. "$(dirname "$0")/../lib.sh"

flavour=${1:-}
case $flavour in
kcsan)	minutes=12 ;;
kasan)	minutes=25 ;;
*)	die "usage: debug.sh kcsan|kasan" ;;
esac

here=$(cd "$(dirname "$0")" && pwd)
configs=$here/debug
fragments=(common.config "$flavour.config")
root=$("$here/root.sh" trixie)
src=$("$here/source.sh" 7.3)

# The kernel's makefiles write down the paths they were called with; inside the root these
# are always the same.
in_tree()
{
	in_root "$root" "$src:/usr/src/linux" "$tmp:/usr/src/debug" "$configs:/mnt" -- \
		bash -euc "$1" in_tree "${@:2}"
}

configure()
{
	in_tree '
		out=/usr/src/debug/build
		cd /mnt
		cat "$@" >$out/wanted
		make -s -C /usr/src/linux O=$out KCONFIG_ALLCONFIG=$out/wanted allnoconfig
		grep -h "CONFIG_" "$@" | while read -r line; do
			case $line in
			"# "*)	! grep -q "^$(echo "$line" | cut -d " " -f 2)=" $out/.config ;;
			*)	grep -qx "$line" $out/.config ;;
			esac || echo "not taken over: $line"
		done >$out/refused
		cat $out/refused
		[ ! -s $out/refused ]' "${fragments[@]}"
}

# KCSAN looks at the module alone: all of its reports are then about the module, nearly every
# race of its own is caught, and the machine is as fast as without. This variable is what the
# kernel's makefiles set for folders that are to be left out; one from the environment holds
# for all that set none.
compile()
{
	in_tree '
		cd /usr/src/debug/build
		export KCSAN_SANITIZE=n
		nice make -j"$(nproc)" bzImage modules
		make INSTALL_MOD_PATH=/usr/src/debug/install modules_install
		cp "$(make -s image_name)" /usr/src/debug/vmlinuz
		make -s kernelrelease >/usr/src/debug/release'
}

# Modules need the headers, the scripts and the symbols; not the objects.
tidy_up()
{
	rm -f "$tmp"/build/{vmlinux*,.tmp_vmlinux*} "$tmp"/install/lib/modules/*/build
	mv "$tmp/install/lib/modules" "$tmp/modules"
	rm -rf "$tmp/install" "$tmp/configured"
	find "$tmp/build" -name '*.[oa]' ! -path '*/scripts/*' ! -path '*/tools/*' -delete
}

build()
{
	[ ! -e "$dir" ] || return 0
	tmp=$dir.tmp
	# What an interrupted build has done already is kept.
	if [ ! -e "$tmp/configured" ]; then
		rm -rf "$tmp"
		mkdir -p "$tmp/build"
		quietly "configuring kernel 7.3 ($flavour)" configure
		touch "$tmp/configured"
	fi
	quietly "building kernel 7.3 ($flavour); two cores take $minutes minutes" compile
	tidy_up
	mv "$tmp" "$dir"
	step "kernel 7.3 ($flavour) is ready: $(du -sh "$dir" | cut -f 1)"
}

key=$( (cd "$configs" && cat "${fragments[@]}" "$src/Makefile"
	declare -f configure compile
	chroot "$root" gcc --version) | sha256sum | cut -c 1-12)
dir=$CACHE/debug-$flavour-$key
with_lock "debug-$flavour" build
echo "$dir"
