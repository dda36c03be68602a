#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# guard.sh [KERNEL]: no cell may be slower than loop in the same boot, in virtual time,
# whose figures repeat to 2 %. Some must be faster by what was once reached, less a
# margin. And the instructions that --clock cost counts must be all there are. Prints KTAP.
# SRC=folder tests another source tree, LOGS=folder keeps what the machines said there;
# without it, that of a run that failed is kept.
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

# measure NAME OPTION...: leaves what was measured in the folder "last".
measure()
{
	local name=$1
	shift

	rc=0 last=$out/$name
	run_bench "$@" || rc=$?
	[ $rc = 3 ] || return 0
	echo "# accident: the machine died ($(tail -n 1 "$last/accidents")): all measured again in a second machine"
	sed -i '$d' "$last/accidents"
	rc=0 last=$out/$name-again
	run_bench "$@" || rc=$?
}

# run_bench OPTION...: the exit status is that of vm/run.sh.
run_bench()
{
	rm -rf "$last"
	mkdir -p "$last"
	"$TOP/scripts/bench/run.sh" --kernel "$kernel" --src "${SRC:-$TOP}" --out "$last" \
		"$@" >&2
}

echo "TAP version 13"
# Of a disk that never lets anybody wait, the processor has no time to be idle.
measure cost --clock cost --cells '^direct[.]randread.qd32$' --targets '^empty'
cost=$last/medians.tsv cost_rc=$rc
measure cells --cells "$cells" --targets '^(vinteg|loop)'
# What is to be said beside the first figure that is missing.
: >"$out/lost"
if [ $rc -ge 2 ]; then
	{ echo "the machine was lost:"; complaints "$last/console" 4 4; } >"$out/lost"
	[ $rc != 3 ] || sed -i '$d' "$last/accidents"
fi
cat "$out"/*/accidents 2>/dev/null | sed 's/^/# accident: booted again: /' || true
tests=$(($(grep -c '[.]' <<<"$GOALS") + 1))
echo "1..$tests"
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
[ $cost_rc = 0 ] || rc=1
awk -F '\t' -v test=$tests '
	{ told = $8 * $16 / 1e9 }
	END {
		good = told > 0.9 && told < 1.1
		printf "%s %d - cost: the instructions told are %.2f of those of a busy processor\n",
			good ? "ok" : "not ok", test, told
		exit !good
	}' "$cost" || rc=1
exit $rc
