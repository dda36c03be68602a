#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# docs.sh [TREE]: compares what the documents of a tree (default: this one) say with
# its code: parameters and their defaults, attributes and their modes, policies and
# what they do, tracepoints, versions, paths, make targets. Says what differs, and
# fails then; else it is silent.

. "$(dirname "$0")/../lib.sh"

cd "${1:-$TOP}"
DRIVER=drivers/block/vinteg
README=README
GUIDE=$DRIVER/vinteg.rst
ABI=$DRIVER/sysfs-block-vinteg
TOOL=scripts/vintegctl
MANUAL=scripts/install/vintegctl.8
failed=0

# same WHAT DOCUMENT IN-THE-CODE IN-THE-DOCUMENT: two lists, a line for each thing.
same()
{
	local what=$1 document=$2 differences

	if [ -z "$3" ]; then
		echo "$what: none found in the code, so nothing was compared"
		failed=1
	elif ! differences=$(diff <(echo "$3") <(echo "$4")); then
		echo "$what: the code (<) and $document (>) differ"
		grep '^[<>]' <<<"$differences"
		failed=1
	fi
}

sorted_same()
{
	same "$1" "$2" "$(sort <<<"$3")" "$(sort <<<"$4")"
}

code()
{
	cat $DRIVER/*.c $DRIVER/*.h
}

# section TITLE: that section of the text on stdin: from the underlined title to the
# next one.
section()
{
	awk -v title="$1" '
		/^(=+|-+)$/ && last !~ /^(=|-|$)/ { on = last == title }
		on { print }
		{ last = $0 }'
}

# rst_tables: the rows of simple tables, one a line, columns separated by tabs; what
# continues in the next line is joined.
rst_tables()
{
	awk '
		function flush(  i, row) {
			if (cells) {
				for (i = 1; i <= cells; i++)
					row = row (i > 1 ? "\t" : "") cell[i]
				print row
			}
			cells = 0
		}
		{ sub(/^\t+/, "") }
		/^==+  [= ]*=$/ {
			flush()
			rules++
			columns = split($0, rule, /  +/)
			at = 1
			for (i = 1; i <= columns; i++) {
				start[i] = at
				at += length(rule[i]) + 2
			}
			next
		}
		rules % 3 == 2 && NF {
			if (substr($0, 1, 1) != " ") {
				flush()
				cells = columns
				for (i = 1; i <= columns; i++)
					cell[i] = ""
			}
			for (i = 1; i <= columns; i++) {
				text = i < columns ? substr($0, start[i], length(rule[i])) : \
					substr($0, start[i])
				gsub(/^ +| +$|`/, "", text)
				cell[i] = cell[i] (cell[i] != "" && text != "" ? " " : "") text
			}
		}
		rules % 3 == 0 { flush() }'
}

# parameters: "name default" of each, from its description; defaults are macros.
parameters()
{
	local macros=() name value

	while read -r name value; do
		macros+=(-e "s/__stringify($name)/$value/" -e "s/$name/${value//\"/}/")
	done < <(code | sed -n 's/^#define \(VINTEG_DEF_[A-Z_]*\)[ \t]*/\1 /p')
	code | sed -n '/^MODULE_PARM_DESC(/,/");$/p' | tr '\n\t' '  ' |
		sed -e 's/MODULE_PARM_DESC(/\n/g' | sed "${macros[@]}" -e 's/ *" *//g' |
		sed -n 's/^\([a-z_]*\),.*(default: *\([^)]*[^) ]\) *).*/\1 \2/p'
}

declared_parameters()
{
	code | grep -o '^module_param[a-z_]*([a-z_]*' | sed 's/.*(//'
}

# with_modes: adds to each name on stdin the mode of the attribute of that name.
with_modes()
{
	local name

	while read -r name; do
		echo "$name $(code | tr '\n\t' '  ' |
			grep -oE "ATTR_(RO|RW|WO)\($name\)|__ATTR\($name, 0[0-7]" | sort -u |
			sed 's/.*_\(R[OW]\|WO\)(.*/\1/; s/.* 04/ro/; s/.* 02/wo/; s/.* 06/rw/' |
			tr RWO rwo)"
	done
}

# attributes: "name mode" of all that are in a group, stats/ included.
attributes()
{
	code | sed -n 's/.*&dev_attr_\([a-z_]*\)\.attr,.*/\1/p' | with_modes
	code | sed -n 's/.*&vinteg_stat_\([a-z_]*\)\.attr\.attr,.*/stats\/\1 ro/p'
}

control_attributes()
{
	code | sed -n 's/.*&class_attr_\([a-z_]*\)\.attr,.*/\1/p' | with_modes
}

