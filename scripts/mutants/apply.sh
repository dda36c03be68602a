#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# apply.sh EDIT FOLDER: applies an edit to a copy of the driver in FOLDER.
#
# An edit is a diff without line numbers. "--- FILE" names the file, "@@" begins a hunk:
# lines with a blank in front stay, with "-" go, with "+" come. The lines that are there
# before must be found exactly once, blanks and tabs aside, or it is an error; after
# "@@ TEXT" the first place below the first line that contains TEXT is taken. So an edit
# survives changes around it, and does not survive in silence a change of what it edits.

set -euo pipefail

[ $# = 2 ] || { echo "usage: apply.sh EDIT FOLDER" >&2; exit 2; }
exec awk -v edit="$1" -v folder="$2" '
	function die(text)
	{
		printf "%s: %s\n", edit, text >"/dev/stderr"
		failed = 1
		exit 1
	}

	function bare(line)
	{
		gsub(/[ \t]+/, " ", line)
		sub(/^ /, "", line)
		sub(/ $/, "", line)
		return line
	}

	function load(name)
	{
		path = folder "/" name
		lines = 0
		while ((got = (getline line <path)) > 0)
			text[++lines] = line
		close(path)
		if (got < 0)
			die("there is no " name)
	}

	function save(   i)
	{
		for (i = 1; i <= lines; i++)
			print text[i] >path
		close(path)
	}

	# Do the lines that the hunk wants begin at this line?
	function matches(at,   i, n)
	{
		for (i = 1; i <= size; i++)
			if (sign[i] != "+" && bare(text[at + n++]) != bare(body[i]))
				return 0
		return at + n - 1 <= lines
	}

	function apply(   at, from, found, i, n, out)
	{
		if (!size)
			return
		if (!path)
			die("a hunk for no file")
		if (!old)
			die("a hunk that finds nothing to hold on to")
		from = 1
		if (near != "") {
			while (from <= lines && !index(text[from], near))
				from++
			if (from > lines)
				die("\"" near "\" is nowhere in " path)
		}
		for (at = from; at <= lines; at++) {
			if (!matches(at))
				continue
			if (found)
				die("more than one place in " path " for: " body[1])
			found = at
			if (near != "")
				break
		}
		if (!found)
			die("no place in " path " for: " body[1])

		for (i = 1; i < found; i++)
			out[++n] = text[i]
		at = found
		for (i = 1; i <= size; i++) {
			if (sign[i] == " ")
				out[++n] = text[at++]
			else if (sign[i] == "+")
				out[++n] = body[i]
			else
				at++
		}
		while (at <= lines)
			out[++n] = text[at++]
		for (i = 1; i <= n; i++)
			text[i] = out[i]
		lines = n
		size = old = 0
		hunks++
	}

	BEGIN {
		while ((got = (getline line <edit)) > 0) {
			if (line ~ /^--- /) {
				apply()
				if (path)
					save()
				load(substr(line, 5))
				near = ""
			} else if (line ~ /^@@/) {
				apply()
				near = substr(line, 4)
			} else if (path) {
				if (line !~ /^[-+ ]/)
					die("neither kept, added nor removed: " line)
				sign[++size] = substr(line, 1, 1)
				body[size] = substr(line, 2)
				if (sign[size] != "+")
					old++
			}
		}
		if (got < 0)
			die("can not be read")
		apply()
		if (!hunks)
			die("changes nothing")
		save()
	}
	END { exit failed }'
