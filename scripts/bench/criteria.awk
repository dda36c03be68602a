# SPDX-License-Identifier: GPL-2.0
#
# To be read after percentile.awk. Reads what medians.awk prints; says for each goal whether it was reached, and where not.

BEGIN { FS = "\t" }

{
	side = $7
	sub(/-.*/, "", side)
	row = $1 "\t" $2 "\t" $3 "\t" $4 "\t" $6 "\t" $5
	if (!(row in seen)) {
		seen[row] = 1
		rows[++n] = row
	}
	rate[row, side] = $8
	p99[row, side] = percentile($12, 99)
	flushes[row, side] = $15
}

# verdict TEXT: from the counts and lists that claim() has filled.
function verdict(text,    i)
{
	if (!asked)
		printf "not measured  %s\n", text
	else
		printf "%-13s %s (%d of %d)\n", missed ? "MISSED" : "reached", text, asked - missed, asked
	for (i = 1; i <= missed; i++)
		printf "                %s\n", misses[i]
	asked = missed = 0
}

# claim ROW VALUE GOOD: one figure of the goal that the next verdict is about.
function claim(row, value, good)
{
	asked++
	if (!good) {
		gsub(/\t/, " ", row)
		misses[++missed] = sprintf("%s: %.2f", row, value)
	}
}

function both(row, a, b)
{
	return rate[row, a] > 0 && rate[row, b] > 0
}

# to ROW SIDE: how many times as fast as that side vinteg is; 0 if one is not known.
function to(row, side)
{
	return both(row, "vinteg", side) ? rate[row, "vinteg"] / rate[row, side] : 0
}

# mean WHAT: of all kernels and file systems, one for each.
function means(what, limit,    i, place, sum, count, x, p, list, places)
{
	for (i = 1; i <= n; i++) {
		split(rows[i], p, "\t")
		if (p[2] != "virtual" || p[3] != "plp" || p[4] == "blk")
			continue
		if (what == "loop") {
			x = to(rows[i], "loop")
		} else {
			x = p[5] == "direct" ? floor(rows[i]) : 0
		}
		if (!x)
			continue
		place = p[1] " " p[4]
		if (!(place in count))
			list[++places] = place
		sum[place] += log(x)
		count[place]++
	}
	for (i = 1; i <= places; i++) {
		x = exp(sum[list[i]] / count[list[i]])
		claim(list[i], x, what == "loop" ? x >= limit : x <= limit)
	}
}

function floor(row)
{
	if (!both(row, "raw", "empty") || !(rate[row, "vinteg"] > 0))
		return 0
	return 1 / rate[row, "vinteg"] / (1 / rate[row, "raw"] + 1 / rate[row, "empty"])
}

# check GOAL LIMIT: over all rows that it is about.
function check(goal, limit,    i, row, p, x, raw, alone)
{
	for (i = 1; i <= n; i++) {
		row = rows[i]
		split(row, p, "\t")
		x = to(row, "loop")
		raw = to(row, "raw")
		if (goal == "real") {
			if (p[2] == "real" && x)
				claim(row, x, x >= limit)
			continue
		}
		if (p[2] != "virtual")
			continue
		if (goal == "loop" && p[3] == "plp" && p[4] != "blk" && x)
			claim(row, x, x >= limit)
		if (goal == "floor" && p[3] == "plp" && p[4] != "blk" && p[5] == "direct" && floor(row))
			claim(row, floor(row), floor(row) <= limit)
		if (goal == "fua" && p[3] == "plp" && p[4] != "blk" && p[5] p[6] == "directfua.qd1" && x)
			claim(row, x, x >= limit)
		if (goal == "slow" && p[3] == "slow" && p[5] == "direct" && raw)
			claim(row, raw, raw >= limit)
		if (goal == "time" && p[4] == "xfs" && p[5] == "direct" && p[6] ~ /^randwrite/ && raw)
			claim(row, raw, raw >= limit)
		if (p[3] == "slow" && p[5] p[6] == "directfua.qd32" && x) {
			if (goal == "group")
				claim(row, flushes[row, "vinteg"], flushes[row, "vinteg"] <= limit)
			if (goal == "grouploop")
				claim(row, x, x >= limit)
			if (goal == "groupp99")
				claim(row, p99[row, "vinteg"] / p99[row, "loop"],
					p99[row, "vinteg"] <= p99[row, "loop"])
		}
		if (goal == "beside" && p[6] == "beside.qd8") {
			alone = row
			sub(/beside/, "randread", alone)
			if (p99[alone, "vinteg"] > 0) {
				x = p99[row, "vinteg"] / p99[alone, "vinteg"]
				claim(row, x, x <= limit)
			}
		}
	}
}

END {
	check("loop", 1.0);	verdict("every cell at least as fast as loop")
	means("loop", 2.0);	verdict("geometric mean at least 2.0 times loop")
	check("floor", 0.95);	verdict("direct: at most 0.95 of the raw file's and the empty disk's time")
	means("floor", 0.85);	verdict("the same, geometric mean: at most 0.85")
	check("fua", 1.8);	verdict("FUA write at QD 1 at least 1.8 times loop")
	check("slow", 0.95);	verdict("a flush of 1 ms: at least 0.95 of the raw file's throughput")
	check("group", 0.125);	verdict("the same, FUA at QD 32: at most one flush for 8 writes")
	check("grouploop", 1.3); verdict("the same: at least 1.3 times loop")
	check("groupp99", 1);	verdict("the same: 99th percentile no worse than loop's")
	check("time", 1.1);	verdict("xfs, random writes: at least 1.1 times the raw file")
	check("beside", 1.5);	verdict("reads beside a flushing writer: p99 at most 1.5 times that without")
	check("real", 1.0);	verdict("real time, 4 jobs: no cell below loop")
}