# policies SED-OPTION...: rows of the table of policies, "name path durable flush", in
# its order, after sed has put them into the words of a document.
policies()
{
	awk '
		/^\t\[VINTEG_[A-Z]*\] = \{/ { on = 1 }
		on && /^\t\t\.[a-z]+[ \t]*=/ {
			sub(/^\t\t\.[a-z]+[ \t]*= */, "")
			gsub(/"|,$|VINTEG_/, "")
			row = row (row == "" ? "" : "\t") $0
		}
		/^\t},/ { print row; row = "" }' $DRIVER/policy.c | sed "$@"
}

events()
{
	code | grep -oE '^TRACE_EVENT\([a-z_]+|^DEFINE_EVENT\([a-z_]+, *[a-z_]+' | sed 's/.*[(, ]//'
}

# readme_rows FROM TO SED-OPTION...: rows of a table in README, between two lines; what
# continues in the next line is joined.
readme_rows()
{
	local from=$1 to=$2
	shift 2

	section "Attributes and parameters" <$README | sed -n "/^$from/,/^$to/p" |
		awk '/^  [a-z]/ { printf "\n%s", $0 } /^   +/ { sub(/^ +/, " "); printf "%s", $0 }' |
		sed "$@"
}

abi_entries()
{
	awk -v below="$1" '
		/^What:/ { name = index($2, below) == 1 ? substr($2, length(below) + 1) : "" }
		name != "" && /^\t\t\((RW|RO|WO)\)/ {
			print name, tolower(substr($1, 2, 2))
			name = ""
		}' $ABI
}

# Parameters.
in_code=$(parameters)
sorted_same "parameters that have a description" MODULE_PARM_DESC \
	"$(declared_parameters)" "$(cut -d ' ' -f 1 <<<"$in_code")"
sorted_same "parameters and defaults" $README "$in_code" "$(readme_rows Module Tracepoints \
	-n 's/^  \([a-z_]*\) .*(default: \([^)]*\)).*/\1 \2/p')"
sorted_same "parameters and defaults" $GUIDE "$in_code" \
	"$(section "Module parameters" <$GUIDE | rst_tables | cut -f 1,2 | tr '\t' ' ')"

# Attributes.
mode='s/^  \([a-z_/]*\)  *\(r[wo]\|wo\)  .*/\1 \2/p'
in_code=$(attributes)
sorted_same "attributes" $README "$in_code" "$(readme_rows "In .sys.block" "In .sys.class" -n "$mode")"
sorted_same "attributes" $GUIDE "$in_code" "$(section Attributes <$GUIDE |
	sed '/^Attributes of .*vinteg-control/,$d' | rst_tables |
	awk -F '\t' 'NF == 3 { print $1, $2 } NF == 2 { print "stats/" $1, "ro" }')"
sorted_same "attributes" $ABI "$in_code" "$(abi_entries '/sys/block/vinteg<N>/')"
sorted_same "statistics" $TOOL "$(sed -n 's/^stats\/\(.*\) ro/\1/p' <<<"$in_code")" \
	"$(sed -n '/for name in/,/; do/p' $TOOL | tr -d '\\\n\t;' |
		sed 's/for name in//; s/do$//' | xargs -n 1)"

in_code=$(control_attributes)
sorted_same "attributes of vinteg-control" $README "$in_code" \
	"$(readme_rows "In .sys.class" Module -n "$mode")"
sorted_same "attributes of vinteg-control" $GUIDE "$in_code" "$(section Attributes <$GUIDE |
	sed -n '/^Attributes of .*vinteg-control/,$p' | rst_tables | cut -f 1,2 | tr '\t' ' ')"
sorted_same "attributes of vinteg-control" $ABI "$in_code" \
	"$(abi_entries /sys/class/vinteg-control/)"

# Policies: what they are called, in which order, and what they do.
words=(-e 's/\tPATH_DIRECT/\tpast the page cache/' -e 's/\tPATH_CACHED/\tthrough the page cache/')
same "policies" $README "$(policies "${words[@]}" -e 's/\tPATH_AS_ISSUED/\tas its issuer did it/' \
		-e 's/\tDURABLE_ALWAYS/\tat once/; s/\tDURABLE_ON_FUA/\tafter a FLUSH/' \
		-e 's/\tDURABLE_NEVER/\tsome day/; s/\tFLUSH_SYNC/\tsyncs/' \
		-e 's/\tFLUSH_EMPTY/\thas nothing to do/; s/\tFLUSH_IGNORE/\tis ignored/')" \
	"$(section "Cache policies" <$README | sed -n '/^  ------ /,/^$/s/^  \([a-z]\)/\1/p' |
		sed 's/   */\t/g')"
