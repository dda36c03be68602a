#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# clients-guest.sh: in a machine that stays up, cuts the power of disks with a volatile
# cache under real databases, whose file system is on vinteg. Standard input has a line
# for each cut:
#
#   SEED POLICY HOST FILE DISK FS CLIENT
#
# and standard output gets "@cut SEED POLICY HOST FILE DISK FS CLIENT VERDICT NUMBERS".
# Each database has a ledger in memory that no cut can reach: a transaction gets a line
# in it once its COMMIT was acknowledged, and not before. The verdict is
#
#   kept         all of these are there, and database and file system find no fault
#   LOST         some are missing
#   CORRUPT      the database's own check found something, or its sums don't agree
#   UNSTARTABLE  the database doesn't start, or can't be read
#   DAMAGED      fsck found something
#   UNMOUNTABLE  there is no file system any more
#   CARELESS     a flush failed, and the database, or vinteg, went on as before

set -uo pipefail
cd "$(dirname "$0")" || exit
. ./rig.sh
. ./databases.sh

GROUP=/sys/fs/cgroup/clients$RIG
# In a ledger, from which on a cut is worth making; and what comes after an error.
FEWEST=5

# begin COMMAND...: in the background, where it is killed with all that it starts.
begin()
{
	# Whatever is begun now is in that group from the start.
	echo $$ >"$GROUP/cgroup.procs"
	"$@" &
	echo $$ >/sys/fs/cgroup/cgroup.procs
	disown
}

nobody_left()
{
	[ -z "$(<"$GROUP/cgroup.procs")" ]
}

kill_clients()
{
	echo 1 >"$GROUP/cgroup.kill"
	until_true nobody_left || complain "the client can't be killed"
}

upper_mount()
{
	mount -t "$fs" "/dev/$VINTEG" "$UPPER"
}

# fill_disk: with a database, and everything on the disk afterwards.
fill_disk()
{
	new_disk "$kind" "$fs" && power_on || return
	host_mount || [ "$host" = raw ] || return
	bind writeback && upper_mount && make_database && umount "$UPPER" || return
	until_true is_unbound && { host_umount || [ "$host" = raw ]; } || return
	blockdev --flushbufs "$disk" || return
	power_off
}

# As new_disk, with a database on it, which is made once, too.
new_database()
{
	local path=$WORK/$host-$kind-$fs-$database

	if [ ! -e "$path" ]; then
		fill_disk >"$WORK/filled" 2>&1 ||
			{ cat "$WORK/filled"; complain "no $database on $fs on $host"; } || return
		mv "$WORK/image" "$path"
	fi
	cp --sparse=always "$path" "$WORK/image"
}

# is_settled: it is ready, or won't be ever.
is_settled()
{
	is_ready || [ "$database" != postgresql ] || nobody_left
}

# starts: the database does, with whatever it has to recover.
starts()
{
	start_database
	until_true is_settled && is_ready
}

# commits NUMBER: so many have been acknowledged.
commits()
{
	[ "$(ledger | wc -l)" -ge "$1" ]
}

# The disk stops, and forgets. Only then is the client killed: what it is told in
# between is not to be believed by anybody, but if it is, that is a lie to be found.
cut()
{
	disk_lives || return
	kill -STOP "$disk_pid"
	[ $((RANDOM % 2)) = 0 ] || nap 0.0$((RANDOM % 5))
	kill -KILL "$disk_pid"
	wait "$disk_parent" 2>/dev/null
	kill_clients
}

# back_again: all that is above a disk that has its power again.
back_again()
{
	power_on "$@" || return
	host_mount || [ "$host" = raw ] || complain "$host is damaged" || return
	bind writeback || complain "no second life" || return
}

# The power may go while everything recovers from the first cut.
cut_again()
{
	local options

	read -r -a options < <(recovery_options "$seed" "$host" "$fs")
	back_again "${options[@]}" || return
	if upper_mount 2>/dev/null; then
		start_database
		begin is_ready
		nap "$((RANDOM % 2)).$((RANDOM % 10))$((RANDOM % 10))"
	fi
	cut && throw_away
}

