# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced, after report.sh: the cuts of all runs, in one file that no run wipes. Each
# line is one of report's, with this in front:
#
#	DATE COMMIT DRIVER RELEASE
#
# DRIVER is what driver_of says of the one that was tested; RELEASE is the kernel's.

RESULTS=${RESULTS:-$CACHE/powercut.results}

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
