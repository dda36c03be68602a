#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In the guest: the module's KUnit suites, and the selftests that are listed in the
# file "tests". Speaks KTAP; fails if one of them does, or if there was none.

cd /job || exit
# shellcheck source=/dev/null
. ./environment

# The suites run when a module that has them is loaded. Prints a suite in the form
# of a selftest's program.
kunit()
{
	local results ran=

	insmod kunit/vinteg.ko || return
	for results in /sys/kernel/debug/kunit/vinteg*/results; do
		sed -n '/^    /s/^    /# /p; s/^\(ok\|not ok\) [0-9]* /\1 1 selftests: kunit: /p' \
			"$results" && ran=y
	done
	udevadm settle
	rmmod vinteg && [ -n "$ran" ]
}

selftests()
{
	local test limit options=()

	while read -r test; do
		options+=(-t "$test")
	done <tests
	# Whoever asks for more than the usual gets the time for it. The usual is for kernels that
	# look for bugs, on a machine that is busy: test_faults alone took 17 minutes there.
	limit=$((${FUZZ_SECONDS:-0} + ${RACE_SECONDS:-0} + ${LEAK_ROUNDS:-0} * 3 + 1800))
	[ ${#options[@]} = 0 ] ||
		selftests/run_kselftest.sh --override-timeout "$limit" "${options[@]}"
}

{
	[ ! -e kunit ] || kunit || echo "not ok 1 selftests: kunit: the suites run"
	selftests
} 2>&1 | tee /tmp/ktap
grep -q '^ok ' /tmp/ktap && ! grep -q '^not ok ' /tmp/ktap
