# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2153 # what job.conf and disks.sh set
#
# To be sourced in the guest: one measurement of DEVICE. Prints, separated by tabs:
# requests per second, mean and percentiles of the latency in us ("50=12,99=30"), reads,
# writes and flushes of the lower disk per request, and instructions per request.
#
# Latency is from when fio begins to submit a request until it sees it complete: who leaves
# the submission out flatters what does its work there. Where each write is followed by a
# sync, the percentiles are the sync's, and the mean is that of both together. Of a mix, they
# are the reads'.

PERCENTILES=1:5:10:20:30:40:50:60:70:80:90:95:98:99:99.5:99.9:99.95:99.99

# What the writer beside readers does in a second: the same for all, or those would do best
# that hardly let it write. Less than the slowest disk can do.
BESIDE=500

# Beside a measurement of instructions, in ms: until all is in flight, and what is looked at.
SETTLE=60
WINDOW=400

# measure HOW...: as in the file cells.
measure()
{
	case $1 in
	mounted)	shift; measure_mounted "$@" ;;
	+writer)	shift; measure_device "$*" "--name=writer --new_group --numjobs=1
				--rw=randwrite --bs=4k --fsync=1 --rate_iops=$BESIDE" ;;
	*)		measure_device "$*" ;;
	esac
}

# run_fio OPTION...: leaves its report in /run/fio.json.
run_fio()
{
	if ! fio --output=/run/fio.json --output-format=json --lat_percentiles=1 \
			--clat_percentiles=0 --percentile_list=$PERCENTILES "$@" \
			>/run/fio.err 2>&1; then
		cat /run/fio.err /run/fio.json >&2
		return 1
	fi
}

# ask EXPRESSION...: of "job", what fio says of its first job or the first group of them,
# and of "latency", its percentiles.
ask()
{
	sqlite3 -separator $'\t' :memory: "
		with report(job) as (
			select json_extract(readfile('/run/fio.json'), '\$.jobs[0]')),
		waited(kind, percentiles) as (
			select x.key, json_extract(x.value, '\$.lat_ns.percentile')
			from report, json_each(job) x
			where x.key in ('read', 'write', 'sync') and x.value ->> 'total_ios' > 0
			order by instr('sync read write', x.key) limit 1),
		lines(latency) as (
			select group_concat(printf('%g=%.2f', p.key, p.value / 1e3))
			from waited, json_each(percentiles) p)
		select $1 from report, lines"
}

# clocks: time, and how much of it a single processor was idle, in ns. Nothing but the shell
# itself: a process costs more than a hundred requests do. Newer kernels count what is less
# than a tick of it in ticks, which may always find the processor idle, or never: a rough
# figure then, of what was no task's time. It has the interrupts that came meanwhile, too.
clocks()
{
	local line now=0 idle=0 lines

	ROUGH=1
	mapfile -t lines </proc/timer_list
	for line in "${lines[@]}"; do
		case $line in
		"now at "*)		line=${line#now at }; now=${line% nsecs} ;;
		*idle_sleeptime* | *iowait_sleeptime*)
			line=${line##*: }
			idle=$((idle + ${line% nsecs}))
			ROUGH=
			;;
		esac
	done
	if [ -n "$ROUGH" ]; then
		# The time of all tasks: Documentation/scheduler/sched-stats.rst.
		mapfile -t lines </proc/schedstat
		for line in "${lines[@]}"; do
			read -r -a line <<<"$line"
			[ "${line[0]}" != cpu0 ] || idle=$((now - line[7]))
		done
	fi
	CLOCKS=("$now" "$idle")
}

# pause MS
pause()
{
	[ -n "${_pause_fd:-}" ] || exec {_pause_fd}<> <(:)
	read -r -t "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))" -u "$_pause_fd" _ || true
}

# watch_busy: looks on while fio works; of WINDOW ms, how many nanoseconds the processor was
# not idle, per second, less what looking on took. Leaves no figure if fio ended meanwhile, nor
# a rough one, unless the processor was never idle.
watch_busy()
{
	local from word i

	# One word of each job that begins. No limit: while fio waits for the disk that it is
	# read from, which is this machine's, the virtual clock runs away.
	for ((i = 0; i < JOBS; i++)); do
		read -r word <&"$WORDS"
		[ "$word" = begin ] || return 0
	done
	pause $SETTLE
	clocks
	from=("${CLOCKS[@]}")
	pause $WINDOW
	clocks
	! read -r -t 0 -u "$WORDS" || return 0
	awk -v t=$((CLOCKS[0] - from[0])) -v idle=$((CLOCKS[1] - from[1])) -v own="$LOOKING" \
		-v rough="$ROUGH" '
		BEGIN {
			if (!rough)
				printf "%.0f\n", (t - idle - own) * 1e9 / t
			else if (idle < 0.03 * t)
				printf "%.0f\n", (t - own) * 1e9 / t
		}' >/run/busy
}

