# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced: reads results in KTAP, the format of the kernel's selftests, while
# they come, shows one line for each test program, and counts. RESULTS names the
# file that gets one line for each result: its kind, where, what. Lines of the kind
# "why" tell the reason of a failed one, those of the kind "accident" what is no result.

# How much is kept of what was said before a failure.
REASONS=6

# record pass|fail|skip|accident WHERE WHAT
record()
{
	printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$RESULTS"
}

# why WHERE WHAT [LINE]...: the reasons of a failure.
why()
{
	local where=$1 what=$2 line
	shift 2

	for line; do
		line=${line//$'\t'/ }
		[ -z "$line" ] || printf 'why\t%s\t%s\t%s\n' "$where" "$what" "${line:0:240}"
	done >>"$RESULTS"
}

# count KIND [WHERE]: how many results of a kind there are; KIND may be a pattern.
count()
{
	awk -F '\t' -v k="^($1)\$" -v w="${2:-}" '
		$1 ~ k && (w == "" || $2 == w) { n++ }
		END { print n + 0 }' "$RESULTS"
}

# kind LINE: pass, fail, or skip.
kind()
{
	case $1 in
	"not ok"*)			echo fail ;;
	*"# SKIP"* | *"# skip"*)	echo skip ;;
	*)				echo pass ;;
	esac
}

# gist LINE...: the command that failed, the last of what was said, then what was executed
# before; commands begin with a plus. There may be room for the first of these lines only.
gist()
{
	printf '%s\n' "$@" | awk -v most=$REASONS '
		/^\++ / { command[++commands] = $0; next }
		# Of dd, which says this whatever happens.
		/ records (in|out)$|^[0-9]+ bytes .* copied, / { next }
		{ text[++texts] = $0 }
		END {
			if (commands)
				print command[commands]
			first = texts - (most - (commands > 0)) + 1
			for (i = first > 1 ? first : 1; i <= texts; i++)
				print text[i]
			shown = most - texts - 1
			for (i = commands - 1; i > 0 && shown-- > 0; i--)
				print "after " command[i]
		}'
}

# ktap_read WHERE: reads KTAP from standard input until it ends. The results of a test
# program come indented by "# ", before the program's own. They count one by one. The
# program counts only if it had none, or failed in a way that none of them tells: it
# crashed, took too long, or did less than it had planned. What was begun and has no
# end is for the caller, who knows which programs there should be; but what had failed
# in it has failed. What was said between the last result and a failed one is its reason.
ktap_read()
{
	local where=$1 line start=$SECONDS planned='' current='' text
	local inner=() remarks=() said=() reasons=()

	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		"# 1.."*)
			planned=${line#"# 1.."}
			planned=${planned%% *}
			;;
		"# ok "* | "# not ok "*)
			inner+=("${line#"# "}")
			case $line in
			"# not"*)	reasons+=("$(gist "${said[@]}")") ;;
			*)		reasons+=('') ;;
			esac
			said=()
			;;
		"# selftests: "*)
			current=${line##*: } said=()
			;;
		"# accident: "*)
			record accident "$where" "${line#"# accident: "}"
			;;
		"# "*)
			[[ $line != "# Bail out!"* ]] || remarks+=("${line#"# "}")
			ktap_said "${line#"# "}"
			;;
		"ok "* | "not ok "*)
			ktap_program
			planned='' inner=() remarks=() said=() reasons=() start=$SECONDS
			;;
		esac
	done
	ktap_inner "$current" fail
}

