#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh: boots a disposable virtual machine with a stock kernel and runs a job in it.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/accident.sh"
. "$(dirname "$0")/verdict.sh"

usage()
{
	cat >&2 <<-END
		usage: run.sh --kernel K --job DIR --out DIR [option]...
		  --kernel K        6.1, 6.12 or 7.3; 7.3-kcsan or 7.3-kasan, which look for bugs
		  --job DIR         seen in the guest as /job; DIR/run is run there as root;
		                    DIR/vinteg.ko, if there, is installed for modprobe
		  --out DIR         gets output (of run), console (the kernel's), verdict, and
		                    accidents: a line for each machine that the emulator killed
		  --timeout S       the machine is lost after S seconds (600)
		  --mem M           memory in MiB (2048)
		  --smp N           processors (2)
		  --scratch SIZE    of the empty disk /dev/disk/by-id/virtio-scratch (4G)
		  --drive NAME,ARGS one more disk: /dev/disk/by-id/virtio-NAME; ARGS as for
		                    qemu -drive, e.g. file=x.img,format=raw,cache=none
		  --append ARGS     for the kernel's command line
		  --qemu ARG        for qemu itself; once for each word
		  --icount          virtual time: each instruction takes 1 ns, waiting none; 6.1 then
		                    has one processor
		  --pidfile FILE    gets the process id of qemu
		  --follow          show the output of run as it comes
		  --shell           a shell on this terminal in place of run
		Exit status: 0 run succeeded and the kernel had nothing to complain about;
		1 it did not; 2 no verdict: the machine died, hung or took too long; 3 it died,
		and the emulator killed it: see accident.sh.
	END
	exit 2
}

kernel='' job='' out='' timeout=600 mem=2048 smp=2 scratch=4G append='' pidfile=''
follow='' shell='' icount=''
qemu=()
while [ $# -gt 0 ]; do
	case $1 in
	--follow)	follow=1; shift; continue ;;
	--shell)	shell=1; shift; continue ;;
	--icount)	icount=1; shift; continue ;;
	esac
	[ $# -ge 2 ] || usage
	case $1 in
	--kernel)	kernel=$2 ;;
	--job)		job=$2 ;;
	--out)		out=$2 ;;
	--timeout)	timeout=$2 ;;
	--mem)		mem=$2 ;;
	--smp)		smp=$2 ;;
	--scratch)	scratch=$2 ;;
	--append)	append="$append $2" ;;
	--pidfile)	pidfile=$2 ;;
	--qemu)		qemu+=("$2") ;;
	--drive)	qemu+=(-drive "if=none,id=${2%%,*},${2#*,}"
				-device "virtio-blk-pci,drive=${2%%,*},serial=${2%%,*}") ;;
	*)		usage ;;
	esac
	shift 2
done
if [ -z "$kernel" ] || [ ! -d "$job" ] || [ -z "$out" ]; then
	usage
fi
[ -n "$shell" ] || [ -x "$job/run" ] || die "$job/run is missing or not executable"

here=$TOP/scripts/vm
need qemu-system-x86 e2fsprogs cpio
case $kernel in
*-*)	image=$("$here/debug-image.sh" "$kernel") ;;
*)	image=$("$here/image.sh" "$kernel") ;;
esac
mkdir -p "$out"
rm -f "$out"/{output,console,verdict,accidents} "$out"/console.*
token=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')

