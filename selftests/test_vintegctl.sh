#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tool. It is not a part of the kernel: where it isn't installed, this is skipped.

. "$(dirname "$0")/lib.sh"

if ! command -v vintegctl >/dev/null; then
	skip_all "vintegctl is not installed"
fi
start blkio dmsetup mkfs.ext4 filefrag setpriv mkfifo
without_udev
. "$HERE/below.sh"

HEADINGS="NAME         SIZE POLICY       RO BLOCK ERROR FILE"

# ctl STATUS PATTERN ARGUMENT...: vintegctl must end with this status, and what it says
# match the extended regular expression as a whole, with "~" for the end of a line. What
# is wrong it says on standard error, all else on standard output.
ctl()
{
	local status=$1 pattern=$2 rc=0
	shift 2

	vintegctl "$@" >"$SCRATCH/out" 2>"$SCRATCH/err" || rc=$?
	echo "vintegctl $*: exit status $rc, expected $status; it says:"
	cat "$SCRATCH/out" "$SCRATCH/err"
	[ $rc = "$status" ]
	if [ $rc = 0 ]; then
		[ ! -s "$SCRATCH/err" ]
		[[ $(tr '\n' '~' <"$SCRATCH/out") =~ ^($pattern)$ ]]
	else
		[ ! -s "$SCRATCH/out" ]
		[[ $(tr '\n' '~' <"$SCRATCH/err") =~ ^(vintegctl: $pattern~)$ ]]
	fi
}

# anew [NUMBER]: so many empty devices (1).
anew()
{
	[ ! -e /sys/module/vinteg ] || unload
	load "num_devices=${1:-1}"
}

devices()
{
	local dir

	for dir in /sys/block/vinteg*; do
		[ ! -e "$dir" ] || echo "${dir##*/}=$(cat "$dir/backing_file") $(cat "$dir/cache_policy")"
	done
}

# catches: a list that leaves one wondering if it has worked.
empty_list()
{
	[ ! -e /sys/module/vinteg ] || unload
	ctl 0 "$HEADINGS~"
	ctl 0 "" list --noheadings
	load num_devices=2
	ctl 0 "$HEADINGS~" list
	ctl 0 "" -n
	ctl 0 "$HEADINGS~vinteg0 +0 none +0 +512 +- ~vinteg1 +0 .*" --all
	ctl 0 "vinteg0 0 none 0 512 - -~vinteg1 0 none 0 512 - -~" list -a --raw -n
}

# catches: a reason that is hidden.
modprobe_says_why()
{
	[ ! -e /sys/module/vinteg ] || unload
	mkdir -p "$SCRATCH/modprobe.d"
	echo "options vinteg nr_hw_queues=99999" >"$SCRATCH/modprobe.d/vinteg.conf"
	export MODPROBE_OPTIONS="-C $SCRATCH/modprobe.d"
	ctl 1 "the module can't be loaded: could not insert 'vinteg': Invalid argument .*" \
		attach "$FS/a.img"
	export MODPROBE_OPTIONS="-d $SCRATCH"
	ctl 1 "the module can't be loaded: Module vinteg not found in directory .*" \
		attach "$FS/a.img"
	unset MODPROBE_OPTIONS
	[ ! -e /sys/module/vinteg ]
}

# catches: a module that is loaded with devices that nobody asked for.
attach_loads()
{
	ctl 0 "/dev/vinteg0~" attach "$FS/a.img"
	[ "$(devices)" = "vinteg0=$FS/a.img [none] directsync writethrough writeback guest unsafe" ]
	[ "$(attr size) $(attr ro)" = "16384 0" ]
	ctl 0 "/dev/vinteg1~" attach "$FS/b.img"
	ctl 0 "$HEADINGS~vinteg0 +8.0M none +0 +512 +- $FS/a.img~vinteg1 +4.0M .*/b.img~"
	ctl 0 "" detach vinteg0
	# The empty one is used again.
	ctl 0 "/dev/vinteg0~" attach "$FS/a.img"
}

