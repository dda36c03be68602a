#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# coverage.sh [PATTERN]: which lines of the driver do the selftests execute? Runs those whose
# name matches, by default all, in User-Mode Linux 7.3 and prints for each of the driver's
# files how many of its lines were executed, then the lines that never were. Fails if they
# are less than LIMIT percent (95), or if a test fails. What User-Mode Linux can't test
# (NFS, for one) shows as not executed.

. "$(dirname "$0")/../lib.sh"

LIMIT=${LIMIT:-95}
pattern=${1:-test_}
here=$TOP/scripts/uml

need e2fsprogs
tmp=$(mktemp -d "$CACHE/coverage.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
job=$tmp/job
mkdir -p "$job" "$tmp/out"
step "building the module and the tests for User-Mode Linux (gcov)"
"$here/module.sh" gcov "$TOP" "$job" GCOV_PROFILE=y
mkdir "$tmp/counts"
mv "$job"/*.gcno "$tmp/counts/"
"$TOP/scripts/kernel/selftests.sh" bookworm "$job/selftests"
installed "$job/installed"
install -m 755 "$here/job.sh" "$job/tests-run"
: >"$job/environment"
grep -E -e "$pattern" "$job/selftests/kselftest-list.txt" >"$job/tests" ||
	die "no test's name matches '$pattern'"
# The kernel adds up what it has counted each time that the module was there.
cat >"$job/run" <<-'END'
	#!/bin/bash
	./tests-run
	status=$?
	mkdir /counts
	mount /dev/disk/by-id/virtio-counts /counts || exit
	find /sys/kernel/debug/gcov -name '*.gcda' -path '*/vinteg/*' | while read -r file; do
		cat "$file" >"/counts/${file##*/}"
	done
	umount /counts
	exit $status
END
chmod +x "$job/run"
truncate -s 16M "$tmp/disk"
mke2fs -q -t ext4 -O ^has_journal "$tmp/disk"
rc=0
"$here/run.sh" --flavour gcov --job "$job" --out "$tmp/out" --drive "counts,$tmp/disk" \
	--timeout "${TIMEOUT:-3600}" --follow || rc=1
debugfs -R "rdump / $tmp/counts" "$tmp/disk" >/dev/null 2>&1
[ -n "$(find "$tmp/counts" -name '*.gcda')" ] || die "the kernel has counted nothing"

root=$("$TOP/scripts/kernel/root.sh" bookworm)
in_root "$root" "$TOP:/usr/src/vinteg" "$tmp/counts:/mnt" -- bash -euc '
	cd /mnt
	gcov -t *.gcda 2>/dev/null' gcov >"$tmp/lines"
awk -F: -v limit="$LIMIT" '
	function percent(part, all) { return all ? 100 * part / all : 100 }
	$3 == "Source" {
		file = ""
		if ($4 ~ /\/vinteg\/[a-z]+\.c$/) {
			file = $4
			sub(/.*\//, "", file)
		}
		next
	}
	file == "" || $1 ~ /^ *-$/ { next }
	{
		lines[file]++
		if ($1 ~ /[0-9]/) {
			executed[file]++
		} else {
			line = $0
			sub(/^[^:]*: *[0-9]+:/, "", line)
			missing[++nr] = sprintf("%s:%d:%s", file, $2, line)
		}
	}
	END {
		print "lines  executed  percent  file"
		for (file in lines) {
			all += lines[file]
			done += executed[file]
			printf "%5d  %8d  %6.1f   %s\n", lines[file], executed[file],
				percent(executed[file], lines[file]), file | "sort -k 4"
		}
		close("sort -k 4")
		printf "%5d  %8d  %6.1f   all\n", all, done, percent(done, all)
		print "never executed:"
		for (i = 1; i <= nr; i++)
			print missing[i]
		exit percent(done, all) < limit
	}' "$tmp/lines" || { step "less than $LIMIT % of the lines"; rc=1; }
exit $rc
