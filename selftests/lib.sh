# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2317 # variables and functions for the tests
#
# What all the tests share. A test is a list of properties, each checked by a function:
#
#	. "$(dirname "$0")/lib.sh"
#	start COMMAND...		# that it needs
#	check "what must hold" FUNCTION [ARGUMENT...]
#	finish
#
# The functions run in a subshell with "set -e": the first command that fails fails the
# property, and what had been executed up to there is shown. "set -e" ignores "! command":
# write "fails command". With CHECK=pattern only the properties whose text matches it (an
# extended regular expression) are checked, and the two at the end.

HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=/dev/null
. "$HERE/../../../kselftest/ktap_helpers.sh"

export LC_ALL=C.UTF-8
export PATH=$HERE:$PATH:/usr/sbin:/sbin

SYS=/sys/block/vinteg0
DEV=/dev/vinteg0
CONTROL=/sys/class/vinteg-control
POLICIES="none directsync writethrough writeback guest unsafe"

# What the driver may say at the level of a warning.
WARNINGS='acknowledges syncs without|falls back to writethrough|durable writes and flushes fail'
WARNINGS+='|out-of-tree module|module verification failed'

# What the kernel says when something is wrong with it.
TROUBLE='WARNING:|BUG:|INFO: task .* blocked|possible recursive|possible circular|Oops'
TROUBLE+='|inconsistent lock state|suspicious RCU|rcu: INFO|refcount_t:|KASAN:|UBSAN:|KFENCE:'
# What it says by mistake: a pattern, or empty.
NO_TROUBLE=''

# fails COMMAND...: succeeds if the command fails.
fails()
{
	if "$@"; then
		echo "this should have failed: $*"
		return 1
	fi
}

# start COMMAND...: prepares a private tmpfs at $SCRATCH, and an empty place for vinteg.
# Bails out if one of the commands is not there.
start()
{
	local cmd

	ktap_print_header
	[ "$(id -u)" = 0 ] || ktap_exit_fail_msg "only root can run this"
	for cmd in udevadm dmesg "$@"; do
		command -v "$cmd" >/dev/null || ktap_exit_fail_msg "the command $cmd is missing"
	done
	[ ! -e /sys/module/vinteg ] || unload || ktap_exit_fail_msg "vinteg is in use already"
	# What insmod, or else modprobe, and modinfo take.
	MODULE=vinteg
	if ! modprobe -n -q vinteg; then
		[ -e "${VINTEG_KO:-}" ] ||
			ktap_exit_fail_msg "modprobe knows no vinteg, and VINTEG_KO is no module"
		MODULE=$VINTEG_KO
	fi
	SCRATCH=$(mktemp -d)
	mount -t tmpfs -o mode=755 vinteg-test "$SCRATCH" ||
		ktap_exit_fail_msg "no place for scratch files"
	CLEANUP=()
	trap clean_up EXIT
	# Marks in the log must not be dropped.
	echo on >/proc/sys/kernel/printk_devkmsg 2>/dev/null || true
	log_mark test
}

# skip_all REASON: this machine can't run the test.
skip_all()
{
	[ -n "${SCRATCH:-}" ] || ktap_print_header
	ktap_skip_all "$1"
	FINISHED=y
	exit "$KSFT_SKIP"
}

# must COMMAND...: a preparation without which nothing makes sense.
must()
{
	"$@" || ktap_exit_fail_msg "could not prepare: $*"
}

# at_exit COMMAND...: to be run at the end in any case; the last one first.
at_exit()
{
	CLEANUP=("$(printf '%q ' "$@")" "${CLEANUP[@]}")
}

clean_up()
{
	local rc=$? command

	trap - EXIT
	[ "$rc" = 0 ] || [ -n "${FINISHED:-}" ] || echo "Bail out! stopped early (exit status $rc)"
	for command in "${CLEANUP[@]}"; do
		eval "$command"
	done
	[ ! -e /sys/module/vinteg ] || unload || rc=1
	umount -R "$SCRATCH" && rmdir "$SCRATCH" || rc=1
	exit "$rc"
}

