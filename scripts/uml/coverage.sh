#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# coverage.sh [PATTERN]: which lines of the driver do the selftests execute? Runs those whose
# name matches, by default all, in User-Mode Linux 7.3 and prints for each of the driver's
# files how many of its lines were executed, then the lines that never were. Fails if they
# are less than LIMIT percent (95), if one of the others is not in the file "uncovered" (only
# if all tests ran), or if a test fails.
#
# "uncovered" has a block for each reason: lines that begin with "# ", then lines of the
# driver, as FILE:FUNCTION: TEXT. They are no numbers, which change.

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
echo "export FAULT_STEP=1" >"$job/environment"
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
: >"$tmp/missing"
in_root "$root" "$TOP:/usr/src/vinteg" "$tmp/counts:/mnt" -- bash -euc '
	cd /mnt
	gcov -t *.gcda 2>/dev/null' gcov >"$tmp/lines"
awk -F: -v limit="$LIMIT" -v missing_file="$tmp/missing" '
	function percent(part, all) { return all ? 100 * part / all : 100 }
	$3 == "Source" {
		file = ""
		where = ""
		if ($4 ~ /\/vinteg\/[a-z]+\.c$/) {
			file = $4
			sub(/.*\//, "", file)
		}
		next
	}
	# Neither a line of a file nor the head of one of several that a macro has made.
	file == "" || $2 !~ /^ *[0-9]+$/ { next }
	{
		line = $0
		sub(/^[^:]*: *[0-9]+:/, "", line)
		if (match(line, /^[a-z].*[a-z0-9_]+\(/) && line !~ /;$/) {
			where = substr(line, 1, RLENGTH - 1)
			sub(/^.*[ *]/, "", where)
		}
	}
	$1 ~ /^ *-$/ { next }
	{
		lines[file]++
		if ($1 ~ /[0-9]/) {
			executed[file]++
		} else {
			gsub(/[ \t]+/, " ", line)
			missing[++nr] = file ":" where ":" line
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
		for (i = 1; i <= nr; i++)
			print missing[i] >missing_file
		exit percent(done, all) < limit
	}' "$tmp/lines" || { step "less than $LIMIT % of the lines"; rc=1; }

# A line may be there more than once.
unlisted=$(comm -23 <(sort "$tmp/missing") <(grep -v '^#' "$here/uncovered" | sort))
if [ "$pattern" != test_ ]; then
	echo "never executed:"
	cat "$tmp/missing"
elif [ -n "$unlisted" ]; then
	echo "never executed, and $here/uncovered doesn't say why:"
	echo "$unlisted"
	rc=1
else
	echo "never executed: $(wc -l <"$tmp/missing") lines, for the reasons in $here/uncovered"
fi
exit $rc
