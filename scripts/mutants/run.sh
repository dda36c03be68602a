#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh [--quick] [--cuts] [--ktap] [PATTERN]: do the tests notice what they are for? Breaks the
# driver on purpose, in one way after the other: each file in edits/ is a mutant. Builds
# it for User-Mode Linux and runs the tests that are meant to notice.
#
#	Breaks: what the mutant does wrong
#	Test: program of the selftests
#	Result: pattern of its results that have to fail, all of them
#	Says: pattern of what is said about each of these failures
#	Cut: POLICY HOST FILE DISK LOAD of a power cut that has to lose something, as in
#		powercut/live-guest.sh; in one of a few at least
#	Quick: yes, for those that "make check" has the time for
#	--- FILE, and what apply.sh makes of it
#
# "Test", "Result" and "Says" may come again; then each has to notice. A mutant is killed
# only by the failure that is meant: not by one of another kind or of another result, not
# by a crash, a hang, or a module that can't be loaded or removed. All tests have to pass
# before with the driver as it is. PATTERN selects by name, --quick leaves out the slow
# ones and the power cuts, --cuts all but these, --ktap is for who counts results. The exit
# status is 0 only if all are killed.

. "$(dirname "$0")/../lib.sh"

quick='' cuts='' ktap=''
while :; do
	case ${1:-} in
	--quick)	quick=1 ;;
	--cuts)		cuts=1 ;;
	--ktap)		ktap=1 ;;
	-*)		die "usage: run.sh [--quick | --cuts] [--ktap] [PATTERN]" ;;
	*)		break ;;
	esac
	shift
done
pattern=${1:-.}

HERE=$TOP/scripts/mutants
# The results that every test program has at its end.
LAST="the module can be removed at the end|the kernel log has no trouble and no unexpected warning"
# So many mutants in one machine, unless it comes to harm; so many seconds for each.
TOGETHER=6
TIMEOUT=300
# Power cuts of each kind. Which requests are under way in one is a matter of luck.
CUTS=8

work=$CACHE/mutants
mkdir -p "$work"
exec {lock}>"$work/lock"
flock -n "$lock" || { step "waiting for another run to end"; flock "$lock"; }
# What is built from, always at the same place: only what differs is built again.
src=$work/source
logs=$work/logs
rm -rf "$logs" "$work/job"
mkdir -p "$logs" "$work/job/modules" "$src"

# fields NAME KEY: the values of a key, one a line.
fields()
{
	sed -n "/^--- /q; s/^$2: //p" "$HERE/edits/$1"
}

# cases NAME: a line for each "Test", with its "Result" and "Says".
cases()
{
	paste <(fields "$1" Test) <(fields "$1" Result) <(fields "$1" Says)
}

# well_formed NAME: an edit that names nothing, or no test that is there, is a mistake.
well_formed()
{
	local program result says

	[ -n "$(fields "$1" Breaks)" ] && [ -n "$(fields "$1" Test)" ] || return
	while IFS=$'\t' read -r program result says; do
		[ -x "$TOP/selftests/$program" ] && [ -n "$result" ] && [ -n "$says" ] || return
	done < <(cases "$1")
}

# sync_source FOLDER: makes the source equal to a driver in FOLDER, and touches nothing
# else.
sync_source()
{
	local file

	mkdir -p "$src/drivers/block/vinteg"
	cmp -s "$TOP/Kbuild" "$src/Kbuild" || cp "$TOP/Kbuild" "$src/"
	for file in "$src"/drivers/block/vinteg/*; do
		[ -e "$1/${file##*/}" ] || rm -f "$file"
	done
	for file in "$1"/*; do
		cmp -s "$file" "$src/drivers/block/vinteg/${file##*/}" ||
			cp "$file" "$src/drivers/block/vinteg/"
	done
}

# build NAME FOLDER: the module NAME of the driver in FOLDER.
build()
{
	mkdir -p "$logs/$1"
	sync_source "$2"
	"$TOP/scripts/uml/module.sh" fast "$src" "$work/built" >"$logs/$1/build" 2>&1 || return
	cp "$work/built/vinteg.ko" "$work/job/modules/$1.ko"
}

# run_cases LOG SECONDS: runs what the job's "cases" lists. Sets $trouble to what is wrong
# with the machine, not with a result.
run_cases()
{
	local rc=0 verdict

	mkdir -p "$1"
	"$TOP/scripts/uml/run.sh" --job "$work/job" --out "$1" --timeout "$2" \
		>"$1/machine" 2>&1 || rc=$?
	verdict=$(cat "$1/verdict" 2>/dev/null || true)
	case $verdict in
	"run=0 rmmod=ok log=clean leaks=none")	trouble='' ;;
	'')					trouble="the machine died or hung" ;;
	*)					trouble="the machine says: $verdict" ;;
	esac
	[ $rc = 0 ] || [ -n "$trouble" ] || trouble="the machine failed ($rc)"
}

