#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: everything that is tested. KERNELS="6.12 7.3" leaves out other kernels,
# TESTS=pattern other selftests (and all that is no selftest). LOGS=folder keeps the
# logs there. Ends with what failed and why, and the line "N passed, N failed, N skipped";
# the exit status is 0 only if none failed.
#
# If the emulator kills a machine, and that can be proved (see vm/accident.sh), then its
# test programs that have no result run once more, in a second machine, and no more. That
# is no result, but an "accident", and is told at the end.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ktap.sh"
. "$(dirname "$0")/vm/accident.sh"

KERNELS=${KERNELS:-$KERNELS_ALL}
TESTS=${TESTS:-}
# So many things at a time. A machine without KVM keeps one core busy, rarely two.
JOBS=${JOBS:-$(nproc)}
# One machine has so many seconds for all of its tests.
TIMEOUT=${TIMEOUT:-2700}
# After so many seconds in which nothing happened, what is going on is said.
BEAT=25
COLLECTION=drivers/block/vinteg
# The last result of each kernel.
LAST="the module unloads, the kernel has nothing to complain about"

[ "$(id -u)" = 0 ] || die "this has to be run as root: it builds root filesystems"
for kernel in $KERNELS; do
	suite_of "$kernel" >/dev/null
done

# Kept until the next run, to be read when something failed.
logs=${LOGS:-$CACHE/check}
exec {lock}>"$logs.lock"
flock -n "$lock" || die "another check writes to $logs: wait, or say LOGS=folder"
rm -rf "$logs"
mkdir -p "$logs/running"
RESULTS=$logs/results
: >"$RESULTS"

# What an oops has between its first line and the functions that were called.
PADDING='Tainted: \[|Hardware name: |Modules linked in: |</?TASK>|(R[ABCD]X|R[SD]I|RBP|R[0-9]+|FS|CS|CR2): +[0-9a-f]'
PADDING="$PADDING"'|cut here|\]  \? '

# because WHERE WHAT FILE: the reason is in a file: its first complaint, or its end.
because()
{
	local lines

	mapfile -t lines < <(complaints "$3" 40 $REASONS | grep -v -E "$PADDING")
	why "$1" "$2" "${lines[@]:0:REASONS}"
}

# part WHERE COMMAND...: a part that prints KTAP of its own. One that fails without a
# failed result, or has no result at all, is a failure itself.
part()
{
	local where=$1 rc=0
	shift

	: >"$logs/running/$where"
	"$@" 2>"$logs/$where.log" </dev/null | tee "$logs/$where.ktap" | ktap_read "$where" ||
		rc=$?
	if [ "$(count 'pass|fail|skip' "$where")" = 0 ] ||
			{ [ $rc != 0 ] && [ "$(count fail "$where")" = 0 ]; }; then
		step "$where: failed (exit status $rc)"
		tail -n 30 "$logs/$where.log" >&2
		record fail "$where" "exit status $rc"
		because "$where" "exit status $rc" "$logs/$where.log"
	fi
	rm -f "$logs/running/$where"
}

# build KERNEL: the machine's job: the module, the selftests, what runs them.
build()
{
	local kernel=$1 job=$logs/$1/job rc=0

	mkdir -p "$job"
	# What it says while it is built is not the module's.
	"$TOP/scripts/kernel/root.sh" "$(suite_of "$kernel")" >/dev/null
	step "building the module for $kernel, with all warnings and sparse"
	"$TOP/scripts/kernel/build.sh" "$kernel" "$TOP" "$job" C=2 \
		>"$logs/$kernel/build" 2>&1 || rc=$?
	if [ $rc != 0 ] || [ -s "$logs/$kernel/build" ]; then
		cat "$logs/$kernel/build" >&2
		record fail "$kernel" "the module builds without a warning"
		because "$kernel" "the module builds without a warning" "$logs/$kernel/build"
	else
		record pass "$kernel" "the module builds without a warning"
	fi
	[ $rc = 0 ] || return 0
	if ! "$TOP/scripts/kernel/selftests.sh" "$(suite_of "$kernel")" "$job" \
			2>"$logs/$kernel/selftests"; then
		cat "$logs/$kernel/selftests" >&2
		record fail "$kernel" "the selftests build"
		because "$kernel" "the selftests build" "$logs/$kernel/selftests"
		return 0
	fi
	rm "$job/vinteg.ko.debug"
	installed "$job/installed"
	# Stock kernels have no fault injection: test_faults is for "make check-debug".
	grep "^$COLLECTION:" "$job/kselftest-list.txt" | grep -v ":${TESTS:+-}test_faults" |
		grep -E -e "$TESTS" >"$logs/$kernel/list" || die "no selftest's name matches '$TESTS'"
}

