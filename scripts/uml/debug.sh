#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# debug.sh [PATTERN]: the KUnit suites, and the selftests that race, switch, fail, come and
# go, on kernels that look for bugs. KERNELS says which:
#   uml        User-Mode Linux with KASAN, UBSAN, lockdep, kmemleak, fault injection, and
#              checks of sleeping, lists and objects
#   7.3-kcsan  a virtual machine with KCSAN, which looks for data races in the module, and
#              fault injection
#   7.3-kasan  a virtual machine with what uml has; slow, and not done if not asked for
# TIME=seconds is for the fuzzer and for the races, each. LOGS=folder keeps the logs of the
# virtual machines. Prints KTAP.

. "$(dirname "$0")/../lib.sh"

# All takes about ten times as long as on a kernel without that.
TESTS='kunit|test_(attributes|parameters|lifecycle|races|fuzz|faults|switching|errors|resize|guest)'
# What is of no use without two at a time is left out. KCSAN stops now and then to see
# whether somebody else comes by: nobody does in KUnit, and it takes minutes.
TESTS_KCSAN='test_(lifecycle|races|fuzz|faults|switching|errors|fs_stops|write_cache)'

export FUZZ_SECONDS=${TIME:-60} RACE_SECONDS=${TIME:-60} TIMEOUT=${TIMEOUT:-7200}
rc=0
for kernel in ${KERNELS:-uml 7.3-kcsan}; do
	case $kernel in
	uml)
		"$TOP/scripts/uml/check.sh" --flavour debug "${1:-$TESTS}"
		;;
	*-kcsan)
		LOGS=${LOGS:+$LOGS/$kernel} \
			"$TOP/scripts/vm/check-debug.sh" "$kernel" "${1:-$TESTS_KCSAN}"
		;;
	*)
		LOGS=${LOGS:+$LOGS/$kernel} \
			"$TOP/scripts/vm/check-debug.sh" "$kernel" "${1:-$TESTS}"
		;;
	esac || rc=1
done
exit $rc
