#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# crashstates.sh [--short|--ktap]: records what vinteg writes to a disk, makes of it all
# kinds of states that a power cut could have left, and judges them. KERNELS are stock
# kernels or "uml"; POLICIES, HOSTS (ext4, xfs, raw) and DISKS (fua, nofua: what the disk
# below offers) leave out others; STATES is how many different ones are wanted, OPS the
# requests of each run, SEED what is written, SRC the checkout whose module is tested.
# MOUNTED more states of each policy are mounted and then judged, metadata and all.
# --short takes one kind of disk for each policy; --ktap is the short form with the
# oracle's own tests, and prints its results in KTAP. What was recorded of a run with a
# bad state is kept, in the folder LOGS, and so is what a machine said that died.
#
# Controls that have to lose: the policy "unsafe", also mounted, a disk that ignores
# flushes, one that ignores FUA. Exit status 0 only if they did, and nothing else.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/machines.sh"
. "$(dirname "$0")/../vm/accident.sh"

form=${1:-}
case $form in
--ktap)	defaults=(100000 200 "ext4 xfs" 8) ;;
*)	defaults=(500000 1000 "ext4 xfs raw" 100) ;;
esac
KERNELS=${KERNELS:-uml}
POLICIES=${POLICIES:-none directsync writethrough writeback guest switching}
DISKS=${DISKS:-fua nofua}
STATES=${STATES:-${defaults[0]}}
OPS=${OPS:-${defaults[1]}}
HOSTS=${HOSTS:-${defaults[2]}}
MOUNTED=${MOUNTED:-${defaults[3]}}
SEED=${SEED:-$RANDOM}
TIMEOUT=${TIMEOUT:-1800}

case $form in
'' | --short)	;;
--ktap)		exec 3>&1 1>&2 ;;
*)		die "usage: crashstates.sh [--short|--ktap]" ;;
esac

