#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# clients.sh [--check]: cuts the power of disks under PostgreSQL and SQLite, which have
# their files in a file system on vinteg, and asks them for all that they had committed.
# CUTS=number, KERNELS="uml 6.1 6.12 7.3" (uml is User-Mode Linux 7.3), SEED=number of the
# first cut, SRC=checkout with another driver, LOGS=folder. PLAN=file has cuts of its own,
# as clients-guest.sh reads them. With --check it prints KTAP, and cuts once in each way of
# the short form.
#
# Fails if anything that was committed is lost, or a check finds a fault, but also if a
# cut had nothing to lose, or if "unsafe" was not seen to lose.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/machines.sh"
. "$(dirname "$0")/report.sh"
. "$(dirname "$0")/rigs.sh"
. "$(dirname "$0")/../vm/accident.sh"

CUTS=${CUTS:-60}
KERNELS=${KERNELS:-uml}
SEED=${SEED:-1}
RIGS=${RIGS:-2}
ROW=20

take_options "$@"
here=$TOP/scripts/powercut
logs_in "${LOGS:-$CACHE/clients}"

gather()
{
	local postgresql suite=bookworm

	[ "$2" = uml ] || suite=$(suite_of "$2")
	postgresql=$("$here/postgresql.sh" "$suite")
	cp -a "$postgresql/"* "$logs/programs/disk" "$here/rig.sh" "$here/databases.sh" \
		"$here/clients-guest.sh" "$1/"
}

# HOST FILE DISK FS CLIENT: each comes with one policy after the other. No file is written
# beforehand but by the database: the disk can't have that much memory in User-Mode Linux.
PLACES="
	ext4 unwritten volatile ext4 postgresql
	xfs sparse fua xfs sqlite-wal
	raw - volatile ext4 postgresql-eio
	btrfs sparse volatile ext4 sqlite-truncate
	xfs unwritten fua xfs postgresql
	ext4 sparse volatile xfs sqlite-persist
	ext4 sparse fua xfs postgresql
	raw - volatile ext4 sqlite-wal
	raw - fua xfs postgresql-eio
	xfs sparse volatile ext4 postgresql
	ext4 unwritten fua xfs sqlite-truncate
	btrfs-nocow unwritten volatile ext4 postgresql
	xfs unwritten volatile ext4 sqlite-persist
	raw - volatile xfs postgresql
	btrfs unwritten fua xfs sqlite-wal
"
POLICIES=(none directsync writethrough writeback guest unsafe)
# The short form. Two halves, for a machine each; a place that was made is used again.
SHORT="
	none ext4 unwritten volatile ext4 postgresql
	writeback xfs unwritten fua xfs postgresql
	unsafe ext4 unwritten volatile ext4 postgresql
	directsync xfs unwritten fua xfs sqlite-truncate
	none raw - volatile ext4 postgresql-eio
	writethrough xfs unwritten fua xfs sqlite-wal
	writeback raw - volatile ext4 postgresql-eio
	guest xfs unwritten fua xfs sqlite-persist
	unsafe raw - volatile ext4 sqlite-wal
	guest xfs unwritten fua xfs postgresql
"

# plan: the cuts.
plan()
{
	local seed=$SEED last=$((SEED + CUTS)) host file disk fs client policy line turn first=0

	if [ -n "$check" ]; then
		while read -r line; do
			[ -z "$line" ] || echo "$((seed++)) $line"
		done <<<"$SHORT"
		return
	fi
	while ((seed < last)); do
		turn=$first
		while read -r host file disk fs client; do
			[ -n "$host" ] || continue
			((seed < last)) || return 0
			policy=${POLICIES[turn++ % ${#POLICIES[@]}]}
			# Where flushes are ignored, nobody notices that they fail.
			case $policy-$client in
			unsafe-*-eio)	policy=writeback ;;
			esac
			echo "$((seed++)) $policy $host $file $disk $fs $client"
		done <<<"$PLACES"
		first=$((first + 1))
	done
}

# as_expected SEED POLICY HOST FILE DISK FS CLIENT VERDICT ...
as_expected()
{
	case $2-$8 in
	unsafe-* | *-kept)	;;
	*)			return 1 ;;
	esac
}

# clients_report CUTS PLANNED: a line for each client, then what has to be true.
clients_report()
{
	awk -v least="$LOSES" -v ktap="$check" -v part="$part" -v planned="$2" \
			-v notes="$logs/notes" "$EVIDENCE"'
		BEGIN { read_notes() }
		$3 == "accident" { accidents++; next }
		{
			policy = $3; fs = $7; client = $8; verdict = $9
			amiss = verdict != "kept"
			key = sprintf("%-6s %-16s %-5s %-8s", $1, client, fs,
				policy == "unsafe" ? "unsafe" : "durable")
			for (i = 10; i < NF; i += 2) {
				sum[key, $i] += $(i + 1)
				value[$i] = $(i + 1)
			}
			cuts[key]++
			amiss_in[key] += amiss
			all++
			idle += !value["acknowledged"]
			if (policy == "unsafe") {
				unsafe++; unsafe_lost += amiss
				next
			}
			by_policy[policy]++; wrong[policy] += amiss
			by_client[client]++; wrong_client[client] += amiss
			if (amiss) {
				evidence(policy, $0)
				evidence(client, $0)
			}
			if (client ~ /-eio$/) {
				failed++; careful += value["panics"] && value["error"]
				if (!value["panics"] || !value["error"])
					evidence("careless", $0)
			}
		}
		END {
			for (key in note)
				if (key ~ / accident$/)
					seen["accidents"] = seen["accidents"] note[key]
			if (!ktap) {
				printf "%-6s %-16s %-5s %-8s %6s %10s %8s %8s %6s %8s\n", "kernel", "client",
					"fs", "policies", "cuts", "committed", "found", "lost", "amiss", "s/cut"
				sort = "sort"
				for (key in cuts)
					printf "%s %6d %10d %8d %8d %6d %8.1f\n", key, cuts[key],
						sum[key, "acknowledged"], sum[key, "found"], sum[key, "lost"],
						amiss_in[key], sum[key, "ms"] / cuts[key] / 1000 | sort
				close(sort)
				print ""
			}
			split("postgresql postgresql-eio sqlite-wal sqlite-truncate sqlite-persist", names, " ")
			for (i = 1; i in names; i++)
				result(by_client[names[i]], !wrong_client[names[i]],
					names[i] " has all it committed, and no fault: something amiss in " share(wrong_client[names[i]], by_client[names[i]]) " cuts", names[i])
			split("none directsync writethrough writeback guest", policies, " ")
			for (i = 1; i in policies; i++)
				result(by_policy[policies[i]], !wrong[policies[i]],
					policies[i] " keeps everything: something amiss in " share(wrong[policies[i]], by_policy[policies[i]]) " cuts", policies[i])
			result(failed, careful == failed,
				"PostgreSQL panics and vinteg stops acknowledging when a flush fails: in " share(careful, failed), "careless")
			result(unsafe, unsafe_lost * 100 >= least * unsafe,
				"unsafe loses, and it is seen: in " share(unsafe_lost, unsafe))
			result(1, all == planned && !idle,
				"each cut had something to lose: " all - idle " of " planned)
			result(1, !accidents, "the machines live to the end: " accidents + 0 " accidents", "accidents")
			exit bad != 0
		}' "$1"
}

compile "$logs/programs"
cut_all clients-guest.sh
clients_report "$logs/cuts" $(($(wc -l <"$logs/plan") * $(wc -w <<<"$KERNELS")))
