# SPDX-License-Identifier: GPL-2.0
#
# Reads what devices.sh prints, with kernel and clock in front; prints a table of medians.

BEGIN { FS = "\t" }

# add NAME FIGURE: one more of that name, sorted as they come.
function add(name, figure,    i)
{
	for (i = ++count[name]; i > 1 && value[name, i - 1] > figure; i--)
		value[name, i] = value[name, i - 1]
	value[name, i] = figure
}

function median(name)
{
	return value[name, int((count[name] + 1) / 2)]
}

{
	key = $1 "\t" $2 "\t" $3 "\t" $4
	if (!(key in seen)) {
		seen[key] = 1
		rows[++n] = key
	}
	add(key SUBSEP "ms", $6 + 0)
	add(key SUBSEP "kb", $7 + 0)
}

END {
	if (!n)
		exit
	print "\nFrom loading the module until devices are bound and known to udev"
	printf "%-7s %-8s %-12s %7s %9s %9s %13s %s\n", "kernel", "clock", "target", "devices",
		"ms", "KiB", "KiB each", "repetitions"
	for (i = 1; i <= n; i++) {
		split(rows[i], p, "\t")
		none = p[1] "\t" p[2] "\t" p[3] "\t0" SUBSEP "kb"
		kb = median(rows[i] SUBSEP "kb")
		printf "%-7s %-8s %-12s %7d %9d %9d %13s %d\n", p[1], p[2], p[3], p[4],
			median(rows[i] SUBSEP "ms"), kb,
			p[4] ? sprintf("%.0f", (kb - median(none)) / p[4]) : "-",
			count[rows[i] SUBSEP "ms"]
	}
}
