#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh [--flavour F] [--src SRC] [PATTERN]: runs the KUnit suites and the selftests
# of the checkout SRC (default: this one) in User-Mode Linux 7.3, as far as the name
# matches PATTERN; "." is all. Prints KTAP. Exit status as of run.sh. The variables
# FUZZ_SECONDS, FUZZ_SEED, RACE_SECONDS, FAULT_ROUNDS, LEAK_ROUNDS and CHECK (which of the
# properties) reach the tests; TIMEOUT=seconds is for all. LOGS=folder keeps the console and
# the output there; without it, those of a run that failed are kept.

. "$(dirname "$0")/../lib.sh"

# Starting a process is slow here: the selftests that start thousands are left to the
# virtual machines, which run all of them anyway.
QUICK='kunit|test_attributes|test_parameters'

flavour=fast src=$TOP
while :; do
	case ${1:-} in
	--flavour)	flavour=$2 ;;
	--src)		src=$2 ;;
	-*)		die "usage: check.sh [--flavour fast|debug] [--src SRC] [PATTERN]" ;;
	*)		break ;;
	esac
	shift 2
done
pattern=${1:-$QUICK}

# shellcheck disable=SC2317 # called by the trap
cleanup()
{
	[ -n "${LOGS:-}" ] || keep_if_failed "$out" "$CACHE/uml-check-failed" "$1"
	rm -rf "$tmp"
}

tmp=$(mktemp -d "$CACHE/uml-check.XXXXXX")
out=${LOGS:-$tmp/out}
mkdir -p "$out"
trap 'cleanup $?' EXIT
job=$tmp/job
mkdir "$job"
step "building the module and the tests for User-Mode Linux"
"$TOP/scripts/uml/module.sh" "$flavour" "$src" "$job"
"$TOP/scripts/kernel/selftests.sh" bookworm "$job/selftests"
installed "$job/installed"
install -m 755 "$TOP/scripts/uml/job.sh" "$job/run"
settings "$job/environment"
grep -E -e "$pattern" "$job/selftests/kselftest-list.txt" >"$job/tests" || true
if [[ kunit =~ $pattern ]]; then
	"$TOP/scripts/uml/module.sh" "$flavour" "$src" "$job/kunit" \
		CONFIG_BLK_DEV_VINTEG_KUNIT_TEST=y
elif [ ! -s "$job/tests" ]; then
	die "no test's name matches '$pattern'"
fi

"$TOP/scripts/uml/run.sh" --flavour "$flavour" --job "$job" --out "$out" --follow \
	--timeout "${TIMEOUT:-1800}"
