#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# accident_test.sh: what counts as the emulator's fault, and what must not. Prints KTAP.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/accident.sh"

DIED="the machine died"
SILENT="no job after 300 seconds"
BEGUN="[   14.202118] $MARK"

number=0 failed=0
console=$(mktemp "$CACHE/console.XXXXXX")
trap 'rm "$console"' EXIT

# expect yes|no TEXT LOST [LINE]...: the lines are the console.
expect()
{
	local wanted=$1 text=$2 lost=$3 said verdict=no
	shift 3

	number=$((number + 1))
	printf '%s\n' "$@" | grep . >"$console" || true
	if said=$(accident "$console" "$lost"); then
		verdict=yes
	fi
	if [ $verdict = "$wanted" ] && { [ $verdict = no ] || [ -n "$said" ]; }; then
		echo "ok $number - $text"
	else
		echo "# expected $wanted, got $verdict: $said"
		echo "not ok $number - $text"
		failed=$((failed + 1))
	fi
}

# oops KIND RIP CODE EFLAGS [FRAME]: as the kernel prints it.
oops()
{
	cat <<-END
		[   41.102214] $1
		[   41.102381] CPU: 1 UID: 0 PID: 812 Comm: blkio Tainted: G           OE      6.12 #1
		[   41.102571] Tainted: [O]=OOT_MODULE, [E]=UNSIGNED_MODULE
		[   41.102790] RIP: 0010:$2
		[   41.102925] Code: $3
		[   41.103101] RSP: 0018:ffffa1c0800f3e18 EFLAGS: $4
		[   41.103344] RAX: 0000000000000000 RBX: ffff9a5f7ec2b740 RCX: 0000000000000001
		[   41.103901] Call Trace:
		[   41.104020]  <TASK>
		[   41.104133]  ${5:-try_to_wake_up+0x2a2/0x6e0}
		[   41.104490] RIP: 0033:0x7f21a3c4b7aa
		[   41.104671] Code: 00 00 00 cc <48> 3d 00 f0 ff ff 77
		[   41.104880] RSP: 002b:00007ffc31ae1a58 EFLAGS: 00000246 ORIG_RAX: 0000000000000014
		[   41.105277] ---[ end trace 0000000000000000 ]---
		[   41.105400] Kernel panic - not syncing: Fatal exception
	END
}

# stall TIME PLACE CODE: as the kernel shows what a processor that hangs is busy with.
stall()
{
	cat <<-END
		[ $1.135993] rcu: INFO: rcu_preempt self-detected stall on CPU
		[ $1.155619] Sending NMI from CPU 1 to CPUs 0:
		[ $1.157281] NMI backtrace for cpu 0
		[ $1.159408] CPU: 0 PID: 8876 Comm: kworker/0:4 Tainted: G           OE      6.1.0 #1
		[ $1.161786] RIP: 0010:exc_int3+0x4e/0x120
		[ $1.163040] Code: 4c 63 ff 85 c0 0f 84 8a 00 00 00 89 ee <48> 89 df 5b 5d e9 28 37
		[ $1.163235] RSP: 0018:ffffc900005efd80 EFLAGS: 00000002
		[ $1.163627] Call Trace:
		[ $1.164271]  <TASK>
		[ $1.169021]  asm_exc_int3+0x35/0x40
		[ $1.169768] RIP: 0010:$2
		[ $1.169792] Code: $3
		[ $1.169801] RSP: 0018:ffffc900005efe70 EFLAGS: 00000082
		[ $1.169958]  ? __schedule+0x1bd/0xa00
		[ $1.170086]  </TASK>
		[ $1.171436] CPU: 1 PID: 20858 Comm: test_policy_ope Tainted: G           OE      6.1.0 #1
		[ $1.188758] RIP: 0010:smp_call_function_many_cond+0xf1/0x330
		[ $1.189345] Code: 74 0a f3 90 <8b> 4e 08 83 e1 01 75 f6
	END
}

INT3="Oops: int3: 0000 [#1] PREEMPT SMP NOPTI"
WHERE="ttwu_do_activate+0x8e/0x1b0"
NOP="e8 1d 02 00 00 90 48 89 df 0f <1f> 44 00 00 5b 5d 41 5c c3"
JUMP="0f 85 a9 06 00 00 e9 53 03 00 00 <e9> f7 02 00 00 48 8b"
JUMP_FROM_BEHIND="85 a9 06 00 00 e9 53 03 00 00 e9 <f7> 02 00 00 48 8b 83"
NULL="BUG: kernel NULL pointer dereference, address: 0000000000000000"
NO_CODE="Unable to access opcode bytes at 0xffffffffffffffd6."
FRAME="vinteg_queue_rq+0x91/0x2c0 [vinteg]"

echo "TAP version 13"
expect yes "int3 where the memory has a nop" "$DIED" \
	"$BEGUN" "$(oops "$INT3" "$WHERE" "$NOP" 00000086)"
