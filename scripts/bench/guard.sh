#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# guard.sh [KERNEL]: no cell may be slower than loop in the same boot, in virtual time,
# whose figures repeat to 2 %. Some must be faster by what was once reached, less a
# margin. Prints KTAP. SRC=folder tests another source tree.

. "$(dirname "$0")/../lib.sh"

# Kind, cell, and how many times as fast as loop it has to be.
GOALS='
direct randread.qd1 1.20
direct randread.qd32 1.35
direct randwrite.qd1 1.25
direct randwrite.qd32 0.90
direct fua.qd1 1.80
direct fua.qd32 0.90
buffered randread.qd32 1.05
buffered randwrite.qd32 0.95
buffered fua.qd1 1.00
'

kernel=${1:-6.12}
out=$(mktemp -d "$CACHE/guard.XXXXXX")
trap 'rm -rf "$out"' EXIT
cells=$(awk 'NF { printf "%s^%s[.]%s$", n++ ? "|" : "", $1, $2 }' <<<"$GOALS")
rc=0
"$TOP/scripts/bench/run.sh" --kernel "$kernel" --src "${SRC:-$TOP}" --out "$out" \
	--cells "$cells" --targets '^(vinteg|loop)' >&2 || rc=$?

echo "TAP version 13"
echo "1..$(grep -c '[.]' <<<"$GOALS")"
awk -F '\t' -v goals="$GOALS" '
	{ side = $7; sub(/-.*/, "", side); rate[$6 " " $5, side] = $8 }
	END {
		n = split(goals, line, "\n")
		for (i = 1; i <= n; i++) {
			if (split(line[i], g, " ") != 3)
				continue
			cell = g[1] " " g[2]
			v = rate[cell, "vinteg"]
			l = rate[cell, "loop"]
			good = v > 0 && l > 0 && v / l >= g[3]
			printf "%s %d - %s: %.2f times loop, at least %s\n",
				good ? "ok" : "not ok", ++test, cell, l ? v / l : 0, g[3]
			bad += !good
		}
		exit bad != 0
	}' "$out/medians.tsv" || rc=1
exit $rc