# machine KERNEL OUT LIST: runs the test programs of a list in a machine; the exit status
# is that of vm/run.sh.
machine()
{
	local kernel=$1 dir=$logs/$1 out=$2 vm

	mkdir -p "$out"
	# Through a pipe: run_kselftest.sh opens its standard output anew by its name.
	cat >"$dir/job/run" <<-END
		#!/bin/bash
		set -o pipefail
		./run_kselftest.sh $(sed 's/^/-t /' "$3" | tr '\n' ' ') 2>&1 | cat
	END
	chmod +x "$dir/job/run"
	"$TOP/scripts/vm/run.sh" --kernel "$kernel" --job "$dir/job" --out "$out" \
		--timeout "$TIMEOUT" 2>"$out.log" &
	vm=$!
	while [ ! -e "$out/output" ] && kill -0 $vm 2>/dev/null; do
		nap 0.2
	done
	ktap_read "$kernel" < <(tail -n +1 -f -s 0.5 --pid=$vm "$out/output" 2>/dev/null)
	wait $vm
}

# without_result OUT LIST: those of a list that have none.
without_result()
{
	local test

	while read -r test; do
		grep -q -s -E "^(not )?ok [0-9]+ selftests: ${test/:/: }( |\$)" "$1/output" ||
			echo "$test"
	done <"$2"
}

# selftests KERNEL: runs them in a machine with that kernel.
selftests()
{
	local kernel=$1 dir=$logs/$1 out=$logs/$1/out again=$logs/$1/again rc=0 test line

	[ -e "$dir/list" ] || return 0
	step "$kernel: booting, then $(wc -l <"$dir/list") test programs"
	machine "$kernel" "$out" "$dir/list" || rc=$?
	without_result "$out" "$dir/list" >"$again"
	if [ $rc = 3 ]; then
		# If it died at the very end, there is no verdict yet.
		[ -s "$again" ] || tail -n 1 "$dir/list" >"$again"
		line="the machine died ($(tail -n 1 "$out/accidents")): $(wc -l <"$again")"
		line="$line test programs run again in a second machine"
		step "$kernel: $line"
		record accident "$kernel" "$line"
		sed -i '$d' "$out/accidents"
		out=$dir/out2 rc=0
		machine "$kernel" "$out" "$again" || rc=$?
		# Whoever did that, it counts now.
		[ $rc != 3 ] || sed -i '$d' "$out/accidents"
		without_result "$out" "$again" >"$again.too"
		mv "$again.too" "$again"
	fi
	while read -r line; do
		record accident "$kernel" "booted again: $line"
	done < <(cat "$dir"/out*/accidents 2>/dev/null)

	while IFS=: read -r _ test; do
		lost "$kernel" "$test"
	done <"$again"
	if [ -s "$again" ]; then
		why "$kernel" "no result" "$(no_verdict "$out.log")"
		because "$kernel" "no result" "$out/console"
	fi
	case $(cat "$out/verdict" 2>/dev/null || true) in
	run=*" rmmod=ok log=clean leaks=none")
		record pass "$kernel" "$LAST"
		grep -q '^run=0 ' "$out/verdict" || [ "$(count fail "$kernel")" != 0 ] ||
			record fail "$kernel" "run_kselftest.sh failed for an unknown reason"
		;;
	*)
		step "$kernel   FAIL  the machine's own verdict"
		cat "$out.log" >&2
		record fail "$kernel" "$LAST"
		grep -s -v '^#\|^ok\|^not ok' "$out/output" >"$out/words" || true
		tail -n 40 "$out/words" >&2
		if [ -s "$out/verdict" ]; then
			why "$kernel" "$LAST" "$(cat "$out/verdict")"
			because "$kernel" "$LAST" "$out/words"
		else
			why "$kernel" "$LAST" "$(no_verdict "$out.log")"
		fi
		;;
	esac
}

