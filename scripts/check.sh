#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: everything that is tested. KERNELS="6.12 7.3" leaves out other kernels,
# TESTS=pattern other selftests (and all that is no selftest). LOGS=folder keeps the
# logs there. Ends with the line "N passed, N failed, N skipped"; the exit status is 0
# only if none failed.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ktap.sh"

KERNELS=${KERNELS:-$KERNELS_ALL}
TESTS=${TESTS:-}
# So many things at a time. A machine without KVM keeps one core busy, rarely two.
JOBS=${JOBS:-$(nproc)}
# One machine has so many seconds for all of its tests.
TIMEOUT=${TIMEOUT:-2700}
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
mkdir -p "$logs"
RESULTS=$logs/results
: >"$RESULTS"

# part WHERE COMMAND...: a part that prints KTAP of its own. One that fails without a
# failed result, or has no result at all, is a failure itself.
part()
{
	local where=$1 rc=0
	shift

	"$@" 2>"$logs/$where.log" </dev/null | tee "$logs/$where.ktap" | ktap_read "$where" ||
		rc=$?
	if [ "$(count 'pass|fail|skip' "$where")" = 0 ] ||
			{ [ $rc != 0 ] && [ "$(count fail "$where")" = 0 ]; }; then
		step "$where: failed (exit status $rc)"
		tail -n 30 "$logs/$where.log" >&2
		record fail "$where" "exit status $rc"
	fi
}

# build KERNEL: the machine's job: the module, the selftests, what runs them.
build()
{
	local kernel=$1 job=$logs/$1/job rc=0

	mkdir -p "$job"
	step "building the module for $kernel, with all warnings and sparse"
	"$TOP/scripts/kernel/build.sh" "$kernel" "$TOP" "$job" C=2 \
		>"$logs/$kernel/build" 2>&1 || rc=$?
	if [ $rc != 0 ] || [ -s "$logs/$kernel/build" ]; then
		cat "$logs/$kernel/build" >&2
		record fail "$kernel" "the module builds without a warning"
	else
		record pass "$kernel" "the module builds without a warning"
	fi
	[ $rc = 0 ] || return 0
	if ! "$TOP/scripts/kernel/selftests.sh" "$(suite_of "$kernel")" "$job" \
			2>"$logs/$kernel/selftests"; then
		cat "$logs/$kernel/selftests" >&2
		record fail "$kernel" "the selftests build"
		return 0
	fi
	rm "$job/vinteg.ko.debug"
	installed "$job/installed"
	grep "^$COLLECTION:" "$job/kselftest-list.txt" | grep -E -e "$TESTS" \
		>"$logs/$kernel/list" || die "no selftest's name matches '$TESTS'"
	# Through a pipe: run_kselftest.sh opens its standard output anew by its name.
	cat >"$job/run" <<-END
		#!/bin/bash
		set -o pipefail
		./run_kselftest.sh $(sed 's/^/-t /' "$logs/$kernel/list" | tr '\n' ' ') 2>&1 | cat
	END
	chmod +x "$job/run"
}

# selftests KERNEL: runs them in a machine with that kernel.
selftests()
{
	local kernel=$1 dir=$logs/$1 vm test

	[ -x "$dir/job/run" ] || return 0
	step "$kernel: booting, then $(wc -l <"$dir/list") test programs"
	"$TOP/scripts/vm/run.sh" --kernel "$kernel" --job "$dir/job" --out "$dir/out" \
		--timeout "$TIMEOUT" 2>"$dir/vm" &
	vm=$!
	while [ ! -e "$dir/out/output" ] && kill -0 $vm 2>/dev/null; do
		nap 0.2
	done
	ktap_read "$kernel" < <(tail -n +1 -f -s 0.5 --pid=$vm "$dir/out/output" 2>/dev/null)
	wait $vm || true

	while IFS=: read -r _ test; do
		grep -q -E "^(not )?ok [0-9]+ selftests: $COLLECTION: $test( |\$)" "$dir/out/output" ||
			lost "$kernel" "$test"
	done <"$dir/list"
	case $(cat "$dir/out/verdict" 2>/dev/null || true) in
	run=*" rmmod=ok log=clean leaks=none")
		record pass "$kernel" "$LAST"
		grep -q '^run=0 ' "$dir/out/verdict" || [ "$(count fail "$kernel")" != 0 ] ||
			record fail "$kernel" "run_kselftest.sh failed for an unknown reason"
		;;
	*)
		step "$kernel   FAIL  the machine's own verdict"
		cat "$dir/vm" >&2
		record fail "$kernel" "$LAST"
		grep -v '^#\|^ok\|^not ok' "$dir/out/output" | tail -n 40 >&2 || true
		;;
	esac
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
	build "$1"
	selftests "$1"
}

# spawn COMMAND...: in the background, as soon as there is a place.
spawn()
{
	while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do
		wait -n || true
	done
	"$@" &
}

if [ -z "$TESTS" ]; then
	spawn part static "$TOP/scripts/kernel/static.sh" --sources
	spawn part uml "$TOP/scripts/uml/check.sh"
	spawn part crashstates env KERNELS=uml "$TOP/scripts/powercut/crashstates.sh" --ktap
	spawn part powercut env KERNELS=uml CUTS=30 LOGS="$logs/powercut" \
		"$TOP/scripts/powercut/live.sh" --check
	spawn part clients env KERNELS=uml LOGS="$logs/clients" \
		"$TOP/scripts/powercut/clients.sh" --check
	spawn part mutants "$TOP/scripts/mutants/run.sh" --quick --ktap
fi
for kernel in $KERNELS; do
	spawn with_kernel "$kernel"
done
if [ -z "$TESTS" ]; then
	# In virtual time: what else this machine does hardly matters to the figures.
	[[ " $KERNELS " != *" 6.12 "* ]] || spawn part speed "$TOP/scripts/bench/guard.sh" 6.12
	spawn part intree "$TOP/scripts/kernel/intree.sh"
	# shellcheck disable=SC2086 # a list
	spawn part dkms "$TOP/scripts/kernel/dkms.sh" $KERNELS
fi
wait
for kernel in $KERNELS; do
	grep -q -P "\t$kernel\t$LAST\$" "$RESULTS" || record fail "$kernel" "no end"
done

passed=$(count pass) failed=$(count fail) skipped=$(count skip)
for kind in skip fail; do
	awk -F '\t' -v k=$kind '$1 == k { printf "%s  %s  %s\n", k == "fail" ? "failed " : "skipped", $2, $3 }' \
		"$RESULTS"
done
[ "$failed" = 0 ] || echo "the logs are in $logs"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