# selected TEXT: is this property to be checked?
selected()
{
	[[ $1 =~ ${CHECK:-} ]]
}

# check TEXT FUNCTION [ARGUMENT...]: one property, one line.
check()
{
	local text=$1 rc fd
	shift

	selected "$text" || return 0
	exec {fd}>"$SCRATCH/executed"
	(
		BASH_XTRACEFD=$fd
		PS4='+ '
		set -ex
		"$@"
	) >"$SCRATCH/said" 2>&1
	rc=$?
	exec {fd}>&-
	if [ $rc = 0 ]; then
		ktap_test_pass "$text"
	else
		sed 's/^/#   /' "$SCRATCH/said"
		tail -n 12 "$SCRATCH/executed" | cut -c 1-200 | sed 's/^/#   /'
		ktap_test_fail "$text"
	fi
}

# finish: two properties that every test has, and the totals.
finish()
{
	[ "$KTAP_TESTNO" != 1 ] || ktap_exit_fail_msg "no property matches '${CHECK:-}'"
	CHECK=''
	check "the module can be removed at the end" unload_if_loaded
	check "the kernel log has no trouble and no unexpected warning" log_is_clean
	KSFT_NUM_TESTS=$((KTAP_TESTNO - 1))
	ktap_set_plan $KSFT_NUM_TESTS
	FINISHED=y
	ktap_finished
}

# catches: a device, a reference or a mount that a test, or the driver, left behind.
unload_if_loaded()
{
	[ ! -e /sys/module/vinteg ] || unload
}

# catches: a lockdep report, a WARN, a warning outside of the listed set.
log_is_clean()
{
	local lines

	lines=$(log_since test)
	fails grep -E "$TROUBLE" < <(grep -vE "${NO_TROUBLE:-^$}" <<<"$lines")
	grep -E '^[a-z]+ *:warn *:.*vinteg' <<<"$lines" >"$SCRATCH/warnings" || return 0
	fails grep -vE "$WARNINGS" "$SCRATCH/warnings"
}

# log_mark NAME, log_since NAME: the kernel log from a point on, as "facility:level: text".
log_mark()
{
	echo "<6>selftest: mark $1 $$" >/dev/kmsg
}

log_since()
{
	dmesg -x | awk -v mark="selftest: mark $1 $$" '
		index($0, mark) { n = 0; next }
		{ line[n++] = $0 }
		END { for (i = 0; i < n; i++) print line[i] }'
}

# log_lines NAME: what the driver said since the mark, with its prefix and no more. Not how
# many lines the rate limit has left out before.
log_lines()
{
	log_since "$1" | sed -n '/ lines like the next one were left out$/d
		s/^.*\] \(vinteg[0-9]*: \)/\1/p'
}

# insert [PARAMETER=VALUE...]: loads the module.
insert()
{
	if [ "$MODULE" = vinteg ]; then
		modprobe vinteg "$@"
	else
		insmod "$MODULE" "$@"
	fi
}

# load [PARAMETER=VALUE...]: and waits until udev has seen its devices.
load()
{
	insert "$@" && settle
}

# unload: udev may still be looking at a device.
unload()
{
	settle
	rmmod vinteg
}

# settle: udev opens every new or changed disk for a moment.
settle()
{
	udevadm settle --timeout=180
}

# make_cgroup CONTROLLER...: $GROUP, whose processes can be limited by them. Before any.
make_cgroup()
{
	GROUP=/sys/fs/cgroup/vinteg-test
	mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup || return
	echo "${*/#/+}" >/sys/fs/cgroup/cgroup.subtree_control && mkdir $GROUP &&
		at_exit rmdir $GROUP
}

# without_udev: for tests that make and change many disks. Udev looks at each, which would
# take most of the time, then and later. Nobody else opens a disk from now on, so there is
# nothing to wait for. (Where systemd brings udev back, this is only slower.)
without_udev()
{
	local _

	# A test that ran out of time has not started it again.
	if pgrep 'udev[d-]' >/dev/null; then
		settle
		udevadm control --exit || return
	fi
	at_exit start_udev
	# It is told to, but on a slow machine a worker, or one started just before, lives on.
	for _ in {1..50}; do
		pgrep 'udev[d-]' >/dev/null || break
		sleep 0.1
	done
	pkill -KILL 'udev[d-]' || true
	settle()
	{
		:
	}
}

