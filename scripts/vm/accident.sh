# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced: did the emulator kill a machine, or did what runs in it? Needs proof that
# no processor could have done what the console shows; without one it is a failure.
#
# QEMU before 8.1 reads the code that it translates before it locks its page. A guest that
# patches its code at that moment gets a translation of the breakpoint (int3) that it has
# there while it patches, and dies of it when the patch is over: "qemu-x86_64 booting with
# 8.0.0 stil see int3" on linux-kernel, June to August 2023, fixed by QEMU's commit
# deba78709ae8 ("accel/tcg: Always lock pages before translation"). If the kernel sees that
# its memory has no breakpoint there, it goes back to try again, for ever.

# What no kernel may say: one list for the guest and for who reads its console.
COMPLAINTS=$(sed -n "s/^SPLATS='\(.*\)'\$/\1|int3: 0000/p" "$TOP/scripts/vm/guest-init.sh")
MARK=$(sed -n "s/^MARK='\(.*\)'\$/\1/p" "$TOP/scripts/vm/guest-init.sh")

# job_begun CONSOLE: whether the guest has come as far as to run the job.
job_begun()
{
	grep -q -F "$MARK" "$1"
}

# since_job CONSOLE: what was said from the begin of the job on, or all if it never began.
since_job()
{
	tr -d '\r' <"$1" | awk -v mark="$MARK" '
		index($0, mark) { n = 0 }
		{ line[n++] = $0 }
		END { for (i = 0; i < n; i++) print line[i] }'
}

# complaints CONSOLE MOST LAST: from the first complaint on, at most so many lines, or the
# last ones if there is none.
complaints()
{
	local first

	[ -e "$1" ] || return 0
	# "oops=panic" is on the command line. Not into a pipe that is closed early: that would
	# be an error of its own.
	first=$(since_job "$1" | grep -n -E "$COMPLAINTS" | grep -v -F oops= |
		sed -n '1s/:.*//p') || true
	if [ -n "$first" ]; then
		since_job "$1" | sed -n "$first,$((first + $2 - 1))p"
	else
		since_job "$1" | tail -n "$3"
	fi
}