# learn_looking: what a look at the clocks takes, with nothing else to do.
learn_looking()
{
	local from

	LOOKING=0
	[ -n "$COST" ] || return 0
	clocks
	clocks
	from=${CLOCKS[0]}
	clocks
	LOOKING=$((CLOCKS[0] - from))
}

# run_watched OPTION...: run_fio, for watch_busy.
run_watched()
{
	local rc=0

	run_fio "$@" || rc=$?
	echo end >/run/words
	return $rc
}

# measure_device OPTIONS [OPTIONS-OF-A-SECOND-JOB]
measure_device()
{
	local before after options fio watch='' busy=0

	[ -z "$COST" ] || [ -n "${2:-}" ] || watch=1
	# Buffers of 1 MiB are huge pages or are not, as their addresses happen to fall, unless
	# they are aligned: a cell then has two speeds.
	options=(--filename="$DEVICE" --direct="$DIRECT" --ioengine=io_uring
		--size="${SIZE}M" --runtime="${RUNTIME}ms" --randrepeat=1 --norandommap
		--numjobs="$JOBS" --iomem_align=2m)
	# Several of the same make a group, and its figures are added up. A second job is a
	# group of its own.
	[ "$JOBS" = 1 ] || options+=(--group_reporting=1)
	if [ -n "$watch" ]; then
		rm -f /run/words /run/busy
		mkfifo /run/words
		exec {WORDS}<>/run/words
		options+=(--time_based --exec_prerun="(echo begin >/run/words)")
	fi
	before=$(disk_ops)
	if [ -n "$watch" ]; then
		# shellcheck disable=SC2086 # options
		run_watched "${options[@]}" --name=bench $1 &
		fio=$!
		watch_busy
		wait $fio
		exec {WORDS}>&-
		busy=$(cat /run/busy 2>/dev/null || true)
	else
		# shellcheck disable=SC2086 # options
		run_fio "${options[@]}" --name=bench $1 ${2:-}
	fi
	after=$(disk_ops)
	ask "(job ->> '\$.read.iops') + (job ->> '\$.write.iops'),
		(job ->> iif(job ->> '\$.read.total_ios' > 0, '\$.read.lat_ns.mean',
				'\$.write.lat_ns.mean')) / 1e3 +
			coalesce(job ->> '\$.sync.lat_ns.mean', 0) / 1e3,
		coalesce(latency, ''),
		(job ->> '\$.read.total_ios') + (job ->> '\$.write.total_ios'),
		(job ->> '\$.usr_cpu') + (job ->> '\$.sys_cpu')" |
		awk -F '\t' -v before="$before" -v after="$after" -v beside="${2:-}" -v busy="$busy" '
			{
				printf "%.0f\t%.2f\t%s", $1, $2, $3
				split(before, b, " ")
				split(after, a, " ")
				for (i = 1; i <= 3; i++)
					if ($4 > 0 && beside == "")
						printf "\t%.3f", (a[i] - b[i]) / $4
					else
						printf "\t-"
				# All are busier than fio alone: else it was looked at too early.
				good = busy > 0.9 * $5 * 1e7 && $1 > 0
				printf "\t%s\n", (good ? sprintf("%.0f", busy / $1) : "-")
			}'
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
		t=$(ask "(job ->> '\$.write.runtime') * 1000")
		;;
	sqlite)
		sqlite3 "$dir/db" 'create table t(a integer primary key, b text)'
		t=${EPOCHREALTIME/./}
		for ((i = 0; i < n; i++)); do
			echo "insert into t(b) values('some text for a row of this table');"
		done | sqlite3 "$dir/db"
		t=$((${EPOCHREALTIME/./} - t))
		;;
	pg_test_fsync)
		# A second for each method. With nobody to tell it to, it ends with the next one.
		n=$({ ./pg_test_fsync -s 1 -f "$dir/file" || true; } |
			awk '$1 == "fdatasync" { print int($2); exit }')
		[ "${n:-0}" -gt 0 ] || { echo "pg_test_fsync: no figure for fdatasync" >&2; return 1; }
		rm -f "$dir/file"
		t=1000000
		;;
	esac
	[ "$dir" != /run/above ] || umount "$dir"
	awk -v n="$n" -v t="$t" 'BEGIN { printf "%.0f\t%.2f\t\t-\t-\t-\t-\n", n * 1e6 / t, t / n }'
}
