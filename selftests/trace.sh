# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The driver's own tracepoints. To be sourced after lib.sh.

TRACE=/sys/kernel/tracing/instances/vinteg-test

# trace_start: once, after the module has been loaded.
trace_start()
{
	mkdir $TRACE && at_exit trace_stop && echo 1 >$TRACE/events/vinteg/enable ||
		ktap_exit_fail_msg "no tracepoints"
}

# trace_stop: an event that is on holds the module.
trace_stop()
{
	[ ! -d $TRACE ] || { echo 0 >$TRACE/events/enable && rmdir $TRACE; }
}

# trace COMMAND...: prints what was traced meanwhile; the command's own output goes to
# standard error.
trace()
{
	echo >$TRACE/trace
	"$@" >&2 || return
	grep -v '^#' $TRACE/trace || true
}

# operations COMMAND...: what the file sees of it, on one line. A durable write is
# "dsync", be it by a flag or by a sync of its range; a sync of all is "sync".
operations()
{
	trace "$@" | awk '
		/ vinteg_issue: .*call=read/ { next }
		/ vinteg_issue: .*call=sync/ { next }
		/ vinteg_issue: / {
			match($0, /call=[a-z]+/)
			out = out " " substr($0, RSTART + 5, RLENGTH - 5)
			if (/call=write/)
				out = out (/direct=1/ ? " direct" : " cached")
			if (!/dsync=none/)
				out = out " dsync"
			wanted += /dsync=sync/
		}
		/ vinteg_sync: .*error=0/ {
			match($0, /end=[0-9]+/)
			if (substr($0, RSTART + 4, RLENGTH - 4) == "9223372036854775807")
				out = out " sync"
			else
				given++
		}
		END {
			if (wanted && !given)
				out = out " (but nothing was synced)"
			print substr(out, 2)
		}'
}

# becomes EXPECTED COMMAND...
becomes()
{
	local got

	got=$(operations "${@:2}")
	echo "${*:2}: '$got', expected '$1'"
	[ "$got" = "$1" ]
}