# no_verdict LOG: what vm/run.sh says of a machine that has left none.
no_verdict()
{
	sed -n '/ no verdict: /{ s/^.* no verdict: /no verdict: /; s/\. Its console:$//; p }' "$1"
}

# lost KERNEL TEST: a test without a result.
lost()
{
	step "$1   FAIL  $2: no result"
	record fail "$1" "$2: no result"
}

# with_kernel KERNEL: all that is tested with that kernel. To be run in the background;
# an end without a verdict of its own is a failure.
with_kernel()
{
	: >"$logs/running/$1"
	build "$1"
	selftests "$1"
	rm -f "$logs/running/$1"
}

# doing WHERE: what goes on there: the last words of its logs.
doing()
{
	local file line='' last=''

	for file in "$logs/$1.log" "$logs/$1/out.log" "$logs/$1/out2.log"; do
		[ ! -s "$file" ] || line=$(tail -n 1 "$file")
	done
	for file in "$logs/$1/out/output" "$logs/$1/out2/output"; do
		[ ! -s "$file" ] || last=$(grep '^# selftests: ' "$file" | tail -n 1) || true
		[ -z "$last" ] || line=${last##*: }
	done
	[[ ! $line =~ ^"["\ *[0-9]+" s] "(.*)$ ]] || line=${BASH_REMATCH[1]}
	line=${line#"${line%%[! ]*}"}
	step "still at it: $1${line:+: ${line:0:90}}"
}

# beat: says what goes on whenever nothing has happened for a while, until check.sh ends.
beat()
{
	local last=$SECONDS size=0 now where

	while nap 1 && kill -0 $$ 2>/dev/null; do
		now=$(stat -c %s "$RESULTS" 2>/dev/null) || break
		if [ "$now" != "$size" ]; then
			size=$now last=$SECONDS
		elif [ $((SECONDS - last)) -ge $BEAT ]; then
			last=$SECONDS
			for where in "$logs"/running/*; do
				[ ! -e "$where" ] || doing "${where##*/}"
			done
		fi
	done
}

# spawn COMMAND...: in the background, as soon as there is a place.
spawn()
{
	while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do
		wait -n || true
	done
	"$@" &
}

# Not a child to be waited for.
(beat {lock}>&- &)
# A kernel takes as long as all that is no kernel: first one of them, the short parts beside
# it, then the others.
read -r kernel others <<<"$KERNELS"
spawn with_kernel "$kernel"
if [ -z "$TESTS" ]; then
	spawn part machine "$TOP/scripts/vm/accident_test.sh"
	spawn part static "$TOP/scripts/kernel/static.sh" --sources
	spawn part uml env LOGS="$logs/uml" "$TOP/scripts/uml/check.sh"
	spawn part crashstates env KERNELS=uml LOGS="$logs/crashstates" \
		"$TOP/scripts/powercut/crashstates.sh" --ktap
	spawn part powercut env KERNELS=uml CUTS=30 LOGS="$logs/powercut" \
		"$TOP/scripts/powercut/live.sh" --check
	[[ " $KERNELS " != *" 6.12 "* ]] || spawn part whole \
		env KERNELS=6.12 ROUNDS=1 LOGS="$logs/whole" "$TOP/scripts/powercut/whole.sh" --check
	spawn part clients env KERNELS=uml LOGS="$logs/clients" \
		"$TOP/scripts/powercut/clients.sh" --check
	spawn part mutants "$TOP/scripts/mutants/run.sh" --quick --ktap
fi
for kernel in $others; do
	spawn with_kernel "$kernel"
done
if [ -z "$TESTS" ]; then
	# In virtual time: what else this machine does hardly matters to the figures.
	[[ " $KERNELS " != *" 6.12 "* ]] || spawn part speed \
		env LOGS="$logs/speed" "$TOP/scripts/bench/guard.sh" 6.12
	spawn part intree "$TOP/scripts/kernel/intree.sh"
	# shellcheck disable=SC2086 # a list
	spawn part dkms "$TOP/scripts/kernel/dkms.sh" $KERNELS
fi
wait
for kernel in $KERNELS; do
	grep -q -P "\t$kernel\t$LAST\$" "$RESULTS" || record fail "$kernel" "no end"
done

rm -r "$logs/running"
summary "$logs"
