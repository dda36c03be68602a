# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced, after accident.sh: what a run of a machine ends with.

# judge OUT TOKEN NAME LOST: looks in OUT/output for the verdict that guest-init.sh
# sent last, and moves it into a file of its own: the output keeps what the job said.
# Without one the machine was lost, for the reason LOST. Returns 0 for a clean run,
# 1 for another, 2 for a lost machine.
judge()
{
	local out=$1 token=$2 name=$3 lost=$4 verdict

	# The job's last line may be without an end.
	sed -n "s/^.*vm-verdict $token //p" "$out/output" >"$out/verdict"
	sed -i "/^vm-verdict $token /d; s/vm-verdict $token .*//" "$out/output"
	verdict=$(<"$out/verdict")
	case $verdict in
	"run=0 rmmod=ok log=clean leaks=none")
		return 0
		;;
	'')
		step "$name: no verdict: $lost. Its console:"
		complaints "$out/console" 60 40 >&2
		return 2
		;;
	*)
		step "$name: $verdict"
		return 1
		;;
	esac
}
