# SPDX-License-Identifier: GPL-2.0
#
# To be read after percentile.awk. Reads what medians.awk prints; says for each goal whether
# it was reached, and where not. CELLS is the path of the file cells.
#
# A goal is about all rows that it should have been measured in, on the kernels and file
# systems that are judged, not about those that there are: as long as one lacks a side or
# repetitions, the goal is INCOMPLETE and not reached, whatever the others say. A miss is a
# miss at once. What was measured elsewhere (6.1, no file system) is reported below, and not
# judged.

BEGIN {
	FS = "\t"
	NEEDED["virtual"] = 3
	NEEDED["real"] = 5
	nkernels = split("6.12 7.3", KERNELS, " ")
	nfs = split("ext4 xfs", FILESYSTEMS, " ")
	while ((getline line < CELLS) > 0) {
		if (line ~ /^#/ || split(line, f, "\t") < 4)
			continue
		k = split(f[2], kind, ",")
		for (i = 1; i <= k; i++) {
			cell[++ncells] = kind[i] "\t" f[1]
			core[ncells] = f[3] ~ /core/
			mounted[ncells] = f[4] ~ /^mounted/
			if (mounted[ncells])
				above[cell[ncells]] = 1
		}
	}
	if (!ncells) {
		print "criteria.awk: no cells in " CELLS >"/dev/stderr"
		exit 1
	}
	# What should be there. The slower disks are for what they change: the core.
	for (i = 1; i <= nkernels; i++) {
		for (j = 1; j <= nfs; j++) {
			for (c = 1; c <= ncells; c++) {
				expect("virtual", "plp", c)
				if (core[c]) {
					expect("virtual", "fua", c)
					expect("virtual", "slow", c)
				}
				if (!mounted[c])
					expect("real", "plp", c)
			}
		}
	}
}

function expect(clock, disk, c,    row)
{
	row = KERNELS[i] "\t" clock "\t" disk "\t" FILESYSTEMS[j] "\t" cell[c]
	rows[++n] = row
	judged[row] = 1
}

{
	side = $7
	sub(/-.*/, "", side)
	row = $1 "\t" $2 "\t" $3 "\t" $4 "\t" $6 "\t" $5
	if (!(row in judged) && !(row in others)) {
		others[row] = 1
		rows[++n] = row
	}
	rate[row, side] = $8
	repeats[row, side] = $10
	p99[row, side] = percentile($12, 99)
	flushes[row, side] = $15
}

# have ROW SIDES: whether all of them were measured at all.
function have(row, sides,    i, m, side)
{
	m = split(sides, side, " ")
	for (i = 1; i <= m; i++)
		if (!(rate[row, side[i]] > 0))
			return 0
	return 1
}

# enough ROW SIDES: whether that was often enough for a median.
function enough(row, sides,    i, m, side, p)
{
	split(row, p, "\t")
	m = split(sides, side, " ")
	for (i = 1; i <= m; i++)
		if (repeats[row, side[i]] < NEEDED[p[2]])
			return 0
	return 1
}

function ratio(row, side)
{
	return rate[row, "vinteg"] / rate[row, side]
}

function floor(row)
{
	return 1 / rate[row, "vinteg"] / (1 / rate[row, "raw"] + 1 / rate[row, "empty"])
}

function name(row)
{
	gsub(/\t/, " ", row)
	return row
}

# claim ROW COMPLETE FIGURE GOOD: one of the rows of the goal that the next verdict is about.
# COMPLETE: 0 nothing to be said, 1 in too few repetitions, 2 as it should be.
function claim(row, complete, figure, good)
{
	wanted++
	if (complete < 2)
		lacking[++nlacking] = name(row) (complete ? ", in too few repetitions" : "")
	if (complete == 2)
		measured++
	if (complete && !good)
		misses[++missed] = sprintf("%s: %.2f%s", name(row), figure,
			complete < 2 ? ", in too few repetitions" : "")
}

# verdict TEXT: from the counts and lists that claim() has filled.
function verdict(text,    i, word)
{
	if (!wanted)
		return
	if (reporting)
		word = sprintf("%d of %d", wanted - nlacking - missed_full(), wanted)
	else if (nlacking)
		word = (missed ? "MISSED, " : "") "INCOMPLETE " measured + 0 " of " wanted
	else
		word = (missed ? "MISSED " : "reached ") (wanted - missed) " of " wanted
	printf "%-28s %s\n", word, text
	for (i = 1; i <= missed; i++)
		printf "%29smissed by %s\n", "", misses[i]
	for (i = 1; i <= nlacking && !reporting; i++) {
		if (i > 4) {
			printf "%29sand %d more\n", "", nlacking - 4
			break
		}
		printf "%29slacks %s\n", "", lacking[i]
	}
	wanted = measured = missed = nlacking = 0
}

# missed_full: misses among the rows that nothing is lacking of.
function missed_full(    i, count)
{
	for (i = 1; i <= missed; i++)
		count += misses[i] !~ /too few/
	return count
}

function state(row, sides)
{
	return have(row, sides) ? 1 + enough(row, sides) : 0
}

# means WHAT LIMIT: one for each kernel and file system; complete if all its rows are.
function means(what, limit,    i, p, place, sides, s, list, places, sum, count, least, x)
{
	for (i = 1; i <= n; i++) {
		split(rows[i], p, "\t")
		if (!mine(rows[i]) || p[2] != "virtual")
			continue
		if (what == "floor" && !floored(p))
			continue
		sides = what == "loop" ? "vinteg loop" : "vinteg raw empty"
		place = p[1] "\tvirtual\tall\t" p[4]
		if (!(place in least)) {
			list[++places] = place
			least[place] = 2
		}
		s = state(rows[i], sides)
		if (s < least[place])
			least[place] = s
		if (!s)
			continue
		sum[place] += log(what == "loop" ? ratio(rows[i], "loop") : floor(rows[i]))
		count[place]++
	}
	for (i = 1; i <= places; i++) {
		place = list[i]
		if (!count[place]) {
			claim(place, 0)
			continue
		}
		x = exp(sum[place] / count[place])
		if (least[place] < 2)
			figures = figures sprintf("%29sso far, %s: %.2f over %d rows\n", "",
				name(place), x, count[place])
		else
			figures = figures sprintf("%29s%s: %.2f over %d rows\n", "", name(place),
				x, count[place])
		# A mean of some cells neither reaches nor misses a goal for all.
		if (least[place] < 2)
			claim(place, 0)
		else
			claim(place, 2, x, what == "loop" ? x >= limit : x <= limit)
	}
}

function mine(row)
{
	return reporting ? row in others : row in judged
}

function floored(p)
{
	return p[3] == "plp" && p[5] == "direct" && !(p[5] "\t" p[6] in above)
}

# compare ROW SIDE LIMIT: vinteg's throughput to that side's.
function compare(row, side, limit,    s)
{
	s = state(row, "vinteg " side)
	claim(row, s, s ? ratio(row, side) : 0, s && ratio(row, side) >= limit)
}

# check GOAL LIMIT: over all rows that it is about.
function check(goal, limit,    i, row, p, s, x, alone)
{
	for (i = 1; i <= n; i++) {
		row = rows[i]
		split(row, p, "\t")
		if (!mine(row))
			continue
		if (goal == "real") {
			if (p[2] == "real")
				compare(row, "loop", limit)
			continue
		}
		if (p[2] != "virtual")
			continue
		if (goal == "loop")
			compare(row, "loop", limit)
		if (goal == "floor" && floored(p)) {
			s = state(row, "vinteg raw empty")
			claim(row, s, s ? floor(row) : 0, s && floor(row) <= limit)
		}
		if (p[6] == "fua.qd1" && (goal == "fua" && p[3] == "plp" ||
				goal == "fuaothers" && p[3] != "plp"))
			compare(row, "loop", limit)
		if (goal == "slow" && p[3] == "slow" && p[5] == "direct")
			compare(row, "raw", limit)
		if (goal == "time" && p[4] == "xfs" && p[3] == "plp" && p[5] == "direct" &&
				p[6] ~ /^randwrite/)
			compare(row, "raw", limit)
		if (p[3] == "slow" && p[5] p[6] == "directfua.qd32") {
			if (goal == "model") {
				s = state(row, "disk")
				x = flushes[row, "disk"] * rate[row, "disk"]
				claim(row, s, x, x > 0 && x <= limit)
			}
			if (goal == "group") {
				s = state(row, "vinteg")
				x = flushes[row, "vinteg"]
				claim(row, s, x, x <= limit)
			}
			if (goal == "grouploop")
				compare(row, "loop", limit)
			if (goal == "groupp99") {
				s = state(row, "vinteg loop")
				x = s ? p99[row, "vinteg"] / p99[row, "loop"] : 0
				claim(row, s, x, s && x <= limit)
			}
		}
		if (goal == "beside" && p[6] == "beside.qd8") {
			alone = row
			sub(/beside/, "randread", alone)
			s = state(row, "vinteg")
			if (state(alone, "vinteg") < s)
				s = state(alone, "vinteg")
			x = s ? p99[row, "vinteg"] / p99[alone, "vinteg"] : 0
			claim(row, s, x, s && x <= limit)
		}
	}
}

function goals()
{
	check("loop", 1.0);	verdict("every cell at least as fast as loop")
	means("loop", 2.0);	verdict("geometric mean at least 2.0 times loop"); told()
	check("floor", 0.95);	verdict("direct: at most 0.95 of the raw file's and the empty disk's time")
	means("floor", 0.85);	verdict("the same, geometric mean: at most 0.85"); told()
	check("fua", 1.8);	verdict("FUA write at QD 1 at least 1.8 times loop")
	check("fuaothers", 1.8); verdict("the same on disks with a volatile cache")
	check("model", 1010);	verdict("the slow disk itself, FUA at QD 32: no more than 1,000 flushes a second")
	check("slow", 0.95);	verdict("a flush of 1 ms: at least 0.95 of the raw file's throughput")
	check("group", 0.125);	verdict("the same, FUA at QD 32: at most one flush for 8 writes")
	check("grouploop", 1.3); verdict("the same: at least 1.3 times loop")
	check("groupp99", 1);	verdict("the same: 99th percentile no worse than loop's")
	check("time", 1.1);	verdict("xfs, random writes: at least 1.1 times the raw file")
	check("beside", 1.5);	verdict("reads beside a flushing writer: p99 at most 1.5 times that without")
	check("real", 1.0);	verdict("real time, 4 jobs: no cell below loop")
}

function told()
{
	printf "%s", figures
	figures = ""
}

END {
	if (!ncells)
		exit 1
	goals()
	for (row in others)
		reporting = 1
	if (reporting) {
		print "\nReported, not judged (how many of the rows are within the same limits):"
		goals()
	}
}
