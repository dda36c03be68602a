#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# live-guest.sh: in a machine that stays up, cuts the power of disks with a volatile
# cache, one after the other, while they are written to through vinteg. Standard input
# has a line for each cut:
#
#   SEED POLICY HOST FILE DISK LOAD
#
# and standard output gets "@cut SEED POLICY HOST FILE DISK LOAD VERDICT NUMBERS". All
# that was above the disk is thrown away after a cut, so that only what the disk kept can
# be found. A cut that found something amiss is written out, to be looked at.

set -uo pipefail
cd "$(dirname "$0")" || exit
. ./rig.sh

# Bytes per second that a workload may write while the policy is switched.
THROTTLE=4000000
# One cut in so many is followed by another, or two, while all comes up again.
AGAIN=3
TRACE=/sys/kernel/tracing/instances/$VINTEG

# What goes on above and below vinteg, for whoever looks into a loss.
trace_on()
{
	local event

	if [ ! -d "$TRACE" ]; then
		mkdir "$TRACE" && echo mono >"$TRACE/trace_clock" &&
			echo 8192 >"$TRACE/buffer_size_kb" || return
	fi
	for event in block/block_rq_issue block/block_rq_complete; do
		echo "dev == $(dev_number "$disk")" >"$TRACE/events/$event/filter" &&
			echo 1 >"$TRACE/events/$event/enable" || return
	done
	echo "disk == \"$VINTEG\"" >"$TRACE/events/vinteg/filter" &&
		echo 1 >"$TRACE/events/vinteg/enable" && echo >"$TRACE/trace" &&
		echo 1 >"$TRACE/tracing_on"
}

trace_off()
{
	echo 0 >"$TRACE/tracing_on"
}

# dev_number DEVICE: as the kernel has it.
dev_number()
{
	local number

	number=$(<"/sys/block/${1#/dev/}/dev")
	echo $((${number%:*} << 20 | ${number#*:}))
}

# begin COMMAND...: in the background, in a group of its own.
begin()
{
	setsid "$@" 2>"$WORK/load.err" &
	load_pid=$!
}

load_blocks()
{
	local options=() policies=none,directsync,writethrough,writeback,guest
	local group=/sys/fs/cgroup/$VINTEG

	case $load in
	overwrite)	options=(--no-discard) ;;
	switching)	options=(--switch "$policies" --every 30) ;;
	override)	options=(--switch "$policies" --every 200 --override) ;;
	*errors)
		# The page cache above may tell of an error much later, and not of vinteg's.
		options=(--every 200 --clear --no-cached)
		# Durable writes would have the error first, and whoever switches has it, too.
		if [ "$load" = flush-errors ]; then
			options+=(--no-fua)
		else
			options+=(--switch "$policies")
		fi
		# A file system shuts down, and then fails on its own. So does a dead disk.
		[ "$host" != raw ] || [ $((seed % 2)) = 1 ] || options+=(--syncs-fail)
		;;
	esac
	# The page cache above would tell a flush of plain writes that failed on their own.
	[ $dead_first = 0 ] || options+=(--no-cached)
	case ${options[*]} in
	*--every*)	options+=(--sysfs "/sys/block/$VINTEG") ;;
	esac
	# The host's file system allocates blocks until the power goes.
	case ${kind%,4k} in
	sparse | unwritten | reflinked)	options+=(--no-fill) ;;
	esac
	begin ./workload --device "/dev/$VINTEG" --ledger "$WORK/ledger" --policy "$claim" \
		--seed "$seed" --run "$seed" "${options[@]}"
	[ "$load" = switching ] || return 0
	# FUA writes that wait in the block layer while the policy changes.
	mkdir -p "$group"
	echo "$(<"/sys/block/$VINTEG/dev") wbps=$THROTTLE" >"$group/io.max" &&
		echo "$load_pid" >"$group/cgroup.procs"
}

load_files()
{
	mount -t "$load" "/dev/$VINTEG" "$UPPER" &&
		begin ./writer "$seed" 0 0 "$WORK/ledger" a="$UPPER/a" b="$UPPER/b" c="$UPPER/c"
}

# The workload has filled the device once, or files have got their first records.
has_begun()
{
	local size

	# Looking costs time that the workload needs.
	nap 0.1
	size=$(stat -c %s "$WORK/ledger")
	is_files "$load" || size=$((size / 10))
	[ "$size" -gt 100 ] || [ ! -e "/proc/$load_pid" ]
}

