#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Shared by all scripts: the cache, progress lines, host packages, and commands
# that run inside a root filesystem of another Debian release.
#
# To be sourced. Sets -eu and pipefail.

set -euo pipefail

# shellcheck disable=SC2034 # used by the scripts that source this file
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/vinteg
KERNELS_ALL="6.1 6.12 7.3"

# Progress counts from the start of the outermost script.
export VINTEG_T0=${VINTEG_T0:-$EPOCHSECONDS}
export LC_ALL=C.UTF-8
mkdir -p "$CACHE"

# step TEXT: one progress line, with the seconds since the start.
step()
{
	printf '[%4d s] %s\n' $((EPOCHSECONDS - VINTEG_T0)) "$*" >&2
}

die()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# keep_if_failed FOLDER NAME STATUS: for a trap: a folder that was only needed meanwhile is
# removed, or becomes NAME if there is something to be looked into.
keep_if_failed()
{
	if [ "$3" != 0 ] && [ -n "$(ls -A "$1")" ]; then
		rm -rf "$2"
		mv "$1" "$2"
		step "what it said is kept in $2"
	else
		rm -rf "$1"
	fi
}

# nap SECONDS: sleeps without a process, which matters where forks are slow. Reads from
# a pipe that it holds open itself, so that nothing ever comes.
nap()
{
	local _

	[ -n "${_nap_fd:-}" ] || exec {_nap_fd}<> <(:)
	read -r -t "$1" -u "$_nap_fd" _ || true
}

# quietly TEXT COMMAND...: runs a long command without its output. Says every
# 20 seconds that it is still at it; shows the end of the output if it fails.
quietly()
{
	local text=$1 log pid rc=0 beat=$((SECONDS + 20))
	shift

	step "$text"
	log=$(mktemp "$CACHE/log.XXXXXX")
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		nap 0.1
		if [ $SECONDS -ge $beat ]; then
			step "  still at it: $(tr '\r' '\n' <"$log" | tail -n 1 | cut -c 1-90)"
			beat=$((SECONDS + 20))
		fi
	done
	wait $pid || rc=$?
	if [ $rc != 0 ]; then
		tail -n 30 "$log" >&2
		step "failed (exit status $rc): $text"
	fi
	rm -f "$log"
	return $rc
}

# suite_of KERNEL: the Debian release whose root holds that kernel, or what it is built with.
suite_of()
{
	case $1 in
	6.1 | 6.12)	echo bookworm ;;
	7.3 | 7.3-k[ac]san) echo trixie ;;
	*)		die "unknown kernel '$1': one of $KERNELS_ALL" ;;
	esac
}

# driver_of TREE: a hash over the sources of its driver, less those of its unit tests.
driver_of()
{
	(cd "$1" && find drivers -type f ! -name '*.mod.c' ! -name '*_kunit.c' \
			\( -name '*.[ch]' -o -name Makefile -o -name Kconfig \) |
		sort | xargs sha256sum | sha256sum | cut -c 1-12)
}

# need PACKAGE...: installs what is missing on this machine.
need()
{
	local pkg missing=()

	for pkg in "$@"; do
		case $(dpkg-query -W -f '${db:Status-Status}' "$pkg" 2>/dev/null) in
		installed)	;;
		*)		missing+=("$pkg") ;;
		esac
	done
	[ ${#missing[@]} = 0 ] && return
	[ "$(id -u)" = 0 ] ||
		die "these packages are missing, and only root can install them: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	with_lock host-packages _install "${missing[@]}"
}

_install()
{
	quietly "refreshing the package lists" \
		apt-get -o DPkg::Lock::Timeout=300 update
	quietly "installing on this machine: $*" \
		apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

# settings FILE: those of this environment that the selftests look at, to be read by a shell.
settings()
{
	export -p | grep -E '^declare -x ((FAULT|FUZZ|LEAK|RACE)_[A-Z]+|CHECK)=' >"$1" || true
}

# installed FOLDER: what "make install" installs besides the module, as if FOLDER was the
# root. A machine finds vintegctl there.
installed()
{
	need make
	make -s -C "$TOP" "DESTDIR=$1" PREFIX=/usr/local install-files
}

# with_lock NAME COMMAND...: one at a time, over all processes of this user.
with_lock()
{
	local name=$1 fd
	shift

	mkdir -p "$CACHE/lock"
	# Its descriptor, or it would take the number that is free during the command.
	nap 0
	exec {fd}>"$CACHE/lock/$name"
	if ! flock -n "$fd"; then
		step "waiting for another process that prepares $name"
		flock "$fd"
	fi
	# No "||" here: it would switch off "set -e" in the command. The lock must
	# not be inherited by what the command leaves running.
	"$@" {fd}>&-
	exec {fd}>&-
}

# in_root ROOT [SRC:DST]... -- COMMAND...: runs a command chrooted into ROOT, with
# its own /proc and /dev. Folder SRC is seen there as DST. Whatever is written
# outside of such folders is dropped at the end. The mounts live in a namespace
# that ends with the command, so nothing stays mounted and nobody is disturbed.
in_root()
{
	local scratch rc=0

	scratch=$(mktemp -d "$CACHE/scratch.XXXXXX")
	unshare --mount --pid --fork --kill-child --propagation private \
		bash -euc "$_IN_ROOT" in_root "$scratch" "$@" || rc=$?
	rmdir "$scratch"
	return $rc
}

# shellcheck disable=SC2016 # expanded by the inner shell
_IN_ROOT='
	scratch=$1 lower=$2
	shift 2
	mount -t tmpfs -o mode=755 vinteg "$scratch"
	mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
	root=$scratch/root
	mount -t overlay -o "lowerdir=$lower,upperdir=$scratch/upper,workdir=$scratch/work" \
		vinteg "$root"
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
	while [ "$1" != -- ]; do
		mkdir -p "$root${1#*:}"
		mount --bind "${1%%:*}" "$root${1#*:}"
		shift
	done
	shift
	exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LC_ALL=C.UTF-8 TERM="${TERM:-dumb}" DEBIAN_FRONTEND=noninteractive \
		chroot "$root" "$@"
'