# The next flush fails. Nobody must go on as if nothing had happened. Afterwards the
# power goes at once, or the operator has everything go on first.
fail_flush()
{
	local known

	kill -USR1 "$disk_pid"
	if until_true has_panicked; then
		panics=1
	fi
	error=$(<"/sys/block/$VINTEG/writeback_error")
	if [ $panics = 0 ] || [ "$error" = 0 ]; then
		verdict=CARELESS
		return
	fi
	[ $((seed / 2 % 2)) = 1 ] || return 0
	kill_clients || return
	unmount "$UPPER"
	echo 0 >"/sys/block/$VINTEG/writeback_error"
	# The page cache shows what was written, not what the disk has lost of it: nobody
	# is to build upon that.
	blockdev --flushbufs "$disk"
	upper_mount || { verdict=UNMOUNTABLE; return 0; }
	known=$(ledger | wc -l)
	starts || { verdict=UNSTARTABLE; return 0; }
	start_load 1000000
	until_true commits $((known + FEWEST)) || verdict=UNSTARTABLE
}

# fsck: of the file system that is on vinteg.
fsck()
{
	case $fs in
	ext4)	e2fsck -fn "/dev/$VINTEG" ;;
	xfs)	xfs_repair -n "/dev/$VINTEG" ;;
	esac >>"$WORK/judged" 2>&1
}

# In the order of what is worse: the last word counts.
judge_database()
{
	local acknowledged found=0 lost

	: >"$WORK/judged"
	ledger | sort >"$WORK/kept"
	acknowledged=$(wc -l <"$WORK/kept") lost=$acknowledged
	back_again || return
	if ! upper_mount 2>>"$WORK/judged"; then
		verdict=UNMOUNTABLE
	elif starts && read_database >"$WORK/read" 2>>"$WORK/judged"; then
		sort "$WORK/read" >"$WORK/found"
		lost=$(comm -23 "$WORK/kept" "$WORK/found" | tee -a "$WORK/judged" | wc -l)
		found=$((acknowledged - lost))
		[ -n "$verdict" ] || verdict=kept
		check_database >>"$WORK/judged" 2>&1 || verdict=CORRUPT
		[ "$lost" = 0 ] || verdict=LOST
	else
		verdict=UNSTARTABLE
	fi
	kill_clients || return
	unmount "$UPPER"
	fsck || verdict=DAMAGED
	numbers="acknowledged $acknowledged found $found lost $lost"
	until_true is_unbound && { host_umount || [ "$host" = raw ]; } ||
		complain "$host stays mounted" || return
	power_off
	return 0
}

# What it takes to look into it.
keep_evidence()
{
	tail -q -n 40 "$WORK/judged" "$LOG" | sed "s/^/@note $1 $2 /"
	# Not all of it is there if the worst has happened.
	tar -cSz -C "$WORK" -f "/evidence/$(IFS=-; echo "$*").tar.gz" --ignore-failed-read \
		kept read judged image run/log 2>/dev/null || true
}

one()
{
	local seed=$1 policy=$2 host=$3 kind=$4 disk_kind=$5 fs=$6 client=$7
	local database=${7%-eio} verdict='' numbers='' panics=0 error=0 start=${EPOCHREALTIME/./}

	RANDOM=$((seed % 32768))
	new_database || return
	# shellcheck disable=SC2046 # words
	power_on $(disk_options "$disk_kind" "$seed") || return
	host_mount || [ "$host" = raw ] || complain "cannot mount $host" || return
	bind "$policy" || complain "cannot bind" || return
	upper_mount || complain "cannot mount $fs" || return
	new_run
	starts || { tail "$LOG"; complain "$database does not start"; } || return
	start_load 0
	until_true commits $FEWEST || { tail "$LOG"; complain "no commits"; } || return
	nap "$((RANDOM % 2)).$((RANDOM % 10))$((RANDOM % 10))"
	case $client in
	*-eio)	fail_flush || return ;;
	esac
	cut && throw_away || return
	[ $((RANDOM % 4)) != 0 ] || cut_again || return
	judge_database || return
	echo "@cut $* $verdict $numbers panics $panics error $error ms $(((${EPOCHREALTIME/./} - start) / 1000))"
	case $policy-$verdict in
	unsafe-* | *-kept)	;;
	*)			keep_evidence "$@" ;;
	esac
}

mkdir -p "$WORK" "$HOST" "$UPPER" "$GROUP"
while read -r line; do
	# shellcheck disable=SC2086 # in words
	one $line </dev/null || exit 1
done
