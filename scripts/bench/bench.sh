#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh: measures vinteg beside loop, the raw file and others, and writes a report:
# report.txt, index.html with plots, results.tsv (each repetition) and medians.tsv.
# KERNELS="6.12 7.3", CELLS=regex, QUICK=1, OUT=folder. RESUME=1 keeps what an earlier run
# has measured there with the same driver, programs and options.

. "$(dirname "$0")/../lib.sh"

KERNELS=${KERNELS:-$KERNELS_ALL}
CELLS=${CELLS:-.}
QUICK=${QUICK:-}
RESUME=${RESUME:-}
OUT=$(realpath -m "${OUT:-$CACHE/bench/report}")
here=$TOP/scripts/bench

# machine KERNEL NAME OPTION...: one machine; its results are added to the others. One
# that fails has measured what it has measured, and what is missing is said.
machine()
{
	local kernel=$1 name=$2 dir=$OUT/$1-$2 rc=0 what
	shift 2

	what="$versions cells $CELLS $*"
	if [ -n "$RESUME" ] && [ "$(cat "$dir/complete" 2>/dev/null || true)" = "$what" ]; then
		step "$kernel: there already: $name"
	else
		step "$kernel: measuring: $name"
		rm -rf "$dir"
		"$here/run.sh" --kernel "$kernel" --cells "$CELLS" --out "$dir" "$@" >/dev/null ||
			rc=$?
		[ $rc != 0 ] || echo "$what" >"$dir/complete"
	fi
	cat "$dir/results.tsv" >>"$OUT/results.tsv" || true
	cat "$dir/devices.tsv" >>"$OUT/devices.tsv" || true
	sed -n "s/^left out: /$kernel: left out: /p" "$dir/output" >>"$OUT/remarks" || true
	if [ $rc != 0 ]; then
		failed=1
		echo "$kernel: failed, incomplete: $name" >>"$OUT/remarks"
		sed "s/^/$kernel: missing: $name: /" "$dir/missing" >>"$OUT/remarks" || true
	fi
}

[ "$(id -u)" = 0 ] || die "this has to be run as root: it builds root filesystems"
mkdir -p "$OUT"
: >"$OUT/results.tsv"
: >"$OUT/devices.tsv"
: >"$OUT/remarks"
failed=0
versions="driver $(driver_of "$TOP") programs $(cd "$here" && cat ./* | sha256sum | cut -c 1-12)"
for kernel in $KERNELS; do
	if [ -n "$QUICK" ]; then
		machine "$kernel" quick --sets core --places plp:ext4,plp:xfs
		continue
	fi
	for fs in ext4 xfs; do
		machine "$kernel" "$fs" --places "plp:$fs" --peers 1 --repeat 3
		machine "$kernel" "$fs-disks" --sets core --places "fua:$fs,slow:$fs" --repeat 3
	done
	machine "$kernel" blk --sets core --places plp:blk --repeat 3
	machine "$kernel" cost --sets core --places plp:ext4,plp:xfs --clock cost --runtime 600
	[ "$CELLS" != . ] ||
		machine "$kernel" devices --sets '^$' --devices 1,16,256 --repeat 3
	machine "$kernel" real --places plp:ext4,plp:xfs --repeat 5 \
		--clock real --jobs 4 --runtime 1000
done
[ -s "$OUT/results.tsv" ] || die "nothing was measured"
awk -f "$here/medians.awk" "$OUT/results.tsv" >"$OUT/medians.tsv"
{
	echo "vinteg: measured $(date -u +%F) on kernels $KERNELS${QUICK:+, quickly}"
	cat "$OUT/remarks"
	awk -f "$here/percentile.awk" -f "$here/report.awk" "$OUT/medians.tsv"
	awk -f "$here/devices.awk" "$OUT/devices.tsv"
	echo
	echo "Goals (of the whole: what wasn't measured this time is lacking):"
	awk -v CELLS="$here/cells" -f "$here/percentile.awk" -f "$here/criteria.awk" "$OUT/medians.tsv"
} >"$OUT/report.txt"
"$here/page.sh" "$OUT"
cat "$OUT/report.txt"
step "the report is in $OUT: report.txt, index.html, results.tsv, medians.tsv"
exit $failed
