# SPDX-License-Identifier: GPL-2.0
#
# To be read after percentile.awk. Reads what medians.awk prints; prints tables for people:
# one for each kernel, clock and place, and one of the peers, where they were measured.

BEGIN { FS = "\t" }

{
	place = $1 "\t" $2 "\t" $3 "\t" $4
	cell = $6 "\t" $5
	side = $7
	sub(/-.*/, "", side)
	if (!(place in seen)) {
		seen[place] = 1
		places[++nplaces] = place
	}
	if (!((place, cell) in seen)) {
		seen[place, cell] = 1
		cells[place, ++ncells[place]] = cell
	}
	if (side !~ /^(vinteg|loop|raw|empty)$/) {
		if (!(place in npeers))
			npeers[place] = 0
		if (!((place, $7) in seen)) {
			seen[place, $7] = 1
			peers[place, ++npeers[place]] = side
		}
	}
	rate[place, cell, side] = $8
	if ($9 > worst[place, cell])
		worst[place, cell] = $9
	if (!(place in fewest) || $10 < fewest[place])
		fewest[place] = $10
	if ($10 > most[place])
		most[place] = $10
	if ($14 != "-") {
		ops[place, cell, side] = sprintf("%.2f", $13 + $14)
		flushes[place, cell, side] = sprintf("%.2f", $15)
	}
	instructions[place, cell, side] = $16
	p99[place, cell, side] = percentile($12, 99)
}

function kilo(place, cell, side)
{
	return rate[place, cell, side] > 0 ? sprintf("%.1f", rate[place, cell, side] / 1000) : "-"
}

function micro(place, cell, side)
{
	return rate[place, cell, side] > 0 ? 1e6 / rate[place, cell, side] : 0
}

function ratio(a, b)
{
	return a > 0 && b > 0 ? sprintf("%.2f", a / b) : "-"
}

function or_dash(x)
{
	return x == "" ? "-" : x
}

function whole(x)
{
	return x == "" || x == "-" ? "-" : sprintf("%.0f", x)
}

function title(p)
{
	return sprintf("Linux %s, %s, disk %s, %s", p[1],
		p[2] == "cost" ? "virtual time, one processor" : p[2] " time", p[3],
		p[4] == "blk" ? "no file system" : p[4])
}

# costs PLACE: instructions per request; those of whoever asks are in all of them.
function costs(place,    i, k, p, c, cell, x, sides)
{
	split(place, p, "\t")
	printf "\n%s; %s repetition%s\n", title(p), fewest[place] == most[place] ? most[place] : \
		fewest[place] " to " most[place], most[place] == 1 ? "" : "s"
	printf "%-9s %-14s %31s | %7s %7s\n", "", "", "instructions per request", "vinteg", "to"
	printf "%-9s %-14s %7s %7s %7s %7s | %7s %7s\n", "kind", "cell", "vinteg", "loop", "raw",
		"empty", "loop", "raw"
	split("vinteg loop raw empty", sides, " ")
	for (i = 1; i <= ncells[place]; i++) {
		cell = cells[place, i]
		split(cell, c, "\t")
		printf "%-9s %-14s", c[1], c[2]
		for (k = 1; k <= 4; k++)
			printf " %7s", or_dash(instructions[place, cell, sides[k]])
		x = instructions[place, cell, "vinteg"]
		printf " | %7s %7s\n", ratio(x, instructions[place, cell, "loop"]),
			ratio(x, instructions[place, cell, "raw"])
	}
}

