# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # check and part are report.sh's
#
# To be sourced after report.sh: power cuts in machines that stay up, in several rigs side by
# side (see rig.sh), each with a plan of its own. For that there have to be:
#
#	RIGS		so many in a machine
#	ROW		so many cuts of each in a row before the machine boots again
#	gather FOLDER KERNEL	makes the job but for the module and "run"
#	plan		prints the cuts, a line each, as the program in the guest reads them
#	as_expected WORD...	whether a line that the guest said of a cut is no news
#
# Then: take_options, logs_in, cut_all.

TIMEOUT=1800

# take_options [--check]: of whoever sources this. PLAN=file takes the place of "plan".
take_options()
{
	part=${PLAN:-}
	case $* in
	'')		;;
	--check)	check=1 ;;
	*)		die "usage: ${0##*/} [--check]" ;;
	esac
	[ "$(id -u)" = 0 ] || die "this has to be run as root: it builds root filesystems"
	need e2fsprogs
}

# logs_in FOLDER: kept until the next run, to be looked into.
logs_in()
{
	logs=$1
	rm -rf "$logs"
	mkdir -p "$logs"
	: >"$logs/cuts"
	: >"$logs/notes"
}

# job FOLDER KERNEL PROGRAM: all that the machine is to run; the program once in each rig.
job()
{
	mkdir -p "$1"
	build "$2" "$1"
	gather "$1" "$2"
	cat >"$1/run" <<-END
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
			RIG=\$rig ./$3 <plan\$rig 2>&1 &
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
	local kernel=$1 line words beat=$((SECONDS + 20))

	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		"@kernel "*)
			echo "${line#@kernel }" >"$logs/cuts.$kernel"
			;;
		"@cut "*)
			line=${line#@cut }
			echo "$kernel $line" >>"$logs/cuts"
			read -ra words <<<"$line"
			as_expected "${words[@]}" || step "$kernel: $line"
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

# keep_left KERNEL: of the plan what no machine has said anything of.
keep_left()
{
	local tmp=$logs/$1/left.tmp

	awk -v kernel="$1" '
		FILENAME == ARGV[1] {
			if ($1 == kernel)
				cut[++n] = substr($0, length(kernel) + 2) " "
			next
		}
		{
			for (i = 1; i <= n && index(cut[i], $0 " ") != 1; i++)
				;
			if (i > n)
				print
			else
				cut[i] = ""
		}' "$logs/cuts" "$logs/plan" >"$tmp"
	mv "$tmp" "$logs/$1/left"
}

# keep_accident KERNEL: what is known of it is kept.
keep_accident()
{
	local dir=$logs/$1

	step "$1: the machine had an accident"
	tail -n 30 "$dir/words" "$dir/log" >&2 || true
	echo "$1 $SEED accident" >>"$logs/cuts"
	# What a rig had to complain about, and what the kernel.
	{ grep '^@trouble' "$dir/words" | tail -n 1; complaints "$dir/log" 4 4; } 2>/dev/null |
		sed "s/^/$1 $SEED accident /" >>"$logs/notes" || true
	accidents=$((accidents + 1))
	mv "$dir/out" "$dir/accident$accidents"
	cp "$dir/log" "$dir/accident$accidents"
	# The next one is not to be told in the words of this one.
	[ ! -e "$dir/words" ] || mv "$dir/words" "$dir/accident$accidents"
}

# cut_with KERNEL PROGRAM: all of the plan, in as many boots as it takes.
cut_with()
{
	local kernel=$1 dir=$logs/$1 accidents=0 row=$((ROW * RIGS)) rig

	mkdir -p "$dir/evidence"
	job "$dir/job" "$kernel" "$2"
	cp "$logs/plan" "$dir/left"
	while [ -s "$dir/left" ] && [ $accidents -lt "$MOST_ACCIDENTS" ]; do
		for ((rig = 0; rig < RIGS; rig++)); do
			awk -v row=$row -v n="$RIGS" -v r=$rig 'NR <= row && (NR - 1) % n == r' \
				"$dir/left" >"$dir/job/plan$rig"
		done
		if boot "$kernel" | follow "$kernel"; then
			sed -i "1,${row}d" "$dir/left"
		else
			keep_accident "$kernel"
			keep_left "$kernel"
		fi
	done
}

# cut_all PROGRAM: with each kernel. Whatever goes wrong is in the file "cuts".
cut_all()
{
	local kernel

	if [ -n "${PLAN:-}" ]; then
		cp "$PLAN" "$logs/plan"
	else
		plan >"$logs/plan"
	fi
	for kernel in $KERNELS; do
		step "$kernel: $(wc -l <"$logs/plan") cuts"
		cut_with "$kernel" "$1"
	done
}
