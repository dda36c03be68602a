#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh: shows what vinteg promises, with a real power cut. Six devices, one per
# cache policy, are written to in a test machine whose disk has a volatile cache.
# Machine and cache are killed; a second boot looks for what had been acknowledged.
#
# Exit status 0 only if the five durable policies lost nothing and "unsafe" was
# seen to lose.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/volatile.sh"

KERNEL=${KERNEL:-6.12}
DURABLE="none directsync writethrough writeback guest"
BOOT_TIMEOUT=300
# A ledger line is an acknowledgement. So many of the slowest policy are waited for
# after the "sync", and then some more time, before the cut; but never longer than
# the host kernel keeps unsynced data in memory on its own (30 s by default).
WANTED=80
LONGEST=18
# So many records of each were on the disk before: see demo-guest.sh.
SETTLED=$(sed -n 's/^SETTLED=//p' "$(dirname "$0")/demo-guest.sh")

[ "$(id -u)" = 0 ] || die "this has to be run as root: it builds root filesystems and boots a machine"
case " $KERNELS_ALL " in
*" $KERNEL "*)	;;
*)		die "unknown kernel '$KERNEL': one of $KERNELS_ALL" ;;
esac

bold='' red='' green='' plain=''
if [ -t 1 ]; then
	bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi

here=$(cd "$(dirname "$0")" && pwd)
# In memory if there is room: the disk is then as fast as its flushes are many.
place=/dev/shm
[ "$(df -m --output=avail $place | tail -n 1)" -ge 1024 ] || place=$CACHE
work=$(mktemp -d "$place/demo.XXXXXX")
job=$work/job
ledger=$work/ledger
run=$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')
disk_pid='' vm_pid='' tail_pid=''

cleanup()
{
	[ -z "$tail_pid" ] || kill "$tail_pid" 2>/dev/null || true
	[ -z "$vm_pid" ] || kill "$vm_pid" 2>/dev/null || true
	[ -z "$disk_pid" ] || kill -KILL "$disk_pid" 2>/dev/null || true
	wait 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

heading()
{
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

prepare()
{
	local root

	step "looking for what is needed: packages, root filesystem, kernel"
	need nbdkit
	root=$("$TOP/scripts/kernel/root.sh" "$(suite_of "$KERNEL")")
	mkdir "$job"
	step "building the module for kernel $KERNEL"
	"$TOP/scripts/kernel/build.sh" "$KERNEL" "$TOP" "$job"
	step "compiling the writer and the checker"
	in_root "$root" "$here:/mnt" "$job:/job" -- bash -euc '
		for program in writer checker; do
			gcc -O2 -Wall -o "/job/$program" "/mnt/$program.c" /mnt/stamp.c
		done'
	cp "$here/demo-guest.sh" "$job/"
	truncate -s 1G "$work/disk"
	: >"$ledger"
}

# boot PHASE: starts the machine, and shows what it says.
boot()
{
	local out=$work/$1 word port=()

	mkdir "$out"
	rm -f "$work/qemu.pid"
	printf '#!/bin/sh\nexec ./demo-guest.sh %s %s\n' "$1" "$run" >"$job/run"
	chmod +x "$job/run" "$job/demo-guest.sh"
	for word in -device virtio-serial-pci \
			-chardev "file,id=ledger,path=$ledger,append=on" \
			-device virtserialport,chardev=ledger,name=ledger; do
		port+=(--qemu "$word")
	done
	"$TOP/scripts/vm/run.sh" --kernel "$KERNEL" --job "$job" --out "$out" \
		--timeout "$BOOT_TIMEOUT" --pidfile "$work/qemu.pid" "${port[@]}" \
		--drive "volatile,file=nbd:unix:$work/socket,format=raw" >"$out/run.log" 2>&1 &
	vm_pid=$!
	until [ -s "$work/qemu.pid" ]; do
		kill -0 "$vm_pid" 2>/dev/null || lost_machine "$1"
		nap 0.1
	done
	tail -n +1 -s 0.2 -f "$out/output" > >(present) 2>/dev/null &
	tail_pid=$!
}

# The guest's words, with its "@step" lines as progress lines.
present()
{
	local line

	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		"@step "*)	echo; step "${line#@step }" ;;
		@* | vm-verdict*) ;;
		*)		printf '%s\n' "$line" ;;
		esac
	done
}