# impossible_flags HEX: bits that EFLAGS can't have: bit 1 is always set, and 3, 5, 15 and
# all from 22 on never are (Intel's manual, volume 1, 3.4.3).
impossible_flags()
{
	(((16#$1 & 2) == 0 || (16#$1 & ~16#3f7fd7) != 0))
}

# is_patchable CODE: whether code begins with what the kernel puts where it patches: a nop
# of 5 or 2 bytes, a call, a jump. No processor takes one of these for an int3 (cc). A wild
# jump into padding, or into a module that is gone, shows a cc.
is_patchable()
{
	case $1 in
	"0f 1f 44 00 00"* | "66 90"* | "e8 "* | "e9 "* | "eb "* | "0f 8"*)
		return 0 ;;
	esac
	return 1
}

# endless_int3 CONSOLE: a processor gets an int3 for ever where its memory has none: it was
# seen busy with one, at times 20 seconds apart at least, and whenever it was to be seen with
# which, that was the same. Prints the evidence. A processor may take an int3 that is gone
# when the handler looks, but not again: to return from the handler makes it read the code
# anew (Intel's manual, volume 3, "Serializing instructions": IRET).
endless_int3()
{
	local time rip code offset where='' first='' last=0

	while read -r time rip code; do
		: "${first:=$time}"
		last=$time
		[ -n "$rip" ] || continue
		[[ $rip =~ ^([A-Za-z_][A-Za-z0-9_.]*)"+0x"([0-9a-f]+)/ ]] || return
		rip=${BASH_REMATCH[1]} offset=$((16#${BASH_REMATCH[2]}))
		[[ $code =~ ([0-9a-f]{2})" <"([0-9a-f]{2})">"([0-9a-f ]*)$ ]] || return
		code="${BASH_REMATCH[2]}${BASH_REMATCH[3]}"
		# Behind the int3, or in front of it when the handler has made up its mind.
		if is_patchable "${BASH_REMATCH[1]} $code"; then
			code="${BASH_REMATCH[1]} $code" offset=$((offset - 1))
		fi
		is_patchable "$code" || return
		code=$(printf '%s+0x%x, where the memory has %s' "$rip" $offset "${code:0:14}")
		: "${where:=$code}"
		[ "$code" = "$where" ] || return
	done < <(since_job "$1" | awk '
		/NMI backtrace for cpu / { looked = 1; int3 = 0 }
		!looked || !match($0, /^\[ *[0-9]+/) { next }
		{ time = substr($0, 2, RLENGTH - 1) + 0 }
		/RIP: 0010:(asm_)?exc_int3\+/ { print time; next }
		/ asm_exc_int3\+/ { print time; int3 = 1; rip = "" }
		int3 && match($0, /RIP: 0010:[^ ]+/) { rip = substr($0, RSTART + 10, RLENGTH - 10) }
		int3 && rip && match($0, /Code: .*/) {
			print time, rip, substr($0, RSTART + 6)
			looked = 0
		}')
	[ -n "$where" ] && [ $((last - first)) -ge 20 ] && echo "int3 for ever in $where"
}

# accident CONSOLE LOST: succeeds if the machine that was lost for the reason LOST was
# killed by the emulator, and prints the evidence. That is:
#  - it hung while it booted, without a complaint, before anything of ours ran;
#  - its first complaint is an int3 where its memory has none: the byte before RIP is not
#    cc, but begins an instruction that the kernel patches;
#  - its first complaint is that a processor hangs, and one does: in such an int3;
#  - its first complaint is a jump to 0 with bits in EFLAGS that no processor sets. (Without
#    such bits it is a call of a null pointer like any other.)
accident()
{
	local console=$1 lost=$2 said first rip='' code='' flags='' line what=''

	said=$(complaints "$console" 40 0)
	first=${said%%$'\n'*}
	if [ -z "$said" ]; then
		[[ $lost = "no job"* ]] && ! job_begun "$console" || return
		echo "booted into silence: $lost"
		return
	fi
	if [[ $first =~ "rcu: INFO: "|"BUG: soft lockup" ]]; then
		what=$(endless_int3 "$console") || return
		lost="the machine died"
	fi
	[ "$lost" = "the machine died" ] || return
	while IFS= read -r line; do
		# The first of each: those of user mode, if any, come later.
		[[ -n $rip || ! $line =~ "RIP: 0010:"([^ ]+) ]] || rip=${BASH_REMATCH[1]}
		[[ -n $code || -z $rip || ! $line =~ "Code: "(.*) ]] || code=${BASH_REMATCH[1]}
		[[ -n $flags || -z $rip || ! $line =~ "EFLAGS: "([0-9a-f]+) ]] ||
			flags=${BASH_REMATCH[1]}
	done <<<"$said"
	if [ -n "$what" ]; then
		:
	elif [[ $first =~ (^|"] "|"Oops: ")"int3: 0000 [#1]" ]]; then
		[[ $rip =~ ^[A-Za-z_][A-Za-z0-9_.]*"+0x" ]] || return
		[[ $code =~ ([0-9a-f]{2})" <"([0-9a-f]{2})">"([0-9a-f ]*)$ ]] || return
		code="${BASH_REMATCH[1]} ${BASH_REMATCH[2]}${BASH_REMATCH[3]}"
		is_patchable "$code" || return
		what="int3 in $rip, where the memory has ${code:0:14}"
	elif [[ $first =~ "BUG: kernel NULL pointer"|"BUG: unable to handle"|"Oops: "|"general protection fault" ]]; then
		[ "$rip" = 0x0 ] && [ -n "$flags" ] && impossible_flags "$flags" || return
		what="jump to 0 with impossible EFLAGS $flags"
	else
		return 1
	fi
	# An accident all the same, but not one to be hidden. No -q: it would break the pipe.
	! since_job "$console" | grep -F '[vinteg]' >/dev/null ||
		what="$what, vinteg in the backtrace"
	echo "$what"
}
