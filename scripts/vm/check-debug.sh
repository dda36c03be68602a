#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check-debug.sh KERNEL [PATTERN]: as scripts/uml/check.sh, in a virtual machine with a kernel
# that looks for bugs: 7.3-kcsan or 7.3-kasan. LOGS=folder keeps the logs there.

. "$(dirname "$0")/../lib.sh"

kernel=${1:-} pattern=${2:-.}
case $kernel in
*-k[ac]san) ;;
*)	die "usage: check-debug.sh 7.3-kcsan|7.3-kasan [PATTERN]" ;;
esac

tmp=$(mktemp -d "$CACHE/check-debug.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
job=$tmp/job
mkdir "$job"
step "building the module and the tests for $kernel"
"$TOP/scripts/kernel/build.sh" "$kernel" "$TOP" "$job"
"$TOP/scripts/kernel/selftests.sh" "$(suite_of "$kernel")" "$job/selftests"
install -m 755 "$TOP/scripts/uml/job.sh" "$job/run"
settings "$job/environment"
grep -E -e "$pattern" "$job/selftests/kselftest-list.txt" >"$job/tests" || true
if [[ kunit =~ $pattern ]]; then
	"$TOP/scripts/kernel/build.sh" "$kernel" "$TOP" "$job/kunit" \
		CONFIG_BLK_DEV_VINTEG_KUNIT_TEST=y
elif [ ! -s "$job/tests" ]; then
	die "no test's name matches '$pattern'"
fi
rm -f "$job"/vinteg.ko.debug "$job"/kunit/{vinteg.ko.debug,build.log} "$job/build.log"

"$TOP/scripts/vm/run.sh" --kernel "$kernel" --job "$job" --out "${LOGS:-$tmp/out}" --follow \
	--timeout "${TIMEOUT:-3600}" --append "kunit.enable=1 kunit.autorun=1"