# ktap_said TEXT: a line that may be the reason of a failure. Works on the variables of
# ktap_read, as do those below.
ktap_said()
{
	text=$1
	[[ $text != "# "* ]] || text=${text#"# "}
	text=${text#"${text%%[! ]*}"}
	case $text in
	'' | "#" | "timeout set to "* | *"TAP version "* | "Totals: "* | "Subtest: "*)
		return ;;
	esac
	said+=("$text")
	[ ${#said[@]} -le 200 ] || said=("${said[@]:100}")
}

# ktap_inner PROGRAM [KIND]: records the results of a program, or those of one kind.
ktap_inner()
{
	local i entry reason

	for i in "${!inner[@]}"; do
		text=${inner[i]#*"ok "}
		text="$1: ${text#* }"
		entry=$(kind "${inner[i]}")
		[ -z "${2:-}" ] || [ "$entry" = "$2" ] || continue
		record "$entry" "$where" "$text"
		[ "$entry" = fail ] || continue
		mapfile -t reason <<<"${reasons[i]}"
		why "$where" "$text" "${reason[@]}"
	done
}

# ktap_program: the end of a test program.
ktap_program()
{
	local program outer entry text word=ok reason=()
	local -A n=([pass]=0 [fail]=0 [skip]=0)

	# "ok 3 selftests: drivers/block/vinteg: test.sh # exit=1", or "ok 3 - text"
	outer=$(kind "$line")
	program=${line#*"ok "}
	program=${program#* }
	program=${program#- }
	case $program in
	"selftests: "*)	program=${program#"selftests: "*": "} ;;
	esac
	for entry in "${inner[@]}"; do
		text=${entry#*"ok "}
		entry=$(kind "$entry")
		n[$entry]=$((n[$entry] + 1))
		[ "$entry" != fail ] || remarks+=("failed: ${text#* }")
	done
	ktap_inner "${program%% #*}"
	if [ ${#inner[@]} = 0 ] || { [ "$outer" = fail ] && [ "${n[fail]}" = 0 ]; }; then
		n[$outer]=$((n[$outer] + 1))
		record "$outer" "$where" "$program"
		if [ "$outer" = fail ]; then
			mapfile -t reason < <(gist "${said[@]}")
			why "$where" "$program" "${reason[@]}"
			[ "$program" = "${program%% #*}" ] || remarks+=("failed: ${program#* # }")
		fi
	elif [ -n "$planned" ] && [ "$planned" != ${#inner[@]} ]; then
		n[fail]=$((n[fail] + 1))
		record fail "$where" "${program%% #*}: less than planned"
		remarks+=("failed: planned $planned, did ${#inner[@]}")
		why "$where" "${program%% #*}: less than planned" "planned $planned, did ${#inner[@]}"
	fi
	text="${n[pass]} passed"
	[ "${n[pass]}" != 0 ] || word=skip
	[ "${n[fail]}" = 0 ] || word=FAIL text="$text, ${n[fail]} failed"
	[ "${n[skip]}" = 0 ] || text="$text, ${n[skip]} skipped"
	step "$(printf '%-7s %-4s %-32s %s in %d s' "$where" \
		"$word" "${program%% #*}" "$text" $((SECONDS - start)))"
	for text in "${remarks[@]}"; do
		step "$(printf '%-7s      %s' "$where" "$text")"
	done
}

# summary LOGS: what the results come to, short enough to be read in the last 20 lines if
# few have failed: these with their reasons, then the skipped ones, the accidents, and the
# line "N passed, N failed, N skipped". Fails if something failed, or nothing passed.
summary()
{
	awk -F '\t' -v logs="$1" -v most=$REASONS '
		function min(a, b) { return a < b ? a : b }
		function show(list, n, word, most, i)
		{
			for (i = 1; i <= n; i++) {
				if (i == most && n > most) {
					print word "  and " n - i + 1 " more"
					return
				}
				print word "  " list[i]
			}
		}
		$1 == "pass" { passed++ }
		$1 == "skip" { skip[++skipped] = $2 "  " $3 }
		$1 == "accident" { accident[++accidents] = $2 "  " $3 }
		$1 == "why" { reason[$2, $3, ++reasons[$2, $3]] = $4 }
		$1 == "fail" {
			failed++
			what = $3
			# Those of a machine that died are one thing to be told.
			if (sub(/: no result$/, "", what)) {
				if (!lost[$2]++) {
					where[++shown] = $2
					title[shown] = "no result"
				}
				names[$2] = names[$2] (names[$2] == "" ? "" : ", ") what
				next
			}
			if (seen[$2, $3]++)
				next
			where[++shown] = $2
			title[shown] = $3
		}
		END {
			rows = failed ? 2 : skipped
			# Beside the last two lines, and one that make adds. Each failure gets
			# a line at least, then one after the other gets more.
			left = 17 - shown - min(skipped, rows) - min(accidents, 4) - (accidents > 0)
			for (j = 1; j <= most; j++) {
				for (i = 1; i <= shown; i++) {
					if (j <= reasons[where[i], title[i]] && (j == 1 || left > 0)) {
						given[i]++
						left--
					}
				}
			}
			for (i = 1; i <= shown; i++) {
				text = title[i]
				if (text == "no result")
					text = lost[where[i]] " without a result: " names[where[i]]
				print "failed   " where[i] "  " substr(text, 1, 160)
				for (j = 1; j <= given[i]; j++)
					print "           " reason[where[i], title[i], j]
			}
			show(skip, skipped, "skipped", rows)
			show(accident, accidents, "accident", 4)
			if (accidents)
				print "accidents: " accidents
			if (failed)
				print "the logs are in " logs
			print passed + 0 " passed, " failed + 0 " failed, " skipped + 0 " skipped"
			exit failed || !passed
		}' "$RESULTS"
}
