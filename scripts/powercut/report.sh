# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced: what the power cuts have in common on the outside: programs, modules,
# machines, and the report. SRC is the tree whose driver is tested.

SRC=${SRC:-$TOP}
# Percent of the cuts under "unsafe" that have to lose something.
UNSAFE_LOSES=80

check='' part=''

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
		$cc -o /out/judge judge.c oracle.c ledger.c stamp.c
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

# report CUTS ACCIDENTS: a line for each kind of cut, then what has to be true of all of them.
# Fails if something isn't. With "part" set, what was not tried is no failure;
# with "check" set it prints KTAP.
report()
{
	awk -v least=$UNSAFE_LOSES -v ktap="$check" -v part="$part" -v accidents="$2" '
		function result(tried, good, text)
		{
			if (!tried && part)
				return
			good = tried && good
			bad += !good
			if (ktap)
				print (good ? "ok " : "not ok ") ++n " - " text
			else
				print (good ? "yes   " : "NO    ") text
		}
		function share(part, all)
		{
			return all ? sprintf("%d of %d (%d %%)", part, all, 100 * part / all) : "none"
		}
		{
			kernel = $1; policy = $3; host = $4; disk = $6; load = $7
			amiss = $8 != "kept"
			key = sprintf("%-6s %-13s %-12s %-9s %-10s", kernel, policy, host, disk, load)
			for (i = 9; i < NF; i++)
				if ($i == "acknowledged" || $i == "durable")
					sum[key, $i] += $(i + 1)
			cuts[key]++
			lost[key] += amiss
			if (disk ~ /^no-/) {
				controls[disk]++; detected[disk] += amiss
			} else if (policy == "unsafe") {
				unsafe++; unsafe_lost += amiss
			} else {
				kept[policy]++; violations[policy] += amiss
			}
		}
		END {
			if (!ktap) {
				printf "%-6s %-13s %-12s %-9s %-10s %6s %13s %10s %6s\n", "kernel", "policy",
					"host", "disk", "load", "cuts", "acknowledged", "durable", "lossy"
				sort = "sort"
				for (key in cuts)
					printf "%s %6d %13d %10d %6d\n", key, cuts[key],
						sum[key, "acknowledged"], sum[key, "durable"], lost[key] | sort
				close(sort)
				print ""
			}
			split("none directsync writethrough writeback guest", names, " ")
			for (i = 1; i in names; i++)
				result(kept[names[i]], !violations[names[i]],
					names[i] " keeps everything: lost something in " share(violations[names[i]], kept[names[i]]) " cuts")
			result(unsafe, unsafe_lost * 100 >= least * unsafe,
				"unsafe loses, and it is seen: in " share(unsafe_lost, unsafe))
			split("no-flush no-fua", broken, " ")
			for (i = 1; i in broken; i++)
				result(controls[broken[i]], detected[broken[i]],
					"a disk with " broken[i] " loses, and it is seen: in " share(detected[broken[i]], controls[broken[i]]))
			result(1, !accidents, "the machines live to the end: " accidents " accidents")
			exit bad != 0
		}' "$1"
}
