#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# guard.sh [KERNEL]: no cell may be slower than loop in the same boot, in virtual time,
# whose figures repeat to 2 %. Some must be faster by what was once reached, less a
# margin. Prints KTAP. SRC=folder tests another source tree, LOGS=folder keeps what the
# machine said there; without it, that of a run that failed is kept.
#
# A machine that the emulator has killed, which has to be proved (see vm/accident.sh), is
# started once more. That is told, as an accident.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../vm/accident.sh"

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
out=${LOGS:-}
if [ -n "$out" ]; then
	mkdir -p "$out"
else
	out=$(mktemp -d "$CACHE/guard.XXXXXX")
	trap 'keep_if_failed "$out" "$CACHE/guard-failed" $?' EXIT
fi
cells=$(awk 'NF { printf "%s^%s[.]%s$", n++ ? "|" : "", $1, $2 }' <<<"$GOALS")

# measure FOLDER: the exit status is that of vm/run.sh.
measure()
{
	rm -rf "$1"
	mkdir -p "$1"
	"$TOP/scripts/bench/run.sh" --kernel "$kernel" --src "${SRC:-$TOP}" --out "$1" \
		--cells "$cells" --targets '^(vinteg|loop)' >&2
}

rc=0 last=$out/first
measure "$last" || rc=$?
echo "TAP version 13"
if [ $rc = 3 ]; then
	echo "# accident: the machine died ($(tail -n 1 "$last/accidents")): all measured again in a second machine"
	sed -i '$d' "$last/accidents"
	rc=0 last=$out/second
	measure "$last" || rc=$?
fi
# What is to be said beside the first figure that is missing.
: >"$out/lost"
if [ $rc -ge 2 ]; then
	{ echo "the machine was lost:"; complaints "$last/console" 4 4; } >"$out/lost"
	[ $rc != 3 ] || sed -i '$d' "$last/accidents"
fi
cat "$out"/*/accidents 2>/dev/null | sed 's/^/# accident: booted again: /' || true
echo "1..$(grep -c '[.]' <<<"$GOALS")"
awk -F '\t' -v goals="$GOALS" -v lost="$out/lost" '
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
			if (!good && !bad)
				while ((getline text <lost) > 0)
					print "# " text
			printf "%s %d - %s: %.2f times loop, at least %s\n",
				good ? "ok" : "not ok", ++test, cell, l ? v / l : 0, g[3]
			bad += !good
		}
		exit bad != 0
	}' "$last/medians.tsv" || rc=1
exit $rc
