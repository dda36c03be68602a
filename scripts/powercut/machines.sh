# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced: what the power cuts have in common on the outside: programs, modules,
# machines. SRC is the tree whose driver is tested.

SRC=${SRC:-$TOP}
# After so many it is no use to go on with a kernel.
# shellcheck disable=SC2034 # for whoever sources this
MOST_ACCIDENTS=3

# compile FOLDER: all programs, static, so that they run in any release.
compile()
{
	local root

	step "compiling the disk, the workload and the judge"
	root=$("$TOP/scripts/kernel/root.sh" bookworm)
	mkdir -p "$1"
	in_root "$root" "$TOP/scripts/powercut:/mnt" "$1:/out" -- bash -euc '
		cc="gcc -O2 -Wall -static -pthread"
		cd /mnt
		$cc -o /out/disk disk.c
		$cc -o /out/workload workload.c writers.c operator.c ledger.c stamp.c
		$cc -o /out/judge judge.c oracle.c verdict.c ledger.c stamp.c
		$cc -o /out/ending ending.c ledger.c
		$cc -o /out/writer writer.c stamp.c
		$cc -o /out/checker checker.c stamp.c'
}

# build KERNEL FOLDER: the module, of the tree SRC.
build()
{
	step "building the module for ${1/uml/User-Mode Linux}"
	if [ "$1" = uml ]; then
		"$TOP/scripts/uml/module.sh" fast "$SRC" "$2"
	else
		"$TOP/scripts/kernel/build.sh" "$1" "$SRC" "$2"
		rm "$2/vinteg.ko.debug"
	fi
}

# machine KERNEL NAME,FILE OPTION...: runs a job there, with the file as one more disk.
machine()
{
	local kernel=$1 drive=$2
	shift 2

	if [ "$kernel" = uml ]; then
		"$TOP/scripts/uml/run.sh" "$@" --drive "$drive"
	else
		"$TOP/scripts/vm/run.sh" "$@" --kernel "$kernel" \
			--drive "${drive%%,*},file=${drive#*,},format=raw,cache=unsafe"
	fi
}