# judge LOG NAME PROGRAM RESULT SAYS: "passed", "failed TEXT" if all the results failed in
# the way that is meant (the first one's text), "partly TEXT" if one did not fail, "broken
# WHY" for all else.
judge()
{
	awk -v want="== case $2 $3" -v result="$4" -v says="$5" -v last="^($LAST)\$" '
		function bad(why)
		{
			if (why_bad == "")
				why_bad = why
		}
		/^== case / { mine = $0 == want; next }
		!mine { next }
		/^== took / { mine = 0; ended = 1 }
		/^1\.\.[0-9]/ { planned = 1 }
		/^Bail out!/ { bad($0) }
		/^(not )?ok [0-9]/ {
			failed = /^not/
			text = $0
			sub(/^(not )?ok [0-9]* /, "", text)
			if (text ~ result) {
				named++
				if (!failed)
					passed_text = text
				else if (said ~ says)
					failed_text[++nr_failed] = text
				else
					bad("another failure of: " text)
			} else if (text ~ last && failed) {
				bad("failed: " text)
			}
			said = ""
			next
		}
		{ said = said $0 "\n" }
		END {
			if (!ended || !planned)
				bad("the test program has no end")
			if (!named)
				bad("no result matches " result)
			if (why_bad != "")
				print "broken " why_bad
			else if (nr_failed == named)
				print "failed " failed_text[1]
			else if (nr_failed)
				print "partly " passed_text
			else
				print "passed"
		}' "$1/output"
}

# baseline NAME...: each test program once, with all the results that are meant to fail
# later; with the driver as it is they have to pass.
baseline()
{
	local name program result outcome failed=0

	for name; do
		cases "$name"
	done | cut -f 1,2 | sort -u >"$work/wanted"
	awk -F '\t' -v OFS='\t' '
		{ all[$1] = all[$1] (all[$1] == "" ? "" : "|") $2 }
		END { for (program in all) print "baseline", program, all[program] }' \
		"$work/wanted" >"$work/job/cases"
	step "the driver as it is: $(wc -l <"$work/job/cases") test programs"
	build baseline "$work/good" || die "the driver can't be built: see $logs/baseline/build"
	# Whatever runs here is a copy of this.
	cp "$work/job/modules/baseline.ko" "$work/job/vinteg.ko"
	run_cases "$logs/baseline" 1800
	[ -z "$trouble" ] || die "the driver as it is: $trouble; the logs are in $logs/baseline"
	while IFS=$'\t' read -r program result; do
		outcome=$(judge "$logs/baseline" baseline "$program" "$result" .)
		[ "$outcome" = passed ] && continue
		step "the driver as it is fails $program: $result: $outcome"
		failed=1
	done <"$work/wanted"
	[ $failed = 0 ] || die "nothing is known of mutants while the driver itself fails"
	rm "$work/job/modules/baseline.ko"
}

# tell NAME FATE HOW: killed, SURVIVED or BROKEN, and by what.
tell()
{
	number=$((number + 1))
	step "$(printf '%2d/%d %-8s %-28s %s' $number "$verdicts" "$2" "$1" "$3")"
	printf '%-28s %-8s  %s\n' "$1" "$2" "$3" >>"$work/table"
	if [ "$2" = killed ]; then
		killed=$((killed + 1))
		[ -z "$ktap" ] || echo "ok $number - $1 is killed"
	else
		step "      what it does wrong: $(fields "$1" Breaks)"
		[ -z "$ktap" ] || echo "not ok $number - $1 is killed # $2: $3"
	fi
}

# weigh NAME LOG: tells what became of a mutant whose cases have run.
weigh()
{
	local program result says outcome all=''

	while IFS=$'\t' read -r program result says; do
		outcome=$(judge "$2" "$1" "$program" "$result" "$says")
		case $outcome in
		"failed "*)
			all="$all${all:+; }$program: ${outcome#* }"
			;;
		passed | "partly "*)
			tell "$1" SURVIVED "$program: $result"
			return
			;;
		*)
			tell "$1" BROKEN "$program: ${outcome#* }"
			return
			;;
		esac
	done < <(cases "$1")
	tell "$1" killed "$all"
}