expect yes "the same, as 6.1 says it" "$DIED" \
	"$BEGUN" "$(oops "${INT3#Oops: }" "$WHERE" "$NOP" 00000086)"
expect yes "int3, and before it what a file system warns of" "$DIED" \
	"$BEGUN" "[   30.1] EXT4-fs: Warning: mounting with data=journal disables O_DIRECT!" \
	"$(oops "$INT3" "$WHERE" "$NOP" 00000086)"
expect yes "int3 where the memory has a short nop, while booting" "$DIED" \
	"$(oops "$INT3" set_sched_clock_stable+0x9/0x60 "53 48 89 e5 66 <90> e8 ec 2f 02" 00000002)"
expect yes "int3 where the memory has a jump, vinteg in the backtrace" "$DIED" \
	"$BEGUN" "$(oops "$INT3" "$WHERE" "5d c3 e9 <12> 02 00 00 48 89" 00000086 "$FRAME")"
expect yes "a jump to 0 with EFLAGS that no processor has" "$DIED" \
	"$BEGUN" "$(oops "$NULL" 0x0 "$NO_CODE" 00c2a046)"
expect yes "a jump to 0 without the bit that is always set" "$DIED" \
	"$BEGUN" "$(oops "$NULL" 0x0 "$NO_CODE" 00010244)"
expect yes "silence while booting" "$SILENT"
expect yes "nothing but harmless words while booting" "$SILENT" \
	"[    0.000000] Kernel command line: console=ttyS0 oops=panic" \
	"[    0.400120] pci 0000:00:01.0: quirk applied"

expect yes "a processor hangs in an int3 where the memory has a jump" "$DIED" "$BEGUN" \
	"$(stall 1298 __schedule+0x1bc/0xa00 "$JUMP")" \
	"$(stall 1361 __schedule+0x1bd/0xa00 "$JUMP_FROM_BEHIND")"
expect yes "the same, and the machine took too long" "no end after 2700 seconds" "$BEGUN" \
	"$(stall 1298 __schedule+0x1bc/0xa00 "$JUMP")" \
	"$(stall 1361 __schedule+0x1bc/0xa00 "$JUMP")"

expect no "a processor hangs, seen once in such an int3" "$DIED" "$BEGUN" \
	"$(stall 1298 __schedule+0x1bc/0xa00 "$JUMP")"
expect no "a processor hangs, seen in two such" "$DIED" "$BEGUN" \
	"$(stall 1298 __schedule+0x1bc/0xa00 "$JUMP")" \
	"$(stall 1361 vinteg_queue_rq+0x91/0x2c0 "$JUMP")"
expect no "a processor hangs in an int3 that the memory has" "$DIED" "$BEGUN" \
	"$(stall 1298 __schedule+0x1bc/0xa00 "${JUMP/<e9>/<cc>}")" \
	"$(stall 1361 __schedule+0x1bc/0xa00 "${JUMP/<e9>/<cc>}")"
expect no "a processor hangs elsewhere" "$DIED" "$BEGUN" \
	"$(stall 1298 __schedule+0x1bc/0xa00 "$JUMP" | sed 's/exc_int3/exc_page_fault/')" \
	"$(stall 1361 __schedule+0x1bc/0xa00 "$JUMP" | sed 's/exc_int3/exc_page_fault/')"
expect no "a processor hangs in such an int3, but a warning before" "$DIED" \
	"$BEGUN" "[   30.1] WARNING: CPU: 0 PID: 1 at fs/inode.c:4 iput+0x1/0x2" \
	"$(stall 1298 __schedule+0x1bc/0xa00 "$JUMP")" \
	"$(stall 1361 __schedule+0x1bc/0xa00 "$JUMP")"
expect no "int3 in padding: a wild jump" "$DIED" \
	"$BEGUN" "$(oops "$INT3" "$WHERE" "c3 cc cc cc cc <cc> cc cc cc" 00000086)"
expect no "int3 where there is no function" "$DIED" \
	"$BEGUN" "$(oops "$INT3" 0xffffffffc06102d1 "cc cc 0f <1f> 44 00 00" 00000086)"
expect no "int3 where the kernel patches nothing" "$DIED" \
	"$BEGUN" "$(oops "$INT3" "$WHERE" "48 89 df 48 <89> e5 5d" 00000086)"
expect no "int3, and the memory not shown" "$DIED" \
	"$BEGUN" "$(oops "$INT3" "$WHERE" "$NO_CODE" 00000086)"
expect no "int3, but the machine took too long" "no end after 2700 seconds" \
	"$BEGUN" "$(oops "$INT3" "$WHERE" "$NOP" 00000086)"
expect no "int3, but a warning before" "$DIED" \
	"$BEGUN" "[   30.1] WARNING: CPU: 0 PID: 1 at fs/inode.c:4 iput+0x1/0x2" \
	"$(oops "$INT3" "$WHERE" "$NOP" 00000086)"
expect no "EFLAGS that no processor has, but KASAN before" "$DIED" \
	"$BEGUN" "[   30.1] BUG: KASAN: use-after-free in vinteg_end+0x1/0x2" \
	"$(oops "$NULL" 0x0 "$NO_CODE" 00c2a046)"
expect no "a null pointer called" "$DIED" \
	"$BEGUN" "$(oops "$NULL" 0x0 "$NO_CODE" 00010246 "$FRAME")"
expect no "EFLAGS that no processor has, but no jump to 0" "$DIED" \
	"$BEGUN" "$(oops "$NULL" "$WHERE" "8b 47 <48> 8b 00" 00c2a046)"
expect no "BUG()" "$DIED" \
	"$BEGUN" "$(oops "Oops: invalid opcode: 0000 [#1] SMP" "$WHERE" "48 <0f> 0b" 00010246)"
expect no "a hung task" "$DIED" \
	"$BEGUN" "[   99.8] INFO: task kworker/u4:1:88 blocked for more than 30 seconds." \
	"[   99.9] Kernel panic - not syncing: hung_task: blocked tasks"
expect no "any other panic" "$DIED" \
	"$BEGUN" "[   99.9] Kernel panic - not syncing: sysrq triggered crash"
expect no "silence during the job" "no end after 2700 seconds" "$BEGUN"
expect no "silence, but the job had begun" "$SILENT" "$BEGUN"
expect no "a sudden end during the job" "$DIED" "$BEGUN"
expect no "a sudden end while booting" "$DIED"
expect no "a warning, then silence while booting" "$SILENT" \
	"[    0.9] WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x1/0x2"
echo "1..$number"
[ $failed = 0 ]
