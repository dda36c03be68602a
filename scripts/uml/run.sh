#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh: runs a job, a script or a shell in a disposable User-Mode Linux 7.3. Takes
# seconds where a virtual machine takes a minute.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../vm/accident.sh"
. "$(dirname "$0")/../vm/verdict.sh"

usage()
{
	cat >&2 <<-END
		usage: run.sh --job DIR --out DIR [option]...
		       run.sh --script FILE [option]...
		       run.sh --shell [option]...
		  --job DIR         a copy is seen in the guest as /job; DIR/run is run there as
		                    root; DIR/vinteg.ko, if there, is installed for modprobe
		  --out DIR         gets output (of run), console (the kernel's) and verdict
		  --script FILE     builds the module, runs FILE with it in /job, and shows
		                    the output as it comes
		  --shell           builds the module, and gives a shell on this terminal
		  --src SRC         take the module from this checkout
		  --flavour F       fast, or debug: KASAN, lockdep, fault injection (fast)
		  --timeout S       the machine is lost after S seconds (300)
		  --mem SIZE        memory, in MiB or with a suffix (2G)
		  --ncpus N         processors (2)
		  --scratch SIZE    of the empty disk /dev/disk/by-id/virtio-scratch (4G)
		  --drive NAME,FILE one more disk: /dev/disk/by-id/virtio-NAME
		  --append ARGS     for the kernel's command line
		  --follow          show the output of run as it comes
		Exit status: 0 run succeeded and the kernel had nothing to complain about;
		1 it did not; 2 no verdict: the machine died, hung or took too long.
	END
	exit 2
}

job='' out='' script='' shell='' src=$TOP flavour=fast timeout=300 mem=2G ncpus=2 scratch=4G
append='' follow=''
drives=()
while [ $# -gt 0 ]; do
	case $1 in
	--follow)	follow=1; shift; continue ;;
	--shell)	shell=1; shift; continue ;;
	esac
	[ $# -ge 2 ] || usage
	case $1 in
	--job)		job=$2 ;;
	--out)		out=$2 ;;
	--script)	script=$2 follow=1 ;;
	--src)		src=$2 ;;
	--flavour)	flavour=$2 ;;
	--timeout)	timeout=$2 ;;
	--mem)		mem=$2 ;;
	--ncpus | --smp) ncpus=$2 ;;
	--scratch)	scratch=$2 ;;
	--drive)	drives+=("$2") ;;
	--append)	append="$append $2" ;;
	*)		usage ;;
	esac
	shift 2
done
[ -n "$script$shell" ] || { [ -d "$job" ] && [ -n "$out" ]; } || usage
case $mem in
*[0-9])	mem=${mem}M ;;
esac

here=$TOP/scripts/uml
uml=$("$TOP/scripts/kernel/uml.sh" "$flavour")
# The disk that the machines with the kernels of the same release have.
image=$("$TOP/scripts/vm/image.sh" 6.12)/root.img
token=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')

tmp=$(mktemp -d "$CACHE/uml-run.XXXXXX")
pid=
cleanup()
{
	# The guest's processes are processes of this machine, in a group of their own.
	[ -z "$pid" ] || kill -KILL -- "-$pid" 2>/dev/null || true
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 2' INT TERM HUP

# The guest sees nothing of this machine but this folder, and only reads it.
shared=$tmp/shared
mkdir -p "$shared/usr/lib" "$shared/etc/udev/rules.d"
if [ -n "$job" ]; then
	cp -a "$job" "$shared/job"
else
	"$here/module.sh" "$flavour" "$src" "$shared/job"
	installed "$shared/job/installed"
fi
[ -z "$script" ] || install -m 755 "$script" "$shared/job/run"
[ -n "$shell" ] || [ -x "$shared/job/run" ] || die "$job/run is missing or not executable"
cp -a "$uml/modules" "$shared/usr/lib/modules"
cp "$here/init.sh" "$TOP/scripts/vm/guest-init.sh" "$shared/"
truncate -s "$scratch" "$tmp/scratch.img"
disks=() letters=bcdefgh
for drive in "scratch,$tmp/scratch.img" "${drives[@]}"; do
	letter=${letters:${#disks[@]}:1}
	disks+=("ubd$((${#disks[@]} + 1))=${drive#*,}")
	echo "KERNEL==\"ubd$letter\", SYMLINK+=\"disk/by-id/virtio-${drive%%,*}\""
done >"$shared/etc/udev/rules.d/70-disks.rules"
out=${out:-$tmp/out}
mkdir -p "$out"
rm -f "$out"/{output,console,verdict}

# boot ARG...: becomes the guest.
boot()
{
	ulimit -c 0
	exec setsid "$uml/linux" mem="$mem" ncpus="$ncpus" seccomp=auto noreboot \
		uml_dir="$tmp/" umid=guest hostfs="$shared" \
		ubd0r="$image" "${disks[@]}" root=/dev/ubda ro con=null ssl=null \
		oops=panic log_buf_len=4M "vm.token=$token" "$@" \
		init=/bin/sh -- -c '"mount -t hostfs none /mnt && exec /bin/bash /mnt/init.sh"'
}

if [ -n "$shell" ]; then
	saved=$(stty -g)
	read -r rows cols < <(stty size)
	(boot con0=null ssl0=fd:0,fd:1 quiet vm.shell=1 "vm.rows=$rows" "vm.cols=$cols") || true
	stty "$saved"
	exit 0
fi

# Through pipes: User-Mode Linux can't wait for a regular file. The output is not
# shown by the name /dev/stdout: a file would be opened anew, and truncated.
exec {show}>/dev/null
[ -z "$follow" ] || exec {show}>&1
writers=()
exec 3> >(tee "$out/output" | grep --line-buffered -v "^vm-verdict $token" >&"$show")
writers+=($!)
exec 4> >(cat >"$out/console")
writers+=($!)
start=$SECONDS
# shellcheck disable=SC2086 # more than one argument
boot con0=null,fd:1 ssl1=null,fd:3 $append </dev/null >&4 2>&1 &
pid=$!
exec 3>&- 4>&-

lost="the machine died"
while kill -0 $pid 2>/dev/null; do
	nap 0.1
	if [ $((SECONDS - start)) -gt "$timeout" ]; then
		lost="no end after $timeout seconds"
		break
	fi
done
kill -KILL -- -$pid 2>/dev/null || true
wait $pid 2>/dev/null || true
pid=
wait "${writers[@]}" || true

judge "$out" "$token" "User-Mode Linux ($flavour)" "$lost"
