#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# debug.sh [PATTERN]: the KUnit suites, and the selftests that race, switch, fail, come and
# go, in User-Mode Linux with KASAN, UBSAN, lockdep, kmemleak, and checks of sleeping, lists
# and objects. TIME=seconds is for the fuzzer and for the races, each. Prints KTAP.

. "$(dirname "$0")/../lib.sh"

TESTS='kunit|test_(attributes|parameters|lifecycle|races|fuzz|switching|errors|resize|guest)'

# All takes about ten times as long as on a kernel without that.
export FUZZ_SECONDS=${TIME:-60} RACE_SECONDS=${TIME:-60} TIMEOUT=${TIMEOUT:-7200}
exec "$TOP/scripts/uml/check.sh" --flavour debug "${1:-$TESTS}"