# What the ledger ends with: the value of a word of "ending".
ends_with()
{
	local words

	read -ra words < <(./ending "${2:-$WORK/ledger}")
	while [ ${#words[@]} -gt 1 ]; do
		[ "${words[0]}" != "$1" ] || echo "${words[1]}"
		words=("${words[@]:2}")
	done
}

has_had()
{
	[ "$(ends_with "$1")" -gt 0 ] || [ ! -e "/proc/$load_pid" ]
}

# What the cut has to come after, or it would be one like any other.
wait_for_event()
{
	case $load in
	override)
		until_true has_had override
		# At once, or when the driver has noticed, or when all has been taken back.
		[ $((RANDOM % 2)) = 0 ] || nap $((RANDOM % 6))
		nap 0.$((RANDOM % 10))
		;;
	*errors)
		kill -USR1 "$disk_pid"
		# The next flush has it, and the load asks for many.
		PATIENCE=10 until_true has_had failed
		failures=$(ends_with failed)
		nap 0.$((RANDOM % 10))
		;;
	esac
}

# What the ledger has when the disk has stopped was acknowledged. In half of the cuts the
# disk is dead by then, the load has run into its errors, and what was acknowledged after
# the disk's death counts, too. Not so with a file system above: what that one says when
# vinteg has told it of an error is its own affair. (btrfs 7.3 let an fsync() succeed that
# had joined a log commit of another task, all of whose writes had failed.)
cut()
{
	if [ $dead_first = 1 ]; then
		power_off 2>/dev/null
		nap 0.$((RANDOM % 3))$((RANDOM % 10))
		cp "$WORK/ledger" "$WORK/kept"
	else
		kill -STOP "$disk_pid"
		[ $((RANDOM % 2)) = 0 ] || nap 0.0$((RANDOM % 5))
		cp "$WORK/ledger" "$WORK/kept"
		# One after the other: killed while it sends to a disk that has stopped, the
		# workload leaves the rest to nbd, which in 7.3 then loses its way.
		power_off 2>/dev/null
	fi
	kill -KILL -- "-$load_pid" 2>/dev/null
	wait "$load_pid" 2>/dev/null
}

# What comes up by itself when the power is back: the host's file system, and that on
# vinteg. Both have their journals to replay.
recover()
{
	host_mount && bind "$claim" || return
	! is_files "$load" || mount -t "$load" "/dev/$VINTEG" "$UPPER"
}

disk_has_stopped()
{
	local state

	read -r _ _ state _ <"/proc/$disk_pid/stat" && [ "$state" = T ]
}

# The power may go again meanwhile. Of what is on the disk then, a copy goes on; the disk
# itself lives, for xfs that recovers hangs if its disk dies: it tries for ever to write
# metadata, and can't be shut down before it is mounted. Sets again.
cut_again()
{
	local n recovery options

	read -r -a options < <(recovery_options "$seed" "$host" "$load")
	for ((n = RANDOM % 2; n >= 0; n--)); do
		power_on "delay=$seed" "${options[@]}" || return
		recover 2>/dev/null &
		recovery=$!
		nap 0.$((RANDOM % 4))$((RANDOM % 10))
		kill -STOP "$disk_pid"
		until_true disk_has_stopped || complain "the disk does not stop" || return
		cp --sparse=always "$WORK/image" "$WORK/again"
		kill -CONT "$disk_pid"
		wait $recovery
		throw_away || return
		power_off 2>/dev/null
		mv "$WORK/again" "$WORK/image"
		again=$((again + 1))
	done
}

judge_files()
{
	local acknowledged=0 found=0 files=0 a f

	: >"$WORK/judged"
	bind writeback || complain "no second life" || return
	verdict=UNMOUNTABLE
	if mount -t "$load" "/dev/$VINTEG" "$UPPER" 2>>"$WORK/judged"; then
		verdict=kept
		./checker "$seed" "$WORK/kept" a="$UPPER/a" b="$UPPER/b" c="$UPPER/c" \
			>>"$WORK/judged" 2>&1 || verdict=UNKNOWN
		umount "$UPPER"
		case $load in
		ext4)	e2fsck -fn "/dev/$VINTEG" ;;
		xfs)	xfs_repair -n "/dev/$VINTEG" ;;
		btrfs)	btrfs check "/dev/$VINTEG" ;;
		esac >>"$WORK/judged" 2>&1 || verdict=DAMAGED
	fi
	while read -r _ _ a _ f; do
		acknowledged=$((acknowledged + a)) found=$((found + f)) files=$((files + 1))
	done < <(grep '^[abc] acknowledged' "$WORK/judged")
	# Nothing of nothing is no proof.
	[ $verdict != kept ] || { [ $files = 3 ] && [ $acknowledged -gt 0 ]; } || verdict=UNKNOWN
	[ $verdict != kept ] || [ "$acknowledged" = "$found" ] || verdict=LOST
	numbers="acknowledged $acknowledged durable $acknowledged lost $((acknowledged - found))"
	until_true is_unbound
}

