#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# live.sh [--check]: cuts the power of disks while they are written to through vinteg,
# and judges what is found on them. CUTS=number, KERNELS="uml 6.1 6.12 7.3" (uml is
# User-Mode Linux 7.3), SEED=number of the first cut, SRC=checkout with another driver.
# CUTS are those of durable policies; "unsafe" and broken disks come on top.
# PLAN=file has cuts of its own, as live-guest.sh reads them. With --check it prints KTAP.
#
# Fails if anything was lost that had to be kept, but also if nothing was lost where
# that had to be seen: under "unsafe", and on disks that are broken.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/machines.sh"
. "$(dirname "$0")/report.sh"
. "$(dirname "$0")/results.sh"
. "$(dirname "$0")/../vm/accident.sh"

CUTS=${CUTS:-300}
KERNELS=${KERNELS:-uml}
SEED=${SEED:-1}
# So many side by side in a machine, and so many in a row before it boots again.
RIGS=2
ROW=40
TIMEOUT=1800

part=${PLAN:-}
case $* in
'')		;;
--check)	check=1 ;;
*)		die "usage: live.sh [--check]" ;;
esac
[ "$(id -u)" = 0 ] || die "this has to be run as root: it builds root filesystems"
need e2fsprogs
here=$(cd "$(dirname "$0")" && pwd)
# Kept until the next run, to be looked into.
logs=${LOGS:-$CACHE/powercut}
rm -rf "$logs"
mkdir -p "$logs"
: >"$logs/cuts"
: >"$logs/notes"

gather()
{
	compile "$logs/programs"
	cp "$here/rig.sh" "$here/live-guest.sh" "$logs/programs/"
	cat >"$logs/programs/run" <<-END
		#!/bin/bash
		echo "@kernel \$(uname -r)"
		# Disks come and go; nobody but us is to look at them.
		udevadm control --exit
		modprobe nbd nbds_max=$((RIGS * 8)) max_part=0 || exit
		modprobe vinteg num_devices=$RIGS || exit
		mkdir /evidence
		mount /dev/disk/by-id/virtio-evidence /evidence || exit
		echo +io >/sys/fs/cgroup/cgroup.subtree_control
		for ((rig = 0; rig < $RIGS; rig++)); do
			RIG=\$rig ./live-guest.sh <plan\$rig 2>&1 &
			rigs+=(\$!)
		done
		status=0
		for rig in "\${rigs[@]}"; do
			wait \$rig || status=1
		done
		umount /evidence || exit
		exit \$status
	END
	chmod +x "$logs/programs/run"
}

# Each line of these stands for as many cuts as there are policies, all with the same
# seed: HOST FILE DISK LOAD.
PLACES="
	ext4 written volatile blocks
	xfs written fua blocks
	ext4 sparse fua blocks
	xfs unwritten volatile blocks
	raw - volatile blocks
	btrfs written volatile blocks
	ext4 written fua switching
	xfs reflinked volatile blocks
	btrfs-nocow written fua blocks
	ext4 unwritten volatile ext4
	raw - fua blocks
	xfs sparse fua xfs
	btrfs reflinked fua blocks
	xfs written volatile switching
	ext4 sparse volatile btrfs
	raw - volatile switching
	ext4 unwritten fua override
	btrfs sparse volatile ext4
	xfs sparse volatile ext4
	btrfs-nocow unwritten volatile switching
	ext4 written volatile errors
	xfs written fua errors
	btrfs written volatile errors
	raw - volatile errors
	ext4 unwritten fua errors
	btrfs reflinked fua errors
"
# The short form has to do with these.
SHORT_PLACES="
	ext4 written volatile blocks
	xfs written fua blocks
	ext4 sparse fua blocks
	xfs unwritten volatile blocks
	ext4 written fua switching
	raw - volatile errors
"
POLICIES="none directsync writethrough writeback guest unsafe"
# Broken disks, for policies that depend on what is broken: one for each place.
CONTROLS="
	none ext4 written no-flush blocks
	writeback xfs written no-flush blocks
	directsync ext4 written no-fua overwrite
	directsync xfs written no-fua overwrite
"

# lines TEXT: those that have something.
lines()
{
	sed 's/^[[:space:]]*//; /^$/d' <<<"$1"
}

# plan COUNT: that many cuts of durable policies, and the controls.
plan()
{
	local seed=$SEED places controls place policy n=0 durable=0

	places=$PLACES
	[ -z "$check" ] || places=$SHORT_PLACES
	mapfile -t places < <(lines "$places")
	mapfile -t controls < <(lines "$CONTROLS")
	while [ $durable -lt "$1" ]; do
		place=${places[n % ${#places[@]}]}
		for policy in $POLICIES; do
			# A switch away from "unsafe" saves what it had promised.
			case "$policy $place" in
			unsafe*switching | unsafe*override | unsafe*errors)
				continue ;;
			esac
			echo "$seed $policy $place"
			[ "$policy" = unsafe ] || durable=$((durable + 1))
		done
		echo "$seed ${controls[n % ${#controls[@]}]}"
		n=$((n + 1)) seed=$((seed + 1))
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
	local kernel=$1 line policy disk verdict beat=$((SECONDS + 20))

	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		"@kernel "*)
			echo "${line#@kernel }" >"$logs/cuts.$kernel"
			;;
		"@cut "*)
			echo "$kernel ${line#@cut }" >>"$logs/cuts"
			read -r _ _ policy _ _ disk _ verdict _ <<<"$line"
			case $policy-$disk-$verdict in
			unsafe-* | *-no-* | *-kept)	;;
			*)				step "$kernel: ${line#@cut }" ;;
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
			step "$kernel: $(wc -l <"$logs/cuts") cuts"
			beat=$((SECONDS + 20))
		fi
	done
}

# run KERNEL: all of the plan, in as many boots as it takes.
run()
{
	local kernel=$1 dir=$logs/$1 from total rig rc=0

	mkdir -p "$dir/evidence"
	build "$kernel" "$dir/job"
	cp "$logs/programs/"* "$dir/job/"
	total=$(wc -l <"$logs/plan")
	for ((from = 1; from <= total; from += ROW * RIGS)); do
		for ((rig = 0; rig < RIGS; rig++)); do
			# Not by way of "head", which would end its writer with SIGPIPE.
			sed -n "$from,$((from + ROW * RIGS - 1))p" "$logs/plan" |
				awk -v n=$RIGS -v r=$rig '(NR - 1) % n == r' >"$dir/job/plan$rig"
		done
		boot "$kernel" | follow "$kernel" || rc=$?
		[ $rc = 0 ] || break
	done
	if [ $rc != 0 ]; then
		step "$kernel: the machine had an accident"
		tail -n 30 "$dir/words" "$dir/log" >&2
		echo "$kernel $SEED accident" >>"$logs/cuts"
		# What a rig had to complain about, and what the kernel.
		{ grep '^@trouble' "$dir/words" | tail -n 1; complaints "$dir/log" 4 4; } 2>/dev/null |
			sed "s/^/$kernel $SEED accident /" >>"$logs/notes" || true
	fi
}

gather
if [ -n "${PLAN:-}" ]; then
	cp "$PLAN" "$logs/plan"
else
	plan "$CUTS" >"$logs/plan"
fi
for kernel in $KERNELS; do
	step "$kernel: $(wc -l <"$logs/plan") cuts"
	run "$kernel"
done
remember "$logs/cuts"
report "$logs/cuts" "$logs/notes"