same "policies" $GUIDE "$(policies -e 's/\tPATH_DIRECT/\tdirect/; s/\tPATH_CACHED/\tpage cache/' \
		-e 's/\tPATH_AS_ISSUED/\tas issued/' \
		-e 's/\t\(.*\)\tDURABLE_ALWAYS/\t\1, durable\t\1, durable/' \
		-e 's/\t\(.*\)\tDURABLE_ON_FUA/\t\1\t\1, durable/; s/\t\(.*\)\tDURABLE_NEVER/\t\1\t\1/' \
		-e 's/\tFLUSH_SYNC/\tsyncs/; s/\tFLUSH_EMPTY/\tcompletes at once/' \
		-e 's/\tFLUSH_IGNORE/\tcompletes at once, counted/')" \
	"$(section "Cache policies" <$GUIDE | rst_tables)"
same "policies" $ABI "$(policies "${words[@]}" -e 's/\tPATH_AS_ISSUED/\tas it was issued/' \
		-e 's/\tFLUSH_[A-Z]*//; s/\tDURABLE_ALWAYS/\tall/; s/\tDURABLE_NEVER/\tnothing/' \
		-e 's/\tDURABLE_ON_FUA/\tFUA writes, and all before a FLUSH/')" \
	"$(sed -n '/^What:.*cache_policy/,/^What:.*read_only/p' $ABI | rst_tables)"
in_code=$(policies -e 's/\t.*//')
same "policies" $TOOL "$in_code" "$(tr -d '\n' <$TOOL |
	sed 's/.*Cache policies: \([a-z \t]*\)\..*/\1/' | xargs -n 1)"
same "policies" $MANUAL "$in_code" "$(sed -n '/^\.SH CACHE POLICIES/,/^\.SH EXIT/s/^\.B //p' $MANUAL)"

# The tool: what it can be told, and its columns.
in_manual=$(sed -n '/^\.SH COMMANDS/,/^\.SH CACHE/p' $MANUAL |
	sed -n '/^\.TP/{n; s/^\.B[IR] \([a-z]*\) .*/\1/p}')
usage=$(sed -n '/^usage()/,/^}/p' $TOOL)
sorted_same "commands" $MANUAL \
	"$(sed -n '/^command=/,$s/^\([a-z |]*\))$/\1/p' $TOOL | tr -d '\t ' | tr '|' '\n')" \
	"$in_manual"
sorted_same "commands" "the usage of $TOOL" \
	"$in_manual" \
	"$(sed -n 's/.*vintegctl \[\?\([a-z][a-z]*\).*/\1/p' <<<"$usage")"
sorted_same "options" $MANUAL "$(grep -oE -e '-[a-z], --[a-z-]+' <<<"$usage" | tr -d ,)" \
	"$(sed -n 's/^\.BR \\-\([a-z]\) ", " \\-\\-\([a-z\\-]*\).*/-\1 --\2/p' $MANUAL |
		sed 's/\\-/-/g; s/\\$//')"
sorted_same "columns" $MANUAL \
	"$(sed -n 's/^COLUMNS_ALL="\(.*\)"/\1/p' $TOOL | tr ' ' '\n')" \
	"$(sed -n 's/^\.BR\? \([A-Z]*\)\( [;,]\)\?$/\1/p' $MANUAL | sort -u)"

same "the fallback" $README "$(code | sed -n 's/^#define VINTEG_FALLBACK_POLICY[ \t]*"\(.*\)"/\1/p')" \
	"$(tr '\n' ' ' <$README | sed 's/.*policy was asked for, it is \([a-z]*\).*/\1/')"

# Tracepoints.
in_code=$(events)
sorted_same "tracepoints" $README "$in_code" \
	"$(readme_rows Tracepoints END -n 's/^  \(vinteg_[a-z_]*\) .*/\1/p')"
sorted_same "tracepoints" $GUIDE "$in_code" "$(section Tracepoints <$GUIDE | rst_tables | cut -f 1)"

# Versions, paths, targets.
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
same "the version" $README "$version" \
	"$(grep -oE 'vinteg[-/][0-9][0-9.]*' $README | sed 's/.*[-/]//' | sort -u)"
same "the version" $TOOL "$version" "$(sed -n 's/^VERSION=//p' $TOOL)"
same "the version" $MANUAL "$version" "$(sed -n 's/^\.TH .*"vinteg \([^"]*\)".*/\1/p' $MANUAL)"
same "the kernels" $README "$KERNELS_ALL" "$(tr '\n' ' ' <$README |
	sed 's/.*runs on kernels \([0-9., and]*[0-9]\).*/\1/; s/,\| and//g')"
paths=$(section "How the tree is laid out" <$README | sed -n 's/^  \([^ ][^ ]*\)  .*/\1/p')
same "what is laid out in README" "the tree" "$paths" "$(for path in $paths; do
	[ ! -e "$path" ] || echo "$path"
done)"
targets=$(grep -oE '(^  |: |")make [a-z-]+' $README | sed 's/.*make //' | sort -u)
same "make targets of README" Makefile "$targets" "$(for target in $targets; do
	grep -q "^$target:" Makefile && echo "$target"
done)"

exit $failed