here=$TOP/scripts/powercut
kept=${LOGS:-$CACHE/crashstates}
work=$(mktemp -d "$CACHE/crashstates.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# reason: of the failure that comes next, on standard input.
reason()
{
	if [ "$form" = --ktap ]; then
		sed 's/^/# /' >&3
	else
		sed 's/^/    /'
	fi
}

# result ok|"not ok" TEXT
result()
{
	results=$((results + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	[ "$form" != --ktap ] || echo "$1 $results - $2" >&3
}

programs()
{
	local root

	step "building the programs"
	need nbdkit-plugin-dev
	mkdir "$work/job" "$work/include"
	cp /usr/include/nbdkit-*.h "$work/include/"
	root=$("$TOP/scripts/kernel/root.sh" bookworm)
	in_root "$root" "$here:/mnt" "$work:/out" -- bash -euc '
		cd /mnt
		cc="gcc -O2 -Wall -pthread"
		$cc -static -o /out/job/workload workload.c writers.c operator.c ledger.c stamp.c
		$cc -static -o /out/job/extents extents.c
		$cc -static -o /out/job/crashimage crashimage.c ledger.c
		$cc -static -o /out/job/judge judge.c oracle.c verdict.c ledger.c stamp.c
		$cc -fPIC -shared -I/out/include -o /out/job/recorder.so recorder.c
		$cc -static -o /out/crashstates crashstates.c model.c oracle.c verdict.c ledger.c stamp.c
		$cc -static -o /out/oracle_test oracle_test.c oracle.c verdict.c ledger.c stamp.c'
	install -m 755 "$here/crashstates-guest.sh" "$work/job/run"
}

# plan HOST: the runs on that host filesystem, as crashstates-guest.sh reads them.
plan()
{
	local host=$1 policy disk claim n=0 list files=(sparse unwritten written)

	read -ra list <<<"$DISKS"
	for policy in $POLICIES; do
		claim=$policy
		[ "$policy" != switching ] || claim=none
		for disk in "${list[@]}"; do
			# Of two kinds of disks, each policy gets another one on each host.
			[ -z "$form" ] || [ ${#list[@]} = 1 ] ||
				[ $(((n + ${#host}) % 2)) = 0 ] || disk=
			n=$((n + 1))
			[ -z "$disk" ] ||
				echo "$policy.$disk $host $policy $disk $claim $OPS $SEED written 0"
		done
		# Another file each time. The short forms have each policy once.
		disk=${list[n % ${#list[@]}]}
		[ "$host" = raw ] || [ "$MOUNTED" = 0 ] ||
			{ [ -n "$form" ] && [ $(((n / 2 + ${#host}) % 2)) = 0 ]; } || echo "mounted.$policy $host $policy" \
			"$disk $claim $OPS $SEED ${files[(n + ${#host}) % 3]} $MOUNTED"
		[ -z "$form" ] || n=$((n + 1))
	done
	[ "$host" = "${HOSTS%% *}" ] || return 0
	echo "control.unsafe $host unsafe fua none $OPS $SEED written 0"
	echo "control.flush $host none ignore=flush none $OPS $SEED written 0"
	echo "control.fua $host none ignore=fua none $OPS $SEED written 0"
	[ "$host" = raw ] || [ "$MOUNTED" = 0 ] ||
		echo "control.mounted $host unsafe nofua none $OPS $SEED sparse $MOUNTED"
}

# boot KERNEL HOST: one machine for all the runs.
boot()
{
	local kernel=$1 host=$2 drive=$work/records.img rc=0

	cp "$work/$host.plan" "$work/job/runs"
	truncate -s 8G "$drive"
	step "$kernel, $host: booting, then $(wc -l <"$work/job/runs") runs of $OPS requests"
	machine "$kernel" "records,$drive" --job "$work/job" --out "$work/out" \
		--timeout "$TIMEOUT" --follow --mem 3072 \
		> >(while read -r line; do step "$kernel, $host: ${line%$'\r'}"; done) || rc=$?
	if [ $rc != 0 ]; then
		mkdir -p "$kept" "$work/out"
		rm -rf "${kept:?}/$kernel.$host.machine"
		cp -r "$work/out" "$kept/$kernel.$host.machine"
		{ cat "$work/out/verdict" 2>/dev/null || true; complaints "$work/out/console" 4 4; } | reason
		result "not ok" "$kernel, $host: the machine came to its end"
		return 0
	fi
	mkdir -p "$work/$kernel/$host"
	tar -C "$work/$kernel/$host" -xf "$drive"
	rm "$drive"
}

# judge KERNEL NAME HOST POLICY DISK CLAIM OPS SEED FILE MOUNTED: a line of the table.
judge()
{
	local kernel=$1 name=$2 host=$3 dir=$work/$1/$3/$2 rc=0 said verdict=ok
	local cuts distinct risky bad acknowledged _

	[ -e "$dir" ] || return 0
	if [ "${10}" = 0 ]; then
		"$work/crashstates" "$dir"/{ledger,log,extents} "$wanted" "$8" >"$dir/said" 2>&1 ||
			rc=$?
	else
		cp "$dir/mounted" "$dir/said"
		tail -n 1 "$dir/said" | grep -q ' bad 0$' || rc=1
	fi
	said=$(tail -n 1 "$dir/said")
	case $said in
	states*)
		cuts=- acknowledged=-
		read -r _ distinct _ risky _ bad <<<"$said"
		;;
	cuts*)	read -r _ cuts _ _ _ distinct _ risky _ bad _ acknowledged _ <<<"$said" ;;
	*)	rc=2 cuts=- distinct=- risky=0 bad=- acknowledged=- ;;
	esac
	case $name.$rc in
	control.*.1 | [!c]*.0)	;;
	*)			verdict="not ok" ;;
	esac
	# A run in which nothing was at risk proves nothing. (The disk below "unsafe" hardly
	# gets anything that could be at risk there.)
	[ "$risky" != 0 ] || [ "$name" = control.mounted ] || verdict="not ok"
	printf '%-8s %-6s %-14s %-12s %7s %7s %9s %9s %8s  %s\n' "$kernel" "$host" "$4" "$5" \
		"$acknowledged" "$cuts" "$distinct" "$risky" "$bad" "$(meaning "$name" "$rc")"
	case $name in
	control.*)	;;
	mounted.*)	mounted=$((mounted + risky)) ;;
	*)		total=$((total + risky)) ;;
	esac
	if [ "$verdict" != ok ]; then
		head -n 4 "$dir/said" | reason
		mkdir -p "$kept"
		rm -rf "${kept:?}/$kernel.$host.$name"
		cp -r "$dir" "$kept/$kernel.$host.$name"
		cp "$work/crashstates" "$kept/"
		[ "${10}" != 0 ] ||
			echo "    again: cd $kept/$kernel.$host.$name && ../crashstates ledger log extents $wanted $8"
	fi
	result "$verdict" "$kernel, $host: $name: $risky states, $bad bad"
}

# meaning NAME STATUS
meaning()
{
	case $1.$2 in
	*.2)		echo "COULD NOT BE JUDGED" ;;
	control.*.0)	echo "THE CONTROL LOST NOTHING: this proves nothing" ;;
	control.*)	echo "lost, as it must" ;;
	*.0)		echo "nothing lost" ;;
	*)		echo "LOST OR DAMAGED" ;;
	esac
}

results=0 failed=0 total=0 mounted=0
[ "$form" != --ktap ] || echo "TAP version 13" >&3
programs
if [ "$form" = --ktap ]; then
	if "$work/oracle_test" >"$work/oracle"; then
		rc=ok
	else
		rc="not ok"
	fi
	sed 's/^/# /' "$work/oracle" >&3
	result "$rc" "the oracle's own tests"
fi
for host in $HOSTS; do
	plan "$host" >"$work/$host.plan"
done
runs=$(cat "$work"/*.plan | grep -vc '^control\|^mounted')
# Many come out alike, or have nothing at risk.
wanted=$((STATES * 6 / runs / $(wc -w <<<"$KERNELS")))
for kernel in $KERNELS; do
	build "$kernel" "$work/job"
	for host in $HOSTS; do
		boot "$kernel" "$host"
	done
done
step "judging the states"
printf '%-8s %-6s %-14s %-12s %7s %7s %9s %9s %8s\n' kernel host policy disk \
	acked cuts states "at risk" bad
for kernel in $KERNELS; do
	for host in $HOSTS; do
		while read -ra run; do
			judge "$kernel" "${run[@]}"
		done <"$work/$host.plan"
	done
done
step "$total different states with something at risk, $mounted more were mounted, seed $SEED"
if [ "$total" -ge "$STATES" ]; then
	result ok "as many states as were wanted"
else
	step "fewer than the $STATES that were wanted"
	result "not ok" "as many states as were wanted"
fi
[ "$form" != --ktap ] || echo "1..$results" >&3
[ $failed = 0 ]
