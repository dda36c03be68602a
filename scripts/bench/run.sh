#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh: boots one machine and measures cells in it, side by side.

. "$(dirname "$0")/../lib.sh"

usage()
{
	cat >&2 <<-END
		usage: run.sh [option value]...
		  --kernel K      6.1, 6.12 or 7.3 (6.12)
		  --src DIR       the module's source tree (this one)
		  --out DIR       gets results.tsv, table, missing (what was planned and isn't
		                  there), and the machine's logs
		  --cells REGEX   only cells whose "kind.name" matches, e.g. direct.fua (all)
		  --sets REGEX    only cells of a set that matches (all)
		  --targets REGEX only those (all)
		  --fs LIST       host file systems: ext4, xfs, blk for none at all (ext4)
		  --disks LIST    plp, fua, slow: see disks.sh (plp)
		  --places LIST   in place of the two above: disk:fs,...
		  --peers 1       with LIO, nbdkit, qemu-nbd, ublk, where there are such
		  --clock C       virtual, real, or cost: virtual with one processor, and it
		                  counts instructions per request (virtual)
		  --devices LIST  also how long so many devices take to be ready, and how
		                  much memory, e.g. 1,16,256
		  --jobs N        so many fio at a time (1)
		  --repeat N      repetitions (1)
		  --runtime MS    of a measurement, at most (100; of cost 600)
	END
	exit 2
}

# select_cells: those of the file cells that are asked for, a line for each of their kinds.
select_cells()
{
	local name kinds of how kind

	while IFS=$'\t' read -r name kinds of how; do
		[[ $of =~ $sets ]] || continue
		for kind in ${kinds//,/ }; do
			[[ $kind.$name =~ $cells ]] || continue
			printf '%s\t%s\t%s\t%s\n' "$name" "$kind" "$of" "$how"
		done
	done < <(grep -v '^#' "$here/cells")
}

kernel=6.12 src=$TOP out='' cells=. sets=. targets=. fs=ext4 disks=plp places='' peers=''
clock=virtual devices='' jobs=1 repeat=1 runtime=''
while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || usage
	case $1 in
	--kernel | --src | --out | --cells | --sets | --targets | --fs | --disks | --places | \
	--peers | --clock | --devices | --jobs | --repeat | --runtime)
		declare "${1#--}=$2" ;;
	*)	usage ;;
	esac
	shift 2
done
out=${out:-$CACHE/bench/$kernel-$clock}
here=$TOP/scripts/bench
job=$out/job
cost=
[ "$clock" != cost ] || cost=1
runtime=${runtime:-$([ -z "$cost" ] && echo 100 || echo 600)}
places=${places//,/ }
if [ -z "$places" ]; then
	for disk in ${disks//,/ }; do
		for name in ${fs//,/ }; do
			places="$places $disk:$name"
		done
	done
fi

rm -rf "$job"
mkdir -p "$job"
"$TOP/scripts/kernel/build.sh" "$kernel" "$src" "$job"
rm "$job/vinteg.ko.debug"
cp "$here/guest.sh" "$job/run"
cp "$here"/{disks.sh,targets.sh,measure.sh,devices.sh} "$job/"
select_cells >"$job/cells"
if grep -q 'pg_test_fsync$' "$job/cells"; then
	dir=$("$TOP/scripts/powercut/postgresql.sh" "$(suite_of "$kernel")")
	cp "$dir"/postgresql/usr/lib/postgresql/*/bin/pg_test_fsync "$job/"
fi
if [ -n "$peers" ]; then
	list=$("$here/peers.sh" "$(suite_of "$kernel")")
	while read -r dir; do
		cp -r "$dir"/* "$job/"
	done <<<"$list"
fi
cat >"$job/job.conf" <<-END
	TARGETS='$targets'
	PLACES='$places'
	PEERS='$peers'
		REPEAT=$repeat
		RUNTIME=$runtime
		JOBS=$jobs
		SIZE=128
		COST=$cost
		DEVICES='${devices//,/ }'
	END
options=(--mem 3072 --timeout "${TIMEOUT:-14400}")
[ "$clock" = real ] || options+=(--icount)
[ -z "$cost" ] || options+=(--smp 1)
[ -z "${FOLLOW:-}" ] || options+=(--follow)
rc=0
"$TOP/scripts/vm/run.sh" --kernel "$kernel" --job "$job" --out "$out" "${options[@]}" || rc=$?
[ $rc = 0 ] || grep -Ev '^(result|plan|devices)' "$out/output" >&2 || true
sed -n "s/^result\t/$kernel\t$clock\t/p" "$out/output" >"$out/results.tsv"
sed -n "s/^devices\t/$kernel\t$clock\t/p" "$out/output" >"$out/devices.tsv"
awk -f "$here/missing.awk" "$out/output" >"$out/missing"
sed 's/^/missing: /' "$out/missing" >&2
if [ $rc = 0 ] && [ -s "$out/missing" ]; then
	rc=1
fi
awk -f "$here/medians.awk" "$out/results.tsv" >"$out/medians.tsv"
{
	awk -f "$here/percentile.awk" -f "$here/report.awk" "$out/medians.tsv"
	awk -f "$here/devices.awk" "$out/devices.tsv"
} | tee "$out/table"
exit $rc