said()
{
	grep -q "^@$1" "$work/$2/output" 2>/dev/null
}

# acknowledged POLICY
acknowledged()
{
	grep -c "^$1 [0-9]*\$" "$ledger" || true
}

lost_machine()
{
	cat "$work/$1/run.log" >&2
	die "the test machine had an accident in its part '$1', this is no result"
}

write_until_cut()
{
	local policy fewest line n end

	until said writing write; do
		kill -0 "$vm_pid" 2>/dev/null || lost_machine write
		nap 0.2
	done
	end=$((SECONDS + LONGEST))
	fewest=0
	while [ "$fewest" -lt $((SETTLED + WANTED)) ] && [ $SECONDS -lt $end ]; do
		sleep 2
		kill -0 "$vm_pid" 2>/dev/null || lost_machine write
		fewest=999999 line=''
		for policy in $DURABLE unsafe; do
			n=$(acknowledged "$policy")
			[ "$n" -ge "$fewest" ] || fewest=$n
			line+="  $policy $n"
		done
		step "acknowledged:$line"
	done
	# The moment must not be one that the writers could be in step with.
	sleep "$((RANDOM % 2)).$((RANDOM % 900 + 100))"
}

cut_power()
{
	# The disk first: after this moment nothing more becomes durable.
	kill -STOP "$disk_pid"
	kill -KILL "$(<"$work/qemu.pid")"
	kill -KILL "$disk_pid"
	wait "$vm_pid" 2>/dev/null || true
	wait "$disk_pid" 2>/dev/null || true
	kill "$tail_pid"
	vm_pid='' disk_pid='' tail_pid=''
}

table()
{
	local policy acked found state verdict colour bad=0

	printf '\n%s%-14s %13s %8s %7s   %s%s\n' "$bold" policy acknowledged found lost verdict "$plain"
	for policy in $DURABLE unsafe; do
		acked=$(acknowledged "$policy")
		read -r found state < <(sed -n "s/^@found $policy \([0-9]* [a-z]*\).*/\1/p" "$work/check/output") ||
			die "the check said nothing about '$policy'"
		verdict="nothing lost" colour=$green
		if [ "$acked" -le "$SETTLED" ]; then
			verdict="wrote nothing before the cut: no proof" colour=$red bad=1
		elif [ "$policy" = unsafe ]; then
			verdict="lost what the host had not yet written, as expected"
			if [ "$found" = "$acked" ]; then
				verdict="lost nothing: this cut can't have been one" colour=$red bad=1
			fi
		elif [ "$found" != "$acked" ]; then
			verdict="LOST RECORDS" colour=$red bad=1
		elif [ "$state" != clean ]; then
			verdict="nothing lost, but the filesystem is $state" colour=$red bad=1
		fi
		printf '%-14s %13d %8d %7d   %s%s%s\n' "$policy" "$acked" "$found" \
			$((acked - found)) "$colour" "$verdict" "$plain"
	done
	echo
	if [ $bad = 0 ]; then
		echo "The five durable policies kept every record that was acknowledged."
		echo "'unsafe' acknowledges without a sync, and lost $((acked - found)) of $acked: that the"
		echo "others lost nothing is no accident of this test."
	else
		printf '%s%s%s\n' "$red" "The demonstration has failed." "$plain"
	fi
	return $bad
}

heading "vinteg: what is acknowledged stays, even when the power goes"
cat <<EOF
A test machine gets a disk with a volatile cache, as real disks have one, and on it
six vinteg devices, one per cache policy. Programs write to them and note outside of
the machine what was acknowledged to be durable. Then the power is cut.

EOF
prepare
heading "First boot: kernel $KERNEL"
start_disk "$work/disk" "$work/socket"
step "booting"
boot write
write_until_cut
heading "Power cut!"
echo "The machine and its disk's cache are killed (SIGKILL)."
cut_power
cp "$ledger" "$job/ledger"
heading "Second boot, on the same disk"
start_disk "$work/disk" "$work/socket"
step "booting"
boot check
status=0
wait "$vm_pid" || status=$?
vm_pid=''
# What the guest said last may still be on its way to the terminal.
nap 0.5
[ $status = 0 ] || lost_machine check
table
