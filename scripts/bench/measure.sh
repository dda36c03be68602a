# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced in the guest: one measurement of DEVICE. Prints, separated by tabs:
# requests per second, mean and percentiles of the latency in us ("50=12,99=30"), and
# reads, writes and flushes of the lower disk per request.

PERCENTILES=1:5:10:20:30:40:50:60:70:80:90:95:98:99:99.5:99.9:99.95:99.99

# measure HOW...: as in the file cells.
measure()
{
	case $1 in
	mounted)	shift; measure_mounted "$@" ;;
	+writer)	shift; measure_device "$*" "--name=writer --rw=randwrite --bs=4k --fsync=1" ;;
	*)		measure_device "$*" ;;
	esac
}

# run_fio OPTION...: leaves its report, of the first job, in /run/fio.out.
run_fio()
{
	if ! fio --output=/run/fio.all --output-format=terse --terse-version=3 \
			--percentile_list=$PERCENTILES "$@" >/run/fio.err 2>&1; then
		cat /run/fio.err /run/fio.all >&2
		return 1
	fi
	grep -m 1 '^3;' /run/fio.all >/run/fio.out
}

# measure_device OPTIONS [OPTIONS-OF-A-SECOND-JOB]
measure_device()
{
	local before after

	before=$(disk_ops)
	# shellcheck disable=SC2086 # options
	run_fio --filename="$DEVICE" --direct=$DIRECT --ioengine=io_uring --size=${SIZE}M \
		--runtime="${RUNTIME}ms" --randrepeat=1 --norandommap \
		--numjobs="$JOBS" --group_reporting=$((JOBS > 1)) --name=bench $1 ${2:-}
	after=$(disk_ops)
	awk -F ';' -v before="$before" -v after="$after" -v beside="${2:-}" '
		{
			# Kilobytes, kilobytes per second, and requests per second.
			ios = $8 + $49
			n = ($7 ? $8 * $6 / $7 : 0) + ($48 ? $49 * $47 / $48 : 0)
			at = $6 > 0 ? 0 : 41
			printf "%.0f\t%.2f\t", ios, $(16 + at)
			for (i = 18; i <= 37; i++) {
				split($(i + at), p, "%=")
				if (p[1] > 0)
					printf "%s%g=%d", (i > 18 ? "," : ""), p[1], p[2]
			}
			split(before, b, " ")
			split(after, a, " ")
			for (i = 1; i <= 3; i++)
				printf "\t%s", (n && beside == "" ? sprintf("%.3f", (a[i] - b[i]) / n) : "-")
			printf "\n"
		}' /run/fio.out
}

# measure_mounted FS WORKLOAD: on a file system on DEVICE, or beside FILE if that is
# what DEVICE is.
measure_mounted()
{
	local fs=$1 workload=$2 dir=/run/above i t n=150

	if [ "$DEVICE" = "$FILE" ]; then
		dir=$HOST/above
		mkdir -p "$dir"
	else
		mkdir -p "$dir"
		"mkfs.$fs" -q "$(case $fs in xfs) echo -f ;; *) echo -F ;; esac)" "$DEVICE"
		mount -t "$fs" "$DEVICE" "$dir"
		sync
	fi
	case $workload in
	files)
		run_fio --name=files --directory="$dir" --rw=write --bs=4k --filesize=4k \
			--nrfiles=$n --openfiles=1 --file_service_type=sequential \
			--create_on_open=1 --fsync_on_close=1 --ioengine=psync
		t=$(awk -F ';' '{ print $50 * 1000 }' /run/fio.out)
		;;
	sqlite)
		sqlite3 "$dir/db" 'create table t(a integer primary key, b text)'
		t=${EPOCHREALTIME/./}
		for ((i = 0; i < n; i++)); do
			echo "insert into t(b) values('some text for a row of this table');"
		done | sqlite3 "$dir/db"
		t=$((${EPOCHREALTIME/./} - t))
		;;
	esac
	[ "$dir" != /run/above ] || umount "$dir"
	awk -v n=$n -v t="$t" 'BEGIN { printf "%.0f\t%.2f\t\t-\t-\t-\n", n * 1e6 / t, t / n }'
}
