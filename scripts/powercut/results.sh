# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced, after report.sh: the cuts of all runs, in one file that no run wipes. Each
# line is one of report's, with this in front:
#
#	DATE COMMIT DRIVER RELEASE
#
# DRIVER is a hash over the sources of the driver that was tested, less those of its unit
# tests; RELEASE is the kernel's.

RESULTS=${RESULTS:-$CACHE/powercut.results}

# driver_of TREE: the hash of its driver, whatever else there is.
driver_of()
{
	(cd "$1" && find drivers -type f ! -name '*.mod.c' ! -name '*_kunit.c' \
			\( -name '*.[ch]' -o -name Makefile -o -name Kconfig \) |
		sort | xargs sha256sum | sha256sum | cut -c 1-12)
}

# remember CUTS: appends them. Files CUTS.KERNEL say which release that was.
remember()
{
	with_lock powercut-results remember_all "$1"
}

remember_all()
{
	local date commit driver kernel rest

	date=$(date -u +%FT%TZ)
	commit=$(git -C "$SRC" describe --always --dirty 2>/dev/null || echo unknown)
	driver=$(driver_of "$SRC")
	while read -r kernel rest; do
		echo "$date $commit $driver $(cat "$1.$kernel" 2>/dev/null || echo unknown)" \
			"$kernel $rest"
	done <"$1" >>"$RESULTS"
}
