#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build.sh KERNEL SRC OUT [MAKE-ARGUMENT]...: builds the module of source tree SRC
# for a kernel, in a root of that kernel's release. OUT gets vinteg.ko, stripped, and
# vinteg.ko.debug with its debug information. SRC is only read. Prints warnings
# and errors (with W=1), else nothing.

. "$(dirname "$0")/../lib.sh"

[ $# -ge 3 ] || die "usage: build.sh KERNEL SRC OUT [MAKE-ARGUMENT]..."
kernel=$1 src=$2 out=$3
shift 3
suite=$(suite_of "$kernel")
root=$("$TOP/scripts/kernel/root.sh" "$suite")
case $kernel in
*-*)
	debug=$("$TOP/scripts/kernel/debug.sh" "${kernel#*-}")
	tree=/usr/src/debug/build
	mounts=("$("$TOP/scripts/kernel/source.sh" "${kernel%-*}"):/usr/src/linux"
		"$debug:/usr/src/debug")
	;;
*)
	tree=/lib/modules/$(<"$root/../kernels/$kernel/release")/build
	mounts=()
	;;
esac
[ -f "$src/Kbuild" ] || die "$src/Kbuild is missing: not a source tree of this module"
mkdir -p "$out"

# What make says on its standard output is of no interest unless it fails.
rc=0
in_root "$root" "$(realpath "$src"):/mnt" "$(realpath "$out"):/out" "${mounts[@]}" -- bash -euc '
	tree=$1
	shift
	mkdir /build
	tar -c -C /mnt --exclude="*.o" --exclude="*.ko" --exclude=".*.cmd" Kbuild drivers |
		tar -x -C /build
	# Newer kernels ask a script whether sparse is new enough, which Debian leaves out
	# of the headers. All that its sparse lacks are these two.
	common=$(sed -n "s/^include \(.*-common.*\)\/Makefile$/\1/p" \
		"$tree/Makefile")
	if [ -n "$common" ] && [ ! -e "$common/scripts/checker-valid.sh" ]; then
		printf "#!/bin/sh\necho 1\n" >"$common/scripts/checker-valid.sh"
		chmod +x "$common/scripts/checker-valid.sh"
	fi
	printf "#!/bin/sh\nexec sparse %s %s \"\$@\"\n" \
		"-D__typeof_unqual__=__typeof__" \
		"\"-D__builtin_strlen(s)=(sizeof(s)-1)\"" >/tmp/sparse
	chmod +x /tmp/sparse
	if ! make -j"$(nproc)" -C "$tree" M=/build W=1 \
		CHECK=/tmp/sparse "$@" \
		modules >/tmp/log; then
		tail -n 20 /tmp/log >&2
		exit 1
	fi
	cp "$(find /build -name vinteg.ko)" /out/vinteg.ko.debug
	strip --strip-debug -o /out/vinteg.ko /out/vinteg.ko.debug
	' build "$tree" "$@" 2>"$out/build.log" || rc=$?
# Debian's headers come without the kernel's own type information: not a warning.
sed '/Skipping BTF generation/d; s|/build/||g' "$out/build.log" >&2
exit $rc
