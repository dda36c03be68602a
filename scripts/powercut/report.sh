# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced: what has come of the power cuts.

# Percent of the cuts that have to lose something: under "unsafe", and on a disk that
# ignores flushes or forced writes. In 24 cuts of each broken disk all did. But the only
# record that was at risk may have been written by the disk itself before the cut.
LOSES=80

check='' part=''

# What a result looks like, for awk. A failure has, with "ktap" set, the cuts that failed,
# and what was said of them in the file "notes", whose lines are: KERNEL SEED POLICY TEXT.
EVIDENCE='
	function read_notes(   line, word, key)
	{
		while (notes != "" && (getline line <notes) > 0) {
			split(line, word, " ")
			key = word[1] " " word[2] " " word[3]
			sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", line)
			if (noted[key]++ < 2)
				note[key] = note[key] "#   " line "\n"
		}
	}
	# Few enough to be shown at the end of "make check".
	function evidence(of, line)
	{
		if (shown[of]++ < 2)
			seen[of] = seen[of] "# " line "\n" note[$1 " " $2 " " $3]
	}
	function result(tried, good, text, of)
	{
		if (!tried && part)
			return
		good = tried && good
		bad += !good
		if (ktap && !good)
			printf "%s", seen[of]
		if (ktap)
			print (good ? "ok " : "not ok ") ++n " - " text
		else
			print (good ? "yes   " : "NO    ") text
	}
	function share(part, all)
	{
		return all ? sprintf("%d of %d (%d %%)", part, all, 100 * part / all) : "none"
	}'

# report CUTS [NOTES]: a line for each kind of cut, then what has to be true of all of them. Fails
# if something isn't. The file CUTS has these lines:
#
#	KERNEL SEED POLICY HOST FILE DISK LOAD VERDICT NUMBERS
#	KERNEL SEED killed      a whole machine was
#	KERNEL SEED accident    something went wrong that is no verdict
#
# A loss is what the promise rules out. What could not be judged is none: it is an accident.
# With "part" set, what was not tried is no failure; with "check" set it prints KTAP.
report()
{
	awk -v least=$LOSES -v ktap="$check" -v part="$part" -v notes="${2:-}" "$EVIDENCE"'
		BEGIN { read_notes() }
		$3 == "killed" { killed++; next }
		$3 == "accident" { accidents++; evidence("accidents", $0); next }
		{
			kernel = $1; policy = $3; host = $4; file = $5; disk = $6; load = $7
			lost = $8 == "LOST" || $8 == "UNMOUNTABLE" || $8 == "DAMAGED"
			# Whoever looks twice has to see the same.
			amiss = lost || $8 == "UNSTEADY"
			if (!amiss && $8 != "kept") {
				accidents++
				evidence("accidents", $0)
			}
			delete value
			for (i = 9; i < NF; i++)
				value[$i] = $(i + 1)
			key = sprintf("%-6s %-13s %-12s %-12s %-9s %-12s", kernel, policy, host, file,
				disk, load)
			sum[key, "acknowledged"] += value["acknowledged"]
			sum[key, "durable"] += value["durable"]
			cuts[key]++
			lossy[key] += amiss
			if (disk ~ /^no-/) {
				nr_controls++
				controls[disk]++; detected[disk] += lost
			} else if (policy == "unsafe") {
				unsafe++; unsafe_lost += lost
			} else {
				durable++
				kept[policy]++; violations[policy] += amiss
				if (amiss)
					evidence(policy, $0)
				dead_first += value["dead-first"]; again += value["again"] > 0
				loads[load]++
				if (load == "switching") {
					under_way += value["switch"] == 2
					just_before += value["switch"] == 1
				}
				waiting += value["waiting"] > 0
				if (load ~ /errors$/) {
					errors++
					failures += value["failures"] > 0
				}
				overrides += load == "override" && value["override"] > 0
			}
		}
		END {
			if (!ktap) {
				printf "%-6s %-13s %-12s %-12s %-9s %-12s %6s %13s %10s %6s\n", "kernel",
					"policy", "host", "file", "disk", "load", "cuts", "acknowledged",
					"durable", "lossy"
				sort = "sort"
				for (key in cuts)
					printf "%s %6d %13d %10d %6d\n", key, cuts[key],
						sum[key, "acknowledged"], sum[key, "durable"], lossy[key] | sort
				close(sort)
				print ""
			}
			comment = ktap ? "# " : ""
			print comment "cuts of durable policies: " durable + 0 \
				", of unsafe: " unsafe + 0 ", of broken disks: " nr_controls + 0 \
				"; machines killed: " killed + 0
			print comment "of the durable ones " dead_first + 0 " let the load run on after the " \
				"disk had died, " again + 0 " were cut again while all came up"
			print comment "of " loads["switching"] + 0 " while policies were switched " \
				under_way + 0 " came in a switch, " just_before + 0 \
				" just after one, " waiting + 0 " with writes that io.max held back"
			split("none directsync writethrough writeback guest", names, " ")
			for (i = 1; i in names; i++)
				result(kept[names[i]], !violations[names[i]],
					names[i] " keeps everything: lost something in " share(violations[names[i]], kept[names[i]]) " cuts", names[i])
			result(unsafe, unsafe_lost * 100 >= least * unsafe,
				"unsafe loses, and it is seen: in " share(unsafe_lost, unsafe))
			split("no-flush no-fua", broken, " ")
			for (i = 1; i in broken; i++)
				result(controls[broken[i]], detected[broken[i]] * 100 >= least * controls[broken[i]],
					"a disk with " broken[i] " loses, and it is seen: in " share(detected[broken[i]], controls[broken[i]]))
			# Else they were cuts like any other.
			if (loads["switching"])
				result(1, under_way + just_before >= loads["switching"] / 2,
					"switches are cut: " share(under_way + just_before, loads["switching"]))
			if (errors)
				result(1, failures * 100 >= least * errors,
					"loads with errors have met a failure in " share(failures, errors))
			if (loads["override"])
				result(1, overrides * 100 >= least * loads["override"],
					"the load \"override\" has set queue/write_cache in " share(overrides, loads["override"]))
			result(1, !accidents, "all could be judged, and the machines live to the end: " \
				accidents + 0 " accidents", "accidents")
			exit bad != 0
		}' "$1"
}
