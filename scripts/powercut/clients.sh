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
. "$(dirname "$0")/../vm/accident.sh"

CUTS=${CUTS:-60}
KERNELS=${KERNELS:-uml}
SEED=${SEED:-1}
# So many side by side in a machine, and so many in a row before it boots again.
RIGS=2
ROW=20
TIMEOUT=1800

part=${PLAN:-}
case $* in
'')		;;
--check)	check=1 ;;
*)		die "usage: clients.sh [--check]" ;;
esac
[ "$(id -u)" = 0 ] || die "this has to be run as root: it builds root filesystems"
need e2fsprogs
here=$(cd "$(dirname "$0")" && pwd)
# Kept until the next run, to be looked into.
logs=${LOGS:-$CACHE/clients}
rm -rf "$logs"
mkdir -p "$logs"
: >"$logs/cuts"
: >"$logs/accidents"
: >"$logs/notes"

# gather FOLDER SUITE: all of the job but the module.
gather()
{
	local postgresql

	postgresql=$("$here/postgresql.sh" "$2")
	mkdir -p "$1"
	cp -a "$postgresql/"* "$logs/programs/disk" "$here/rig.sh" "$here/databases.sh" \
		"$here/clients-guest.sh" "$1/"
	cat >"$1/run" <<-END
		#!/bin/bash
		# Disks come and go; nobody but us is to look at them.
		udevadm control --exit
		modprobe nbd nbds_max=$((RIGS * 8)) max_part=0 || exit
		modprobe vinteg num_devices=$RIGS || exit
		mkdir /evidence
		mount /dev/disk/by-id/virtio-evidence /evidence || exit
		for ((rig = 0; rig < $RIGS; rig++)); do
			RIG=\$rig ./clients-guest.sh <plan\$rig 2>&1 &
			rigs+=(\$!)
		done
		status=0
		for rig in "\${rigs[@]}"; do
			wait \$rig || status=1
		done
		umount /evidence || exit
		exit \$status
	END
	chmod +x "$1/run"
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

# boot KERNEL: runs the job there.
boot()
{
	local kernel=$1 dir=$logs/$1 disk=$logs/$1/disk status=0

	# Takes the evidence, if there is any.
	rm -f "$disk"
	mke2fs -q -t ext4 -O ^has_journal "$disk" 4G >/dev/null
	machine "$kernel" "evidence,$disk" --job "$dir/job" --out "$dir/out" \
		--timeout "$TIMEOUT" --follow --mem 3072 2>"$dir/log" || status=$?
	debugfs -R "rdump / $dir/evidence" "$disk" >/dev/null 2>&1
	rm -f "$disk"
	return $status
}

# follow KERNEL: reads what a machine says, and shows how it goes on.
follow()
{
	local kernel=$1 line policy verdict beat=$((SECONDS + 20))

	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		"@cut "*)
			echo "$kernel ${line#@cut }" >>"$logs/cuts"
			read -r _ _ policy _ _ _ _ _ verdict _ <<<"$line"
			case $policy-$verdict in
			unsafe-* | *-kept)	;;
			*)			step "$kernel: ${line#@cut }" ;;
			esac
			;;
		"@note "*)
			echo "$kernel ${line#@note }" >>"$logs/notes"
			;;
		*)
			printf '%s\n' "$line" >>"$logs/$kernel/words"
			;;
		esac
		if [ $SECONDS -ge $beat ]; then
			step "$kernel: $(grep -c "^$kernel " "$logs/cuts") cuts"
			beat=$((SECONDS + 20))
		fi
	done
}

# run KERNEL: all of the plan, in as many boots as it takes.
run()
{
	local kernel=$1 dir=$logs/$1 suite=bookworm from total rig rc=0

	[ "$kernel" = uml ] || suite=$(suite_of "$kernel")
	mkdir -p "$dir/evidence"
	build "$kernel" "$dir/job"
	gather "$dir/job" "$suite"
	total=$(wc -l <"$logs/plan")
	for ((from = 1; from <= total; from += ROW * RIGS)); do
		for ((rig = 0; rig < RIGS; rig++)); do
			tail -n +$from "$logs/plan" | head -n $((ROW * RIGS)) |
				awk -v n=$RIGS -v r=$rig '(NR - 1) % n == r' >"$dir/job/plan$rig"
		done
		boot "$kernel" | follow "$kernel" || rc=$?
		[ $rc = 0 ] || break
	done
	if [ $rc != 0 ]; then
		step "$kernel: the machine had an accident"
		tail -n 30 "$dir/words" "$dir/log" >&2
		echo "$kernel" >>"$logs/accidents"
		# What a rig had to complain about, and what the kernel.
		{ grep '^@trouble' "$dir/words" | tail -n 1; complaints "$dir/log" 4 4; } 2>/dev/null |
			sed "s/^/$kernel $SEED accident /" >>"$logs/notes" || true
	fi
}

# clients_report CUTS ACCIDENTS PLANNED: a line for each client, then what has to be true.
clients_report()
{
	awk -v least="$LOSES" -v ktap="$check" -v part="$part" -v accidents="$2" -v planned="$3" \
			-v notes="$logs/notes" "$EVIDENCE"'
		function result(tried, good, text, of)
		{
			if (!tried && part)
				return
			good = tried && good
			bad += !good
			if (ktap && !good)
				printf "%s", seen[of]
			if (ktap)
				print (good ? "ok " : "not ok ") ++n " - " text
			else
				print (good ? "yes   " : "NO    ") text
		}
		function share(part, all)
		{
			return all ? sprintf("%d of %d (%d %%)", part, all, 100 * part / all) : "none"
		}
		BEGIN { read_notes() }
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
			result(1, !accidents, "the machines live to the end: " accidents " accidents", "accidents")
			exit bad != 0
		}' "$1"
}

compile "$logs/programs"
if [ -n "${PLAN:-}" ]; then
	cp "$PLAN" "$logs/plan"
else
	plan >"$logs/plan"
fi
planned=0
for kernel in $KERNELS; do
	step "$kernel: $(wc -l <"$logs/plan") cuts"
	planned=$((planned + $(wc -l <"$logs/plan")))
	run "$kernel"
done
clients_report "$logs/cuts" "$(wc -l <"$logs/accidents")" "$planned"