function table(place,    i, n, p, c, cell, v, l, r, e, logs, loops, floors, flogs,
	cellcount)
{
	split(place, p, "\t")
	printf "\n%s; %s repetition%s\n", title(p), fewest[place] == most[place] ? most[place] : \
		fewest[place] " to " most[place], most[place] == 1 ? "" : "s"
	printf "%-9s %-14s %31s | %23s | %31s | %21s | %17s | %17s |\n", "", "",
		"thousands per second", "us per request", "vinteg to", "p99, us",
		"disk: I/O", "flushes"
	printf "%-9s %-14s %7s %7s %7s %7s | %7s %7s %7s | %7s %7s %7s %7s | %7s %6s %6s | %5s %5s %5s | %5s %5s %5s | %6s\n",
		"kind", "cell", "vinteg", "loop", "raw", "empty", "vinteg", "loop", "raw",
		"loop", "raw", "floor", "(loop)", "vinteg", "loop", "raw",
		"vint.", "loop", "raw", "vint.", "loop", "raw", "spread"
	for (i = 1; i <= ncells[place]; i++) {
		cell = cells[place, i]
		split(cell, c, "\t")
		v = micro(place, cell, "vinteg"); l = micro(place, cell, "loop")
		r = micro(place, cell, "raw"); e = micro(place, cell, "empty")
		printf "%-9s %-14s %7s %7s %7s %7s |", c[1], c[2], kilo(place, cell, "vinteg"),
			kilo(place, cell, "loop"), kilo(place, cell, "raw"), kilo(place, cell, "empty")
		printf " %7.2f %7.2f %7.2f |", v, l, r
		printf " %7s %7s %7s %7s |", ratio(l, v), ratio(r, v),
			r && e ? ratio(v, r + e) : "-", r && e ? ratio(l, r + e) : "-"
		printf " %7s %6s %6s |", whole(p99[place, cell, "vinteg"]),
			whole(p99[place, cell, "loop"]), whole(p99[place, cell, "raw"])
		printf " %5s %5s %5s |", or_dash(ops[place, cell, "vinteg"]),
			or_dash(ops[place, cell, "loop"]), or_dash(ops[place, cell, "raw"])
		printf " %5s %5s %5s |", or_dash(flushes[place, cell, "vinteg"]),
			or_dash(flushes[place, cell, "loop"]), or_dash(flushes[place, cell, "raw"])
		printf " %5.1f%%\n", worst[place, cell]
		cellcount++
		if (v && l) {
			logs += log(l / v); loops++
		}
		if (v && r && e) {
			flogs += log(v / (r + e)); floors++
		}
	}
	if (loops)
		printf "geometric means: %.2f times loop (%d of %d cells)", exp(logs / loops),
			loops, cellcount
	if (floors)
		printf ", %.2f of raw + empty (%d cells)", exp(flogs / floors), floors
	if (loops || floors)
		printf "\n"
}

function peer_table(place,    i, k, n, c, cell, known, list)
{
	# In a fixed order, whatever the order of measuring was.
	n = 0
	for (k = split("disk lio nbdkit qemu ublk", known, " "); k > 0; k--)
		for (i = 1; i <= npeers[place]; i++)
			if (peers[place, i] == known[k]) {
				list[++n] = known[k]
				break
			}
	printf "\nthe same, others, thousands per second (and vinteg's ratio to them)\n"
	printf "%-9s %-14s %7s", "kind", "cell", "vinteg"
	for (k = 1; k <= n; k++)
		printf " %15s", list[k]
	printf "\n"
	for (i = 1; i <= ncells[place]; i++) {
		cell = cells[place, i]
		split(cell, c, "\t")
		printf "%-9s %-14s %7s", c[1], c[2], kilo(place, cell, "vinteg")
		for (k = 1; k <= n; k++)
			printf " %15s", (place, cell, list[k]) in rate ? kilo(place, cell, list[k]) \
				" (" ratio(rate[place, cell, "vinteg"], rate[place, cell, list[k]]) ")" : "-"
		printf "\n"
	}
}

END {
	for (i = 1; i <= nplaces; i++) {
		split(places[i], part, "\t")
		if (part[2] == "cost") {
			costs(places[i])
			continue
		}
		table(places[i])
		if (places[i] in npeers)
			peer_table(places[i])
	}
	print ""
	print "floor: time per request, to the sum of the raw file's and the empty disk's; (loop): loop's"
	print "disk: I/O: reads and writes below the host file system per request; flushes: the same"
	print "us per request: in virtual time a thousand instructions each, but for waiting for the disk"
	print "p99: of the time from the begin of a request's submission; each figure is a median of its own"
	print "instructions: of all that the one processor did, but for idling; within some 5 %; Linux 7.3"
	print "tells them only where it was never idle"
	print "spread: highest less lowest throughput to the median, the worst of the row"
}