judge()
{
	if ! host_mount; then
		verdict=UNMOUNTABLE numbers="acknowledged 0 durable 0"
		dmesg | tail -n 20 >"$WORK/judged"
		return 0
	fi
	if is_files "$load"; then judge_files; else judge_by "$WORK/kept"; fi &&
		{ [ "$host" = raw ] || umount "$HOST" || complain "$host stays mounted after all"; }
}

# What was kept has to be there the second time, too.
judge_twice()
{
	local first judged

	judge || return
	[ "$verdict" = kept ] || return 0
	first=$numbers judged=$(<"$WORK/judged")
	echo 3 >/proc/sys/vm/drop_caches
	judge || return
	if [ "$verdict $numbers" != "kept $first" ]; then
		verdict=UNSTEADY
		printf '%s\n' "before:" "$judged" >>"$WORK/judged"
	fi
}

# What it takes to look into it: the ledger as far as it goes, the disk as the cut left
# it, before anybody recovered what is on it, and what the kernel did up to the cut.
keep_evidence()
{
	sed "s/^/@note $1 $2 /" "$WORK/judged"
	cat "$TRACE/trace" >"$WORK/trace"
	tar -cSz -C "$WORK" -f "/evidence/$(IFS=-; echo "$*").tar.gz" \
		kept judged crash trace log
}

one()
{
	local seed=$1 policy=$2 host=$3 kind=$4 disk_kind=$5 load=$6 claim verdict numbers
	local dead_first again=0 inflight waiting=0 failures=0

	# The same requests for all policies, but not the same cut.
	read -r RANDOM _ < <(cksum <<<"$seed $policy")
	dead_first=$((RANDOM % 2))
	# The ledger may say that nothing but syncs fails: see load_blocks().
	[[ $load != *errors ]] || dead_first=$((seed % 2))
	! is_files "$load" || dead_first=0
	claim=$policy
	# It is judged by a promise that it doesn't keep, and that has to be noticed.
	[ "$policy" != unsafe ] || claim=writeback
	new_disk "$kind" "$load" || return
	# shellcheck disable=SC2046 # words
	power_on $(disk_options "$disk_kind" "$seed") || return
	host_mount || complain "cannot mount $host" || return
	bind "$policy" || complain "cannot bind" || return
	: >"$WORK/ledger"
	trace_on || complain "no trace" || return
	if is_files "$load"; then load_files; else load_blocks; fi ||
		complain "no load" || return
	until_true has_begun
	[ -e "/proc/$load_pid" ] || complain "the load has come to an end: $(<"$WORK/load.err")" || return
	nap 0.$((RANDOM % 10))$((RANDOM % 10))
	wait_for_event
	# Requests that the driver has; more may wait for io.max.
	read -r -a inflight <"/sys/block/$VINTEG/inflight"
	disk_lives || return
	cut
	trace_off
	dmesg | tail -n 60 >"$WORK/log"
	throw_away || return
	cp --sparse=always "$WORK/image" "$WORK/crash"
	[ $((RANDOM % AGAIN)) != 0 ] || cut_again || return
	power_on || return
	judge_twice || return
	power_off
	if ! is_files "$load"; then
		numbers+=" $(./ending "$WORK/kept")"
		waiting=$(($(ends_with busy "$WORK/kept") - inflight[0] - inflight[1]))
	fi
	[ "$load" != switching ] || numbers+=" waiting $waiting"
	# Before the disk died, after which everything fails.
	[[ $load != *errors ]] || numbers+=" failures $failures"
	echo "@cut $* $verdict $numbers dead-first $dead_first again $again"
	case $policy-$disk_kind-$verdict in
	unsafe-* | *-no-* | *-kept)	;;
	*)				keep_evidence "$@" ;;
	esac
}

mkdir -p "$WORK" "$HOST" "$UPPER"
while read -r line; do
	# shellcheck disable=SC2086 # in words
	one $line </dev/null || exit 1
done