# start_udev: it must not keep anything of ours open, or who reads it would wait for ever.
start_udev()
{
	/lib/systemd/systemd-udevd --daemon </dev/null >/dev/null 2>&1 \
		3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

# dm COMMAND...: dmsetup, which makes its nodes itself, and says each time that it does.
# (At exit, a "return" without a number gives the status of the whole test.)
dm()
{
	DM_DISABLE_UDEV=1 dmsetup "$@" 2>"$SCRATCH/dm" && return 0
	cat "$SCRATCH/dm"
	return 1
}

# attr NAME [DEVICE], set_attr NAME VALUE [DEVICE]: of vinteg0 if not told otherwise.
attr()
{
	local lines

	mapfile -t lines <"/sys/block/${2:-vinteg0}/$1" && printf '%s\n' "${lines[@]}"
}

set_attr()
{
	local said

	said=$(put "/sys/block/${3:-vinteg0}/$1" "$2") && return 0
	echo "$1 := '$2': $said"
	return 1
}

# refuses ERROR NAME VALUE [DEVICE]: the write must fail with exactly this error.
refuses()
{
	local said

	said=$(put "/sys/block/${4:-vinteg0}/$2" "$3") || true
	[ "$said" = "$1" ] && return 0
	echo "$2 := '$3': $said, expected $1"
	return 1
}

# policy [DEVICE]: the current one.
policy()
{
	local all

	read -r all <"/sys/block/${1:-vinteg0}/cache_policy"
	all=${all#*[}
	echo "${all%]*}"
}

# says RESULT COMMAND...: what a command says, be it "ok" or the name of an error.
says()
{
	local got

	got=$("${@:2}") || true
	echo "${*:2}: $got, expected $1"
	[ "$got" = "$1" ]
}

# writing N: so many writes of vinteg0 are under way.
writing()
{
	[ "$(awk '{ print $2 }' "$SYS/inflight")" -ge "$1" ]
}

# drop_caches: what is read next comes from the disk.
drop_caches()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# read_workers: how many workers of vinteg0 are at a read.
read_workers()
{
	cat /proc/[0-9]*/comm 2>/dev/null | grep -c '+vinteg0-read' || true
}

# meminfo FIELD: in KiB.
meminfo()
{
	awk -v field="$1:" '$1 == field { print $2 }' /proc/meminfo
}

# stat_of NAME [DEVICE]
stat_of()
{
	attr "stats/$1" "${2:-}"
}

# bind FILE [DEVICE], reset [DEVICE]: udev is done with it afterwards. If it still looks at
# the device, the first attempt finds it busy.
bind()
{
	set_undisturbed backing_file "$1" "${2:-}"
}

reset()
{
	set_undisturbed reset 1 "${1:-}"
}

set_undisturbed()
{
	local said

	said=$(put "/sys/block/${3:-vinteg0}/$1" "$2") || true
	if [ "$said" = EBUSY ]; then
		settle
		set_attr "$@" || return
	elif [ "$said" != ok ]; then
		echo "$1 := '$2': $said"
		return 1
	fi
	settle
}

# make_disk NAME MIB [SETTING=VALUE...]: /dev/NAME, in memory, gone at the end.
make_disk()
{
	local dir=/sys/kernel/config/nullb/$1 setting

	modprobe null_blk nr_devices=0 || return
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config || return
	mkdir "$dir" || return
	at_exit remove_disk "$1"
	for setting in "size=$2" memory_backed=1 discard=1 "${@:3}" power=1; do
		echo "${setting#*=}" >"$dir/${setting%%=*}" || return
	done
	settle
}

remove_disk()
{
	[ -d "/sys/kernel/config/nullb/$1" ] || return 0	# removed early
	settle
	rmdir "/sys/kernel/config/nullb/$1"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for()
{
	local end=$((SECONDS + $1))
	shift

	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