# catches: an option that is ignored.
attach_options()
{
	anew
	ctl 0 "/dev/vinteg0~" attach -p writeback -b 4096 --read-only "$FS/a.img"
	[ "$(policy) $(attr ro) $(attr queue/logical_block_size)" = "writeback 1 4096" ]
	ctl 0 "" detach vinteg0
	[ "$(policy) $(attr read_only) $(attr logical_block_size)" = "none 0 0" ]
	cd "$FS"
	truncate -s 1M ./-x
	ctl 0 "/dev/vinteg0~" attach --policy=unsafe --block-size=512 -- -x
	[ "$(policy) $(attr backing_file)" = "unsafe $FS/-x" ]
}

# catches: a device that somebody has prepared, taken and reset without a word.
prepared_is_left_alone()
{
	anew 3
	set_attr cache_policy writeback
	set_attr read_only 1 vinteg1
	ctl 0 "/dev/vinteg2~" attach "$FS/a.img"
	ctl 0 "/dev/vinteg3~" attach "$FS/b.img"
	[ "$(policy) $(attr read_only vinteg1)" = "writeback 1" ]
	# Unless it is asked for by its name.
	ctl 1 "vinteg2 has a file already: $FS/a.img" attach -d vinteg2 "$FS/c.img"
	ctl 0 "" detach vinteg2
	ctl 1 "$FS/missing: no such file" attach --device /dev/vinteg0 "$FS/missing"
	ctl 1 "$FS/small: .*smaller than a block.*" attach -d vinteg0 -p guest -r "$FS/small"
	[ "$(policy) $(attr read_only) $(attr backing_file)" = "writeback 0 " ]
	ctl 0 "/dev/vinteg0~" attach -d vinteg0 "$FS/a.img"
	[ "$(policy) $(attr backing_file)" = "writeback $FS/a.img" ]
	ctl 0 "/dev/vinteg1~" attach --device=/dev/vinteg1 -p none "$FS/c.img"
	[ "$(policy vinteg1) $(attr ro vinteg1)" = "none 1" ]
	ctl 1 "vinteg7x is neither .*" attach -d vinteg7x "$FS/small"
	ctl 1 "there is no vinteg7" attach -d vinteg7 "$FS/small"
}

# refuses_file REASON FILE [OPTION...]
refuses_file()
{
	local before

	before=$(devices)
	ctl 1 "$1" attach "${@:2}"
	[ "$(devices)" = "$before" ]
}

# catches: a device that stays behind; a reason that is none.
attach_refuses()
{
	anew 0
	refuses_file "$FS/missing: no such file" "$FS/missing"
	refuses_file "$FS: it is a directory .*" "$FS"
	refuses_file "$FS/fifo: neither a regular file nor a block device .*" "$FS/fifo"
	refuses_file "$FS/small: the file is smaller than a block, .*" "$FS/small"
	refuses_file "there is no cache policy fast" "$FS/a.img" -p fast
	refuses_file "blocks can have 512, 1024, 2048 or 4096 bytes, not 513" "$FS/a.img" -b 513
	refuses_file "$SCRATCH/ramfs/img: this cache policy needs direct I/O, .*" \
		"$SCRATCH/ramfs/img" -p directsync
	refuses_file "$SCRATCH/ro/img: it can't be written to: try --read-only .*" \
		"$SCRATCH/ro/img"
	ctl 0 "/dev/vinteg0~" attach "$FS/a.img"
	refuses_file "$FS/a.img: it is in use .*" "$FS/a.img"
	ctl 0 "/dev/vinteg1~" attach -r "$SCRATCH/ro/img"
}

