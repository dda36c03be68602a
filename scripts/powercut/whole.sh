#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# whole.sh [--check]: kills a whole machine and the disks below it while it writes to them through
# vinteg, boots it again, and judges what is left; over and over. KERNELS="6.1 6.12 7.3",
# ROUNDS=number of kills of each, SEED=number of the first, SRC=checkout with another driver.
# With --check it prints KTAP.
#
# The machine has a disk for each policy, with a volatile cache that dies with nbdkit, and
# one more as a control: QEMU's cache=unsafe never tells that disk to flush. That one is
# served as a file, because QEMU forwards flushes to NBD with cache=unsafe, too.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/machines.sh"
. "$(dirname "$0")/report.sh"
. "$(dirname "$0")/results.sh"
. "$(dirname "$0")/volatile.sh"

KERNELS=${KERNELS:-$KERNELS_ALL}
ROUNDS=${ROUNDS:-10}
SEED=${SEED:-1}
# A machine that doesn't get that far in so many seconds has had an accident.
PATIENCE=900
# In MiB: what xfs and btrfs ask for.
DISK_SIZE=320
# The first records in a ledger are of the first write to each place.
LEDGER_BEGINS=1500
# One kill in so many is followed by another, while the machine comes up again.
AGAIN=4
# After so many rounds each policy moves on to another place.
ROTATE=3
POLICIES=(none directsync writethrough writeback guest unsafe writeback)
CONTROL=6
HOSTS=("ext4 written" "xfs sparse" "btrfs written" "ext4 unwritten" "raw -" "xfs reflinked"
	"ext4 sparse" "btrfs-nocow written" "xfs written")

case $* in
'')		;;
--check)	check=1 ;;
*)		die "usage: whole.sh [--check]" ;;
esac
[ "$(id -u)" = 0 ] || die "this has to be run as root: it builds root filesystems"
need nbdkit libnbd-bin
here=$TOP/scripts/powercut
logs=${LOGS:-$CACHE/powercut-whole}
rm -rf "$logs"
mkdir -p "$logs"
: >"$logs/cuts"
# In memory if there is room: the disks are then as fast as they can be.
place=/dev/shm
[ "$(df -m --output=avail $place | tail -n 1)" -ge 3072 ] || place=$CACHE
work=$(mktemp -d "$place/whole.XXXXXX")
disks=() vm='' fuse=''
# Of a plan that doesn't have all the broken disks.
part=1

