# SPDX-License-Identifier: GPL-2.0
#
# Reads what guest.sh prints; prints what it planned and has no result: place, cell, target,
# and how many of its repetitions are missing.

BEGIN { FS = "\t" }

$1 == "plan" || $1 == "result" {
	row = $2 ":" $3 " " $5 "." $4 " " $6
}

$1 == "plan" {
	if (!planned[row]++)
		rows[++n] = row
}

$1 == "planned" {
	made = 1
}

$1 == "result" && $8 > 0 {
	done[row]++
}

END {
	if (!made)
		print "everything: the machine didn't come as far as to say what it would measure"
	for (i = 1; i <= n; i++)
		if (done[rows[i]] < planned[rows[i]])
			printf "%s: %d of %d\n", rows[i], planned[rows[i]] - done[rows[i]],
				planned[rows[i]]
}