tmp=$(mktemp -d "$CACHE/vm.XXXXXX")
pid=
# shellcheck disable=SC2317 # called by the trap
cleanup()
{
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 2' INT TERM HUP

# The job's disk, with half as much room again for what the job writes beside it.
size=$(du -s --apparent-size -BM "$job" | cut -d M -f 1)
mke2fs -q -t ext4 -O ^has_journal -m 0 -E nodiscard,root_owner=0:0 -d "$job" \
	"$tmp/job.img" $((size + size / 2 + 32))M >/dev/null
truncate -s "$scratch" "$tmp/scratch.img"
{
	cat "$image/initrd-$kernel"
	cd "$here" && echo guest-init.sh | cpio --quiet -o -H newc
} >"$tmp/initrd"

cmdline="console=ttyS0 quiet mitigations=off panic=-1 oops=panic nokaslr"
cmdline="$cmdline random.trust_cpu=on log_buf_len=4M 8250.nr_uarts=2"
# The emulator translates code anew for each address that it is mapped at, which is most of
# what it does while a shell starts programs.
cmdline="$cmdline norandmaps"
# The kernel's checks of its clocks fail if this machine is busy at that moment. Where one
# takes a clock away, it patches code under load: see accident.sh.
cmdline="$cmdline no_timer_check tsc=reliable"
cmdline="$cmdline vm.token=$token$append"
# Emulated, 5-level paging costs time, and string instructions go byte by byte. After a
# cmpxchg16b, which each allocation of memory has, EFLAGS may be what is left of an addition;
# an interrupt in the next instruction then returns to anything (QEMU 7.2).
machine=(-accel "tcg,thread=multi" -cpu "max,la57=off,erms=off,fsrm=off,cx16=off")
if [ -n "$icount" ]; then
	# Both processors in one thread, as only then there is an order of instructions.
	machine[1]="tcg,thread=single"
	# Of which 6.1 never lets the second one begin.
	[ "$kernel" != 6.1 ] || smp=1
	machine+=(-icount "shift=0,sleep=off")
elif "$here/kvm.sh" "$image"; then
	machine=(-accel kvm -cpu host)
fi
machine+=(-machine pc -nodefaults -display none -no-reboot -m "$mem" -smp "$smp"
	-kernel "$image/vmlinuz-$kernel" -initrd "$tmp/initrd")
for disk in "root,snapshot=on,file.locking=off,file=$image/root.img" "job,file=$tmp/job.img" \
		"scratch,discard=unmap,file=$tmp/scratch.img"; do
	machine+=(-drive "if=none,id=${disk%%,*},format=raw,cache=unsafe,${disk#*,}"
		-device "virtio-blk-pci,drive=${disk%%,*},serial=${disk%%,*}")
done
if [ -n "$shell" ]; then
	machine+=(-chardev "stdio,id=con,mux=on,signal=off,logfile=$out/console"
		-serial chardev:con -mon con)
	read -r rows cols < <(stty size 2>/dev/null || echo 24 80)
	cmdline="$cmdline vm.shell=1 vm.rows=$rows vm.cols=$cols"
else
	machine+=(-serial "file:$out/console")
fi
machine+=(-serial "file:$out/output" "${qemu[@]}")

# Temporary files of qemu itself: the snapshot of the root disk.
export TMPDIR=$tmp
if [ -n "$shell" ]; then
	qemu-system-x86_64 "${machine[@]}" -append "$cmdline"
	exit 0
fi

# A machine boots in 5 to 11 s; one that hasn't in so many hangs, however busy this one is.
BOOT_SECONDS=300

# boot: starts the machine and waits for its end; sets lost to what is to be said if it
# has left no verdict.
boot()
{
	local start=$SECONDS patient=1 looked=$SECONDS panicked=

	: >"$out/output"
	: >"$out/console"
	# Whatever ends this script, the machine doesn't outlive it.
	setpriv --pdeathsig KILL qemu-system-x86_64 "${machine[@]}" -append "$cmdline" \
		</dev/null >"$out/qemu" 2>&1 &
	pid=$!
	[ -z "$pidfile" ] || echo $pid >"$pidfile"
	if [ -n "$follow" ]; then
		tail -n +1 -f --pid=$pid "$out/output" |
			grep --line-buffered -v "^vm-verdict $token" &
	fi
	lost="the machine died"
	while kill -0 $pid 2>/dev/null; do
		nap 0.2
		if [ $((SECONDS - start)) -gt "$timeout" ]; then
			lost="no end after $timeout seconds"
			kill -KILL $pid
			break
		fi
		# A machine that panics ends, unless that hangs as well.
		if [ $((SECONDS - looked)) -ge 30 ]; then
			looked=$SECONDS
			if [ -n "$panicked" ]; then
				kill -KILL $pid
				break
			fi
			! grep -q 'Kernel panic - ' "$out/console" || panicked=1
		fi
		if [ -n "$patient" ] && [ $((SECONDS - start)) -gt $BOOT_SECONDS ]; then
			patient=
			job_begun "$out/console" || {
				lost="no job after $BOOT_SECONDS seconds"
				kill -KILL $pid
				break
			}
		fi
	done
	wait $pid 2>/dev/null || true
	pid=
}

boot
# Nothing of ours has run before the job, so nothing is hidden if it boots again.
for try in 1 2; do
	if job_begun "$out/console" || ! what=$(accident "$out/console" "$lost"); then
		break
	fi
	step "kernel $kernel: did not boot ($what): booting again"
	echo "$what" >>"$out/accidents"
	mv "$out/console" "$out/console.$try"
	boot
done

rc=0
judge "$out" "$token" "kernel $kernel" "$lost" || rc=$?
if [ $rc = 2 ] && what=$(accident "$out/console" "$lost"); then
	step "kernel $kernel: the emulator's accident: $what"
	echo "$what" >>"$out/accidents"
	rc=3
fi
# Silent unless something was wrong with its arguments.
cat "$out/qemu" >&2
exit $rc