# together NAME...: builds mutants, and runs them in one machine. If that comes to harm,
# each gets one of its own, so that none is judged by what another did.
together()
{
	local name log alone=() built=()

	for name; do
		if [ -e "$work/job/modules/$name.ko" ] || build "$name" "$work/mutant/$name"; then
			built+=("$name")
		else
			tell "$name" BROKEN "can't be built: $logs/$name/build"
		fi
	done
	[ ${#built[@]} != 0 ] || return 0
	log=$logs/$1
	for name in "${built[@]}"; do
		cases "$name" | cut -f 1,2 | sed "s/^/$name\t/"
	done >"$work/job/cases"
	run_cases "$log" $((TIMEOUT * ${#built[@]}))
	if [ -n "$trouble" ] && [ ${#built[@]} -gt 1 ]; then
		step "a machine of its own for each of: ${built[*]} ($trouble)"
		alone=("${built[@]}")
	elif [ -n "$trouble" ]; then
		tell "${built[0]}" BROKEN "$trouble"
	else
		for name in "${built[@]}"; do
			weigh "$name" "$log"
		done
	fi
	for name in "${alone[@]}"; do
		together "$name"
	done
	for name; do
		rm -f "$work/job/modules/$name.ko"
	done
}

# cut_off NAME: cuts the power under it, and tells what became of it.
cut_off()
{
	local cut seed lost all=''

	mkdir -p "$logs/$1"
	sync_source "$work/mutant/$1"
	while IFS= read -r cut; do
		for ((seed = 1; seed <= CUTS; seed++)); do
			echo "$seed $cut"
		done >"$work/plan"
		SRC=$src PLAN=$work/plan KERNELS=uml LOGS=$logs/$1/cuts RESULTS=/dev/null \
			"$TOP/scripts/powercut/live.sh" >"$logs/$1/table" 2>&1 || true
		if grep -q 'accident\|UNKNOWN' "$logs/$1/cuts/cuts" ||
				[ "$(wc -l <"$logs/$1/cuts/cuts")" != $CUTS ]; then
			tell "$1" BROKEN "power cut: $cut: see $logs/$1"
			return
		fi
		lost=$(grep -c ' LOST \| DAMAGED \| UNMOUNTABLE ' "$logs/$1/cuts/cuts") || true
		if [ "$lost" = 0 ]; then
			tell "$1" SURVIVED "power cut: $cut: nothing lost in $CUTS"
			return
		fi
		all="$all${all:+; }power cut: $cut: lost in $lost of $CUTS"
	done < <(fields "$1" Cut)
	tell "$1" killed "$all"
}

names=() cut_names=()
for edit in "$HERE"/edits/*; do
	name=${edit##*/}
	[[ $name =~ $pattern ]] || continue
	well_formed "$name" || die "$edit: not what the head of run.sh describes"
	[ -z "$quick" ] || [ "$(fields "$name" Quick)" = yes ] || continue
	names+=("$name")
	[ -n "$quick" ] || [ -z "$(fields "$name" Cut)" ] || cut_names+=("$name")
done
[ ${#names[@]} != 0 ] || die "no mutant's name matches '$pattern'"

# All of them now: the driver may change while this runs.
rm -rf "$work/good" "$work/mutant"
mkdir -p "$work/good" "$work/mutant"
(cd "$TOP/drivers/block/vinteg" && cp Kconfig Makefile ./*.[ch] "$work/good/")
rm -f "$work"/good/*.mod.c
for name in "${names[@]}"; do
	cp -r "$work/good" "$work/mutant/$name"
	"$HERE/apply.sh" "$HERE/edits/$name" "$work/mutant/$name" ||
		die "the edit doesn't fit the driver any more: $HERE/edits/$name"
done

killed=0 number=0 verdicts=${#cut_names[@]}
: >"$work/table"
if [ -z "$cuts" ]; then
	verdicts=$((verdicts + ${#names[@]}))
	"$TOP/scripts/kernel/selftests.sh" bookworm "$work/job/selftests"
	install -m 755 "$HERE/job.sh" "$work/job/run"
	baseline "${names[@]}"
	for ((first = 0; first < ${#names[@]}; first += TOGETHER)); do
		together "${names[@]:first:TOGETHER}"
	done
fi
for name in "${cut_names[@]}"; do
	cut_off "$name"
done
[ -n "$ktap" ] || sort -k 2,2 -k 1,1 "$work/table"
step "$killed of $verdicts times a mutant was killed that had to be; the logs are in $logs"
[ "$verdicts" != 0 ] && [ $killed = "$verdicts" ]
