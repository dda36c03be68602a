#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# shell.sh: a shell in a machine that has the module of this tree. KERNEL=6.1, 6.12
# or 7.3 in the environment; what else is given goes to run.sh.

. "$(dirname "$0")/../lib.sh"

kernel=${KERNEL:-6.12}
tmp=$(mktemp -d "$CACHE/shell.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
step "building the module for kernel $kernel"
"$TOP/scripts/kernel/build.sh" "$kernel" "$TOP" "$tmp/job"
installed "$tmp/job/installed"
step "booting it; half a minute without KVM"
"$TOP/scripts/vm/run.sh" --kernel "$kernel" --job "$tmp/job" --out "$tmp/out" --shell "$@"
