# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced: reads results in KTAP, the format of the kernel's selftests, while
# they come, shows one line for each test program, and counts. RESULTS names the
# file that gets one line for each result: its kind, where, what.

# record pass|fail|skip WHERE WHAT
record()
{
	printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$RESULTS"
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

# ktap_read WHERE: reads KTAP from standard input until it ends. The results of a test
# program come indented by "# ", before the program's own. They count one by one. The
# program counts only if it had none, or failed in a way that none of them tells: it
# crashed, took too long, or did less than it had planned. What was begun and has no
# end is for the caller, who knows which programs there should be.
ktap_read()
{
	local where=$1 line start=$SECONDS planned='' inner=() remarks=()

	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		"# 1.."*)
			planned=${line#"# 1.."}
			planned=${planned%% *}
			;;
		"# ok "* | "# not ok "*)
			inner+=("${line#"# "}")
			;;
		"# Bail out!"*)
			remarks+=("${line#"# "}")
			;;
		"ok "* | "not ok "*)
			ktap_program
			planned='' inner=() remarks=() start=$SECONDS
			;;
		esac
	done
}

# ktap_program: the end of a test program. Works on the variables of ktap_read.
ktap_program()
{
	local program outer entry text word=ok
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
		record "$entry" "$where" "${program%% #*}: ${text#* }"
		[ "$entry" != fail ] || remarks+=("failed: ${text#* }")
	done
	if [ ${#inner[@]} = 0 ] || { [ "$outer" = fail ] && [ "${n[fail]}" = 0 ]; }; then
		n[$outer]=$((n[$outer] + 1))
		record "$outer" "$where" "$program"
		[ "$outer" != fail ] || [ "$program" = "${program%% #*}" ] ||
			remarks+=("failed: ${program#* # }")
	elif [ -n "$planned" ] && [ "$planned" != ${#inner[@]} ]; then
		n[fail]=$((n[fail] + 1))
		record fail "$where" "${program%% #*}: less than planned"
		remarks+=("failed: planned $planned, did ${#inner[@]}")
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
