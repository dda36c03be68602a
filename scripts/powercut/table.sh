#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# table.sh: one table of all the power cuts that this tree's driver has seen, in all runs
# that were remembered: see results.sh. DRIVER=hash is another one.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/report.sh"
SRC=$TOP
. "$(dirname "$0")/results.sh"

DRIVER=${DRIVER:-$(driver_of "$TOP")}
cuts=$(mktemp "$CACHE/table.XXXXXX")
trap 'rm -f "$cuts"' EXIT

touch "$RESULTS"
awk -v driver="$DRIVER" '
	$3 == driver {
		run[$1]++; commit[$2]++; release[$4]++
		for (i = 1; i <= 4; i++)
			sub(/^[^ ]+ /, "")
		print >cuts
	}
	function list(of,   i, text)
	{
		for (i in of)
			text = text " " i
		return text
	}
	END {
		for (i in run)
			runs++
		printf "driver %s: %d runs; commits:%s; kernels:%s\n\n", driver, runs, list(commit),
			list(release)
	}' cuts="$cuts" "$RESULTS"
[ -s "$cuts" ] || die "no cuts of this driver in $RESULTS"
# Nobody is to miss here what only one kind of run has.
# shellcheck disable=SC2034 # for report
part=1
report "$cuts"