# catches: what a typing error does besides.
misuse()
{
	local before

	anew
	ctl 0 "/dev/vinteg0~" attach "$FS/a.img"
	before=$(devices)
	ctl 2 "there is no command atach .*" atach "$FS/b.img"
	ctl 2 "attach wants a file .*" attach
	ctl 2 "attach takes one file .*" attach "$FS/b.img" "$FS/c.img"
	ctl 2 "attach knows no option --quick .*" attach --quick "$FS/b.img"
	ctl 2 "-p wants a cache policy .*" attach "$FS/b.img" -p
	ctl 2 "--block-size wants a number of bytes .*" attach "$FS/b.img" --block-size
	ctl 2 "-d wants a device .*" attach "$FS/b.img" -d
	ctl 2 "detach wants a device .*" detach
	ctl 2 "detach wants a device .*" detach vinteg0 vinteg1
	ctl 2 "policy wants a device, .*" policy
	ctl 2 "resize wants a device .*" resize
	ctl 2 "stats wants a device .*" stats
	ctl 2 "clear wants a device .*" clear
	ctl 2 "list knows no option --quick .*" list --quick
	ctl 2 "there is no column COLOUR, .*" list -o NAME,COLOUR
	ctl 2 "-o wants columns .*" -o
	ctl 1 "/dev/null is neither a vinteg device .*" detach /dev/null
	ctl 1 "$FS/b.img is neither a vinteg device .*" detach "$FS/b.img"
	ctl 1 "there is no vinteg9" policy vinteg9 none
	[ "$(devices)" = "$before" ]
}

help_and_version()
{
	local option

	for option in help -h --help "list --help" "detach -h"; do
		# shellcheck disable=SC2086 # words
		ctl 0 "usage: vintegctl .*" $option
	done
	ctl 0 "vintegctl from vinteg [0-9.]+~" --version
	ctl 0 "vintegctl from vinteg [0-9.]+~" -V
}

# catches: a device named in a way that isn't understood.
detach_by_any_name()
{
	local name

	anew 0
	for name in vinteg0 /dev/vinteg0 "$FS/with a blank" "$FS/link"; do
		ctl 0 "/dev/vinteg0~" attach "$FS/with a blank"
		ctl 0 "" detach "$name"
		[ "$(attr backing_file)" = "" ]
	done
	ctl 1 "vinteg0 has no file: attach one first" detach vinteg0
	ctl 0 "/dev/vinteg0~" attach /dev/vtother
	ctl 0 "" detach /dev/vtother
	[ "$(attr backing_file)" = "" ]
}

# catches: "device or resource busy", which says little.
detach_refuses()
{
	anew
	ctl 0 "/dev/vinteg0~" attach "$FS/a.img"
	exec 8<$DEV
	ctl 1 "vinteg0: it is in use" detach vinteg0
	exec 8<&-
	[ "$(attr backing_file)" = "$FS/a.img" ]
	ctl 0 "" detach vinteg0
}

policy_is_switched()
{
	local p

	anew
	ctl 0 "none~" policy vinteg0
	ctl 0 "/dev/vinteg0~" attach "$FS/a.img"
	for p in $POLICIES; do
		ctl 0 "" policy vinteg0 "$p"
		[ "$(policy)" = "$p" ]
		ctl 0 "$p~" policy $DEV
	done
	ctl 1 "there is no cache policy fast, but: $POLICIES" policy vinteg0 fast
	[ "$(policy)" = unsafe ]
	ctl 0 "" detach vinteg0
	ctl 0 "/dev/vinteg0~" attach "$SCRATCH/ramfs/img"
	ctl 1 "vinteg0 stays with writethrough: this cache policy needs direct I/O.*" \
		policy vinteg0 none
}

size_is_taken_over()
{
	anew
	ctl 1 "vinteg0 has no file: attach one first" resize vinteg0
	ctl 0 "/dev/vinteg0~" attach "$FS/b.img"
	truncate -s 6M "$FS/b.img"
	[ "$(attr size)" = 8192 ]
	ctl 0 "" resize "$FS/b.img"
	[ "$(attr size)" = 12288 ]
	truncate -s 4M "$FS/b.img"
	ctl 0 "" resize vinteg0
	[ "$(attr size)" = 8192 ]
}

