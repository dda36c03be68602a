# SPDX-License-Identifier: GPL-2.0
#
# For whoever reads what medians.awk prints.

# percentile LIST WANTED: of a list as measure.sh makes them; "-" if it isn't there.
function percentile(list, wanted,    i, n, part, pair)
{
	n = split(list, part, ",")
	for (i = 1; i <= n; i++) {
		split(part[i], pair, "=")
		if (pair[1] == wanted)
			return pair[2]
	}
	return "-"
}
