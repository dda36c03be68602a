# SPDX-License-Identifier: GPL-2.0
#
# Reads results (columns: kernel, clock, disk, fs, cell, kind, target, repetition, then as
# in measure.sh), prints one line for each measurement with the repetition whose throughput
# is the median: kernel, clock, disk, fs, cell, kind, target, requests per second, spread in
# percent, repetitions, mean latency, percentiles, reads, writes, flushes per request.

BEGIN { FS = OFS = "\t" }

{
	key = $1 OFS $2 OFS $3 OFS $4 OFS $5 OFS $6 OFS $7
	if (!(key in n))
		order[++keys] = key
	i = ++n[key]
	# Sorted as they come.
	for (; i > 1 && rate[key, i - 1] > $9; i--) {
		rate[key, i] = rate[key, i - 1]
		rest[key, i] = rest[key, i - 1]
	}
	rate[key, i] = $9
	rest[key, i] = $10 OFS $11 OFS $12 OFS $13 OFS $14
}

END {
	for (k = 1; k <= keys; k++) {
		key = order[k]
		m = int((n[key] + 1) / 2)
		spread = rate[key, m] ? 100 * (rate[key, n[key]] - rate[key, 1]) / rate[key, m] : 0
		print key, rate[key, m], sprintf("%.1f", spread), n[key], rest[key, m]
	}
}
