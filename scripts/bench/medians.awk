# SPDX-License-Identifier: GPL-2.0
#
# Reads results (columns: kernel, clock, disk, fs, cell, kind, target, repetition, then as
# in measure.sh), prints one line for each measurement: kernel, clock, disk, fs, cell, kind,
# target, requests per second, spread in percent, repetitions, mean latency, percentiles,
# reads, writes, flushes, instructions per request.
#
# Each figure is the median of that figure, whichever repetition it comes from: a p99 is the
# median of the p99s. Of an even number it is the mean of the two in the middle.

BEGIN { FS = OFS = "\t" }

# add NAME FIGURE: one more of that name, sorted as they come.
function add(name, figure,    i)
{
	if (figure !~ /^[0-9.]+$/)
		return
	for (i = ++count[name]; i > 1 && value[name, i - 1] > figure + 0; i--)
		value[name, i] = value[name, i - 1]
	value[name, i] = figure + 0
}

function median(name, format,    m)
{
	if (!count[name])
		return "-"
	m = int((count[name] + 1) / 2)
	if (count[name] % 2)
		return sprintf(format, value[name, m])
	return sprintf(format, (value[name, m] + value[name, m + 1]) / 2)
}

function spread(name)
{
	if (!(median(name, "%f") > 0))
		return 0
	return 100 * (value[name, count[name]] - value[name, 1]) / median(name, "%f")
}

{
	key = $1 OFS $2 OFS $3 OFS $4 OFS $5 OFS $6 OFS $7
	if (!(key in seen)) {
		seen[key] = 1
		order[++keys] = key
	}
	for (i = 9; i <= 15; i++)
		if (i != 11)
			add(key SUBSEP i, $i)
	n = split($11, part, ",")
	for (i = 1; i <= n; i++) {
		split(part[i], pair, "=")
		if (!((key, pair[1]) in known)) {
			known[key, pair[1]] = 1
			percents[key, ++npercents[key]] = pair[1]
		}
		add(key SUBSEP "p" pair[1], pair[2])
	}
}

END {
	for (k = 1; k <= keys; k++) {
		key = order[k]
		list = ""
		for (i = 1; i <= npercents[key]; i++) {
			p = percents[key, i]
			list = list (i > 1 ? "," : "") p "=" median(key SUBSEP "p" p, "%.2f")
		}
		print key, median(key SUBSEP 9, "%.0f"), sprintf("%.1f", spread(key SUBSEP 9)),
			count[key SUBSEP 9], median(key SUBSEP 10, "%.2f"), list,
			median(key SUBSEP 12, "%.3f"), median(key SUBSEP 13, "%.3f"),
			median(key SUBSEP 14, "%.3f"), median(key SUBSEP 15, "%.0f")
	}
}