# shellcheck disable=SC2317 # called by the trap
cleanup()
{
	[ -z "$vm" ] || kill "$vm" 2>/dev/null || true
	[ ${#disks[@]} = 0 ] || power_off
	wait 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

power_on()
{
	local n

	disks=()
	for n in "${!POLICIES[@]}"; do
		start_disk "$work/disk$n" "$work/socket$n"
		disks+=("$disk_pid")
	done
	mkdir -p "$work/fuse"
	nbdfuse "$work/fuse" --unix "$work/socket$CONTROL" 2>"$work/nbdfuse" &
	fuse=$!
	until [ -e "$work/fuse/nbd" ]; do
		kill -0 "$fuse" || die "nbdfuse did not start"
		nap 0.1
	done
}

power_off()
{
	kill -KILL "${disks[@]}" 2>/dev/null || true
	wait "${disks[@]}" 2>/dev/null || true
	umount -l "$work/fuse" || true
	wait "$fuse" 2>/dev/null || true
	disks=() fuse=''
}

# boot WRITES: starts the machine; its ledgers arrive in files.
boot()
{
	local n word file options=()

	for n in "${!POLICIES[@]}"; do
		: >"$work/ledger$n"
		file=nbd:unix:$work/socket$n
		[ "$n" != $CONTROL ] || file=$work/fuse/nbd,cache=unsafe
		options+=(--drive "cut$n,format=raw,file=$file")
		for word in -chardev "file,id=cut$n,path=$work/ledger$n,append=on" \
				-device "virtserialport,chardev=cut$n,name=cut$n"; do
			options+=(--qemu "$word")
		done
	done
	printf '#!/bin/sh\nexec ./whole-guest.sh %s\n' "$1" >"$work/job/run"
	echo "$seed" >"$work/job/seed"
	chmod +x "$work/job/run"
	rm -f "$work/pid"
	"$TOP/scripts/vm/run.sh" --kernel "$kernel" --job "$work/job" --out "$work/out" \
		--timeout $PATIENCE --pidfile "$work/pid" \
		--qemu -device --qemu virtio-serial-pci "${options[@]}" >"$work/log" 2>&1 &
	vm=$!
}

power_cut()
{
	# The disks first: after this moment nothing more becomes durable.
	kill -STOP "${disks[@]}"
	nap 0.2
	# It may have come to its end by itself.
	if kill -KILL "$(<"$work/pid")" 2>/dev/null; then
		echo "$kernel $seed killed" >>"$logs/cuts"
	fi
	power_off
	wait "$vm" 2>/dev/null || true
	vm=''
}

is_alive()
{
	kill -0 "$vm" 2>/dev/null
}

writes_everywhere()
{
	local n

	for n in "${!POLICIES[@]}"; do
		[ "$(stat -c %s "$work/ledger$n")" -ge $LEDGER_BEGINS ] || return 1
	done
}

# in_trouble: a disk has something to complain about, and will not be written to.
in_trouble()
{
	grep -qs '^@trouble' "$work/out/output"
}

accident()
{
	step "$kernel: the machine had an accident: $*"
	tail -n 20 "$work/log" "$work/out/output" "$work/out/console" >&2 || true
	cp -r "$work/out" "$logs/accident-$kernel-$seed"
	listen
	echo "$kernel $seed accident" >>"$logs/cuts"
	kill "$vm" 2>/dev/null || true
	power_off
	wait 2>/dev/null
	vm=''
	return 1
}

# listen: what the machine has said of the last cut.
listen()
{
	grep -q '^@kernel ' "$work/out/output" || return 0
	sed -n "s/\r*$//; s/^@kernel //p" "$work/out/output" >"$logs/cuts.$kernel"
	sed -n "s/\r*$//; s/^@cut /$kernel /p" "$work/out/output" >"$work/said"
	cat "$work/said" >>"$logs/cuts"
}

# take_over: one line for each disk, or it is an accident. Lossy disks are kept.
take_over()
{
	local word n rig policy disk verdict numbers

	[ -e "$work/job/kept0" ] || return 0
	listen
	for n in "${!POLICIES[@]}"; do
		[ "$(grep -c "^$kernel $((seed - 1)) .* whole .* disk $n\$" "$work/said")" != 1 ] ||
			continue
		step "$kernel: round $((seed - 1)): disk $n (${POLICIES[n]}) was not judged once"
		tail -n 20 "$work/out/output" >&2
		echo "$kernel $((seed - 1)) accident" >>"$logs/cuts"
	done
	while read -r _ word policy _ _ disk _ verdict numbers; do
		case $policy-$disk-$verdict in
		unsafe-* | *-no-flush-* | *-kept)	continue ;;
		esac
		step "$kernel: round $word: $policy: $verdict"
		rig=${numbers##* disk }
		tar -cS -C "$work" "job/kept$rig" "before$rig" out |
			zstd -q >"$logs/$kernel-$word-$policy.tar.zst"
	done <"$work/said"
}

new_disks()
{
	local n

	rm -f "$work/job"/kept*
	for n in "${!POLICIES[@]}"; do
		rm -f "$work/disk$n"
		truncate -s ${DISK_SIZE}M "$work/disk$n"
	done
	places >"$work/job/places"
	echo 0 >"$work/job/again"
}

# places: where each policy writes to, as whole-guest.sh reads it.
places()
{
	local n place

	for n in "${!POLICIES[@]}"; do
		place="${HOSTS[(n + shift) % ${#HOSTS[@]}]} volatile"
		# Of a file system nothing would be left.
		[ "$n" != $CONTROL ] || place="raw - no-flush"
		echo "${POLICIES[n]} $place"
	done
}

# round: boots, which judges the last round's cut; lets it write; cuts.
round()
{
	local n

	if [ -e "$work/job/kept0" ] && [ $((RANDOM % AGAIN)) = 0 ]; then
		power_on
		boot no
		until [ -s "$work/pid" ] || ! is_alive; do
			nap 0.2
		done
		sleep $((RANDOM % 20 + 5)).$((RANDOM % 10))
		power_cut
		echo 1 >"$work/job/again"
	fi
	places >"$work/job/next"
	power_on
	boot yes
	until writes_everywhere; do
		is_alive && ! in_trouble || accident "it does not begin to write" || return
		nap 0.2
	done
	nap $((RANDOM % 4)).$((RANDOM % 10))
	power_cut
	take_over
	mv "$work/job/next" "$work/job/places"
	echo 0 >"$work/job/again"
	for n in "${!POLICIES[@]}"; do
		mv "$work/ledger$n" "$work/job/kept$n"
		cp --sparse=always "$work/disk$n" "$work/before$n"
	done
}

# The last cut is judged by a machine that comes to its end, and tells how it was.
last_round()
{
	local status=0

	power_on
	boot no
	wait "$vm" || status=$?
	vm=''
	[ $status = 0 ] || accident "at the end" || return
	power_off
	take_over
}

with_kernel()
{
	local kernel=$1 shift=$2 n=0 accidents=0

	mkdir -p "$work/job"
	build "$kernel" "$work/job"
	new_disks
	while [ $n -lt "$ROUNDS" ]; do
		if round; then
			n=$((n + 1))
			[ $((n % ROTATE)) != 0 ] || shift=$((shift + 1))
			step "$kernel: $n of $ROUNDS machines killed, $(grep -c " whole " "$logs/cuts") disks judged"
		else
			accidents=$((accidents + 1))
			[ $accidents -lt "$MOST_ACCIDENTS" ] || return
			new_disks
		fi
		seed=$((seed + 1))
	done
	last_round || return
}

compile "$work/job"
cp "$here/rig.sh" "$here/whole-guest.sh" "$work/job/"
seed=$SEED shift=0
RANDOM=$((SEED % 32768))
for kernel in $KERNELS; do
	with_kernel "$kernel" $shift || true
	# The next kernel's policies are tried on other file systems.
	shift=$((shift + 1)) seed=$((seed + 1))
done
remember "$logs/cuts"
report "$logs/cuts"