# catches: a counter that it doesn't know.
stats_are_shown()
{
	anew
	ctl 0 "/dev/vinteg0~" attach "$FS/a.img"
	blkio write $DEV 0 4k count=3 fua
	blkio flush $DEV
	vintegctl stats vinteg0 >"$SCRATCH/stats"
	cat "$SCRATCH/stats"
	(cd $SYS/stats && grep . ./* | sed 's/^\.\/\(.*\):/\1 /' | sort) >"$SCRATCH/expected"
	[ "$(tr -s ' ' <"$SCRATCH/stats" | sort)" = "$(cat "$SCRATCH/expected")" ]
	grep -qx "fua_writes  *3" "$SCRATCH/stats"
}

# catches: columns that move, an order in which 10 comes before 2.
list_is_for_programs()
{
	local i

	anew 11
	for i in 10 2 0; do
		truncate -s 1M "$FS/$i.img"
		set_attr cache_policy directsync vinteg$i
		set_attr backing_file "$FS/$i.img" vinteg$i
	done
	ctl 0 "vinteg0~vinteg2~vinteg10~" -n -o NAME
	ctl 0 "FILE POLICY SIZE~$FS/2.img directsync 1048576~" list --raw -b \
		--output=FILE,policy,size vinteg2
	ctl 0 " *SIZE~ *1.0M~ *1.0M~" list --output SIZE "$FS/2.img" /dev/vinteg10
	ctl 0 "vinteg1 0 512 -~" list -n -r -o NAME,RO,BLOCK,FILE vinteg1
	ctl 1 "there is no vinteg11" list vinteg11
	ctl 0 "/dev/vinteg1~" attach "$FS/with a blank"
	ctl 0 "$FS/with.040a.040blank~" list -n -o FILE vinteg1
}

# catches: an error that only those see who know where to look, and that it can't clear.
error_is_cleared()
{
	anew
	ctl 0 "/dev/vinteg0~" attach "$FS/full.img"
	ctl 0 "-~" list -r -n -o ERROR vinteg0
	blkio write $DEV 1M 4k
	below_no_sync "$FS/full.img"
	fails blkio flush $DEV
	below_good
	ctl 0 "EIO~" list -r -n -o ERROR vinteg0
	ctl 1 "vinteg0 stays with none: data could not be made durable: .*" policy vinteg0 guest
	ctl 0 "" clear vinteg0
	ctl 0 "-~" list -r -n -o ERROR vinteg0
	blkio flush $DEV
	ctl 0 "" policy vinteg0 guest
	ctl 0 "" clear vinteg0
	ctl 0 "" detach vinteg0
	ctl 1 "vinteg0 has no file: attach one first" clear vinteg0
}

# catches: a loss that nobody is told of.
lossy_detach_says_so()
{
	below_good
	anew
	ctl 0 "/dev/vinteg0~" attach "$FS/full.img"
	blkio write $DEV 1M 4k
	below_no_sync "$FS/full.img"
	ctl 1 "vinteg0: the file is let go, but not all of its data could be made durable" \
		detach vinteg0
	below_good
	[ "$(attr backing_file) $(attr writeback_error)" = " 0" ]
}

# catches: two that take the same device.
two_at_once()
{
	local i jobs=()

	anew 1
	for i in a b c; do
		vintegctl attach "$FS/$i.img" >"$SCRATCH/at.$i" & jobs+=($!)
	done
	for i in "${jobs[@]}"; do
		wait "$i"
	done
	[ "$(sort "$SCRATCH"/at.* | xargs)" = "/dev/vinteg0 /dev/vinteg1 /dev/vinteg2" ]
}

# catches: an error of a shell in place of a sentence.
others_may_look_only()
{
	local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)

	anew
	ctl 0 "/dev/vinteg0~" attach "$FS/a.img"
	"${nobody[@]}" vintegctl list | grep "^vinteg0 "
	fails "${nobody[@]}" vintegctl attach "$FS/b.img" 2>"$SCRATCH/err"
	fails "${nobody[@]}" vintegctl policy vinteg0 guest 2>>"$SCRATCH/err"
	fails "${nobody[@]}" vintegctl detach vinteg0 2>>"$SCRATCH/err"
	cat "$SCRATCH/err"
	[ "$(grep -c "only root can" "$SCRATCH/err")" = 3 ]
	[ "$(policy)" = none ]
}

# unit ACTION PATH: runs what the unit of systemd would, but for systemd's own quoting.
unit()
{
	local command

	command=$(sed -n "s/^Exec$1=//p" "$UNIT")
	[ -n "$command" ]
	command=${command//%f/$2}
	bash -euc "$command"
}

# catches: a unit that knows other options than the tool has.
unit_attaches_and_detaches()
{
	anew
	export OPTIONS="--policy writeback --block-size 4096"
	[ "$(unit Start "$FS/with a blank")" = /dev/vinteg0 ]
	[ "$(policy) $(attr queue/logical_block_size)" = "writeback 4096" ]
	OPTIONS=''
	[ "$(unit Start "$FS/a.img")" = /dev/vinteg1 ]
	unit Stop "$FS/with a blank"
	unit Stop "$FS/a.img"
	ctl 0 "" -n
}

below_start fua && modprobe -q dm-flakey && below_mount ext4 && below_file full.img 4 ||
	ktap_exit_fail_msg "nothing to test on"
FS=$BELOW_FS
# As "make install" lays it out.
UNIT=$(realpath "$(command -v vintegctl)")
UNIT=${UNIT%/sbin/vintegctl}/lib/systemd/system/vinteg@.service
make_disk vtother 8 || ktap_exit_fail_msg "no disk"
mkdir "$SCRATCH/ramfs" "$SCRATCH/ro"
mount -t ramfs ramfs "$SCRATCH/ramfs" && at_exit umount "$SCRATCH/ramfs"
mount -t tmpfs tmpfs "$SCRATCH/ro" && at_exit umount "$SCRATCH/ro"
truncate -s 1M "$SCRATCH/ramfs/img" "$SCRATCH/ro/img"
mount -o remount,ro "$SCRATCH/ro"
truncate -s 8M "$FS/a.img"
truncate -s 4M "$FS/b.img"
truncate -s 2M "$FS/c.img" "$FS/with a blank"
truncate -s 100 "$FS/small"
mkfifo "$FS/fifo"
ln -s "with a blank" "$FS/link"
at_exit unload_if_loaded

check "list: headings, if there is nothing to list" empty_list
if [ "$MODULE" = vinteg ]; then
	check "attach: says why the module can't be loaded" modprobe_says_why
	check "attach: loads the module, takes an empty device, or else adds one" attach_loads
fi
check "attach: policy, block size, read-only" attach_options
check "attach: what somebody has prepared is left alone, or taken as it is" \
	prepared_is_left_alone
check "attach: refuses what can't be a disk, and leaves nothing behind" attach_refuses
check "attach: several at once" two_at_once
check "misuse has an exit status of its own, and no effect" misuse
check "--help and --version" help_and_version
check "detach: by the name of the device or of its file" detach_by_any_name
check "detach: is refused while the device is open" detach_refuses
check "policy: shows and switches" policy_is_switched
check "resize: takes over the size" size_is_taken_over
check "stats: shows all that there are" stats_are_shown
check "list: columns, bytes, for programs" list_is_for_programs
check "an error is shown, and can be cleared" error_is_cleared
check "detach: says so if data was lost" lossy_detach_says_so
check "others than root can look, and no more" others_may_look_only
check "the unit for systemd attaches and detaches" unit_attaches_and_detaches
finish
