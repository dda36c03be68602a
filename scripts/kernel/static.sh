#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# static.sh [--sources]: the checks that run nothing of what they check. Prints one
# result for each, in KTAP; what was found goes to standard error. With --sources
# the module isn't built.

. "$(dirname "$0")/../lib.sh"

KERNELS=${KERNELS:-$KERNELS_ALL}
number=0 failed=0

# check TEXT COMMAND...: one result. The command fails if it found something.
check()
{
	local text=$1 log
	shift

	number=$((number + 1))
	log=$(mktemp "$CACHE/log.XXXXXX")
	# In a process of its own: "set -e" is off in the condition of an "if".
	(set -e; "$@") >"$log" 2>&1 &
	if wait $!; then
		echo "ok $number - $text"
	else
		echo "not ok $number - $text"
		failed=$((failed + 1))
		cat "$log" >&2
	fi
	rm "$log"
}

# files PATTERN...: the files of this tree with such names, build products left out.
files()
{
	local names=() name

	for name in "$@"; do
		names+=(-o -name "$name")
	done
	find "$TOP" -name .git -prune -o -type f ! -name '*.mod.c' \( "${names[@]:1}" \) -print
}

# code: all that is written by hand and is no prose.
code()
{
	files '*.c' '*.h' '*.sh' '*.config' Makefile Kbuild Kconfig dkms.conf .gitignore \
		.shellcheckrc
}

# nowhere PATTERN FILE...: succeeds if the pattern is in none of the files, of which
# there must be some.
nowhere()
{
	local pattern=$1 rc=0
	shift

	[ $# != 0 ]
	grep -nE -e "$pattern" "$@" || rc=$?
	# 1 is "not found", and 2 an error.
	[ $rc = 1 ]
}

# style IGNORED FILE...: a checkpatch that died has checked nothing, so its sums count.
style()
{
	local ignored=$1 log=$tmp/style clean
	shift

	[ $# != 0 ]
	# It leaves a file of its own in the current folder.
	cd "$tmp"
	perl "$source/scripts/checkpatch.pl" --strict --no-tree --show-types --summary-file \
		--ignore "$ignored" -f "$@" >"$log" 2>&1 || true
	clean=$(grep -c ' total: 0 errors, 0 warnings, 0 checks, ' "$log" || true)
	[ "$clean" = $# ] && return
	grep -vE '^-*$|^NOTE|no obvious style|total: 0 errors, 0 warnings, 0 checks' "$log"
	return 1
}

checkpatch()
{
	local list

	mapfile -t list < <(cd "$TOP/drivers" && find "$PWD" -type f ! -name '*.mod.c' \
		\( -name '*.[ch]' -o -name Kconfig -o -name Makefile -o -name '*.rst' \) \
		! -name compat.h)
	style FILE_PATH_CHANGES "${list[@]}"
	style FILE_PATH_CHANGES,LINUX_VERSION_CODE "$TOP/drivers/block/vinteg/compat.h"
	# The C library's types and positive error numbers are right outside of the kernel.
	mapfile -t list < <(files '*.c' '*.h' | grep -v "^$TOP/drivers/")
	style FILE_PATH_CHANGES,PREFER_KERNEL_TYPES,USE_NEGATIVE_ERRNO,ARRAY_SIZE "${list[@]}"
}

shell_scripts()
{
	local list

	mapfile -t list < <(files '*.sh'; grep -rlE --exclude-dir=.git -m 1 '^#!.*sh' \
		"$TOP/.ci" "$TOP/scripts" "$TOP/selftests")
	[ ${#list[@]} -gt 10 ]
	printf '%s\n' "${list[@]}" | sort -u | (cd "$TOP" && xargs shellcheck -x)
}

version_code()
{
	local list

	mapfile -t list < <(files '*.c' '*.h' | grep -v '/compat\.h$')
	nowhere 'LINUX_VERSION_CODE|KERNEL_VERSION' "${list[@]}"
}

# Where this was written, and where its packages come from, is nobody's business, and
# would break elsewhere. (The brackets keep this line from finding itself.)
private_names()
{
	local list

	mapfile -t list < <(find "$TOP" -name .git -prune -o -type f ! -name '*.o' \
		! -name '*.ko' ! -name '.*.cmd' -print)
	nowhere '/wor[k]/|/tmp/[w]/|/roo[t]/\.|[a-z0-9]\.debian\.(org|net)[/ ]|registry\.[a-z]+\.(org|com)|snapshot\.debian' \
		"${list[@]}"
}

licences()
{
	local list missing

	mapfile -t list < <(code)
	[ ${#list[@]} -gt 20 ]
	missing=$(for file in "${list[@]}"; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: ' || echo "$file"
	done)
	[ -z "$missing" ] || { echo "without a licence: $missing"; return 1; }
}

sizes()
{
	code | xargs wc -l | awk '$2 != "total" && $1 > 500 { print; n++ } END { exit n != 0 }'
}

# fails COMMAND...: succeeds if the command fails.
fails()
{
	if "$@"; then
		return 1
	fi
}

# module KERNEL: silent with W=1 and sparse.
module()
{
	"$TOP/scripts/kernel/build.sh" "$1" "$TOP" "$tmp/$1" C=2
	fails grep -v 'Skipping BTF generation' "$tmp/$1/build.log"
}

need perl shellcheck
source=$("$TOP/scripts/kernel/source.sh" 7.3)
tmp=$(mktemp -d "$CACHE/static.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

echo "TAP version 13"
check "checkpatch --strict is silent" checkpatch
check "shellcheck is silent" shell_scripts
check "kernel versions are asked for in compat.h only" version_code
check "no path or host of this machine is written down" private_names
check "every file names its licence" licences
check "no file has more than 500 lines" sizes
check "the documents agree with the code" "$TOP/scripts/kernel/docs.sh"
if [ "${1:-}" != --sources ]; then
	for kernel in $KERNELS; do
		check "W=1 and sparse are silent on $kernel" module "$kernel"
	done
fi
echo "1..$number"
[ $failed = 0 ]
