#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Attributes of a device, good and bad input. Binding has a test of its own.

. "$(dirname "$0")/lib.sh"

STATS="reads writes flushes fua_writes discards write_zeroes backing_syncs dsync_writes
	direct_writes buffered_writes direct_fallbacks ignored_flushes errors"

# state: all that a refused write could have changed.
state()
{
	grep -H . "$SYS"/{backing_file,cache_policy,read_only,logical_block_size} \
		"$SYS"/{writeback_error,size,ro,diskseq,queue/logical_block_size} || true
}

# catches: a default that is not the documented one.
defaults()
{
	local name

	[ "$(attr backing_file)" = "" ]
	[ "$(attr cache_policy)" = "[none] directsync writethrough writeback guest unsafe" ]
	[ "$(attr read_only) $(attr logical_block_size) $(attr writeback_error)" = "0 0 0" ]
	[ "$(attr size) $(attr ro)" = "0 0" ]
	for name in $STATS; do
		[ "$(stat_of "$name")" = 0 ]
	done
}

# catches: an attribute that everybody may write, or read with an effect; one that is
# not documented.
modes()
{
	cd "$SYS"
	[ "$(stat -c %a backing_file cache_policy read_only logical_block_size \
		writeback_error | sort -u)" = 644 ]
	[ "$(stat -c %a rescan reset | sort -u)" = 200 ]
	[ "$(stat -c %a stats/* | sort -u)" = 444 ]
	[ "$(stat -c %a "$CONTROL/hot_add" "$CONTROL/hot_remove" | xargs)" = "400 200" ]
	[ "$(xargs -n1 <<<"$STATS" | sort)" = "$(ls stats)" ]
	comm -23 <(ls) <(ls /sys/block/vtother) | xargs >"$SCRATCH/ours"
	[ "$(cat "$SCRATCH/ours")" = "backing_file cache_policy logical_block_size$(
		) read_only rescan reset stats writeback_error" ]
}

# catches: a name that is missing from the list or can't be set, the wrong brackets.
policies()
{
	local name

	for name in $POLICIES; do
		set_attr cache_policy "$name"
		[ "$(policy)" = "$name" ]
		[ "$(attr cache_policy | tr -d '[]')" = "$POLICIES" ]
		# Advertised always, whatever the policy does with it.
		[ "$(attr queue/write_cache)" = "write back" ]
		[ "$(attr queue/fua)" = 1 ]
	done
}

# catches: a write-through policy that advertises "write through" once a file is bound.
policies_bound()
{
	bind "$SCRATCH/fs/a.img"
	policies
	reset
	[ "$(attr queue/write_cache) $(attr queue/fua)" = "write back 1" ]
}

# catches: parsing that wants a newline, or wants none.
newline_or_not()
{
	printf 'guest\n' | put $SYS/cache_policy
	[ "$(policy)" = guest ]
	printf 'unsafe' | put $SYS/cache_policy
	[ "$(policy)" = unsafe ]
	printf '4096\n' | put $SYS/logical_block_size
	printf '1\n' | put $SYS/read_only
	[ "$(attr logical_block_size) $(attr read_only)" = "4096 1" ]
	printf '0' | put $SYS/logical_block_size
	printf '0' | put $SYS/read_only
	[ "$(attr logical_block_size) $(attr read_only)" = "0 0" ]
	printf '0\n' | put $SYS/writeback_error
	printf "%s\n" "$SCRATCH/fs/a.img" | put $SYS/backing_file
	settle
	printf '1' | put $SYS/rescan
	printf '1\n' | put $SYS/reset
	settle
	[ "$(policy)" = none ]
}

# catches: a block size that is stored and not used.
block_sizes()
{
	local size capacity block

	for size in 512 1024 2048 4096 512; do
		# Whoever opens it while it is empty must not settle how it is used later.
		blockdev --getbsz $DEV
		set_attr cache_policy writeback
		set_attr logical_block_size $size
		[ "$(attr logical_block_size)" = $size ]
		bind "$SCRATCH/fs/odd.img"
		[ "$(attr queue/logical_block_size)" = $size ]
		capacity=$((ODD / size * size))
		[ "$(attr size)" = $((capacity / 512)) ]
		# As set_init_blocksize() has it: the largest that divides the capacity.
		block=$size
		while [ $block -lt "$(getconf PAGESIZE)" ] && [ $((capacity & block)) = 0 ]; do
			block=$((block * 2))
		done
		[ "$(blockdev --getss $DEV)" = $size ]
		[ "$(blockdev --getbsz $DEV)" = $block ]
		[ "$(tail -c $size $DEV | wc -c)" = $size ]
		[ "$(wc -c <$DEV)" = $capacity ]
		reset
		[ "$(attr logical_block_size)" = 0 ]
	done
}

# all_refused ATTRIBUTE INPUT...: printf formats, each EINVAL with no effect.
# catches: prefixes, blanks, signs and what follows a NUL accepted or ignored.
all_refused()
{
	local name=$1 input said before
	shift

	before=$(state)
	for input; do
		# shellcheck disable=SC2059 # formats on purpose
		said=$(put "$SYS/$name" < <(printf -- "$input")) || true
		echo "${input:0:40}: $said"
		[ "$said" = EINVAL ]
	done
	[ "$(state)" = "$before" ]
}

# catches: what can only be set before binding set after it.
not_while_bound()
{
	local before

	bind "$SCRATCH/fs/a.img"
	before=$(state)
	refuses EBUSY read_only 1
	refuses EBUSY logical_block_size 4096
	refuses EBUSY backing_file "$SCRATCH/fs/odd.img"
	[ "$(state)" = "$before" ]
	reset
}

# catches: checks that trust the file mode alone.
needs_privilege()
{
	local name before

	before=$(state)
	log_mark privilege
	for name in backing_file cache_policy read_only logical_block_size rescan reset \
		writeback_error; do
		[ "$(setpriv --bounding-set -sys_admin put $SYS/$name 1)" = EPERM ]
	done
	[ "$(setpriv --bounding-set -sys_admin put "$CONTROL/hot_remove" 0)" = EPERM ]
	fails setpriv --bounding-set -sys_admin cat "$CONTROL/hot_add"
	# Root of a namespace of its own may open the file, but no more.
	if [ -e /proc/self/ns/user ]; then
		[ "$(unshare --user --map-root-user put $SYS/cache_policy unsafe)" = EPERM ]
		fails unshare --user --map-root-user cat "$CONTROL/hot_add"
	fi
	[ "$(state)" = "$before" ]
	log_lines privilege
	[ "$(log_lines privilege | grep -c '^vinteg0: .*CAP_SYS_ADMIN$')" -ge 7 ]
	[ "$(log_lines privilege | grep -c '^vinteg: hot_.*CAP_SYS_ADMIN$')" -ge 2 ]
}

# catches: a mistake that is not explained, a log that can be flooded.
one_line_each()
{
	local _

	log_mark one
	refuses EINVAL cache_policy bogus
	refuses EINVAL logical_block_size 1000
	refuses ENOENT backing_file "$SCRATCH/fs/missing.img"
	log_lines one >"$SCRATCH/lines"
	cat "$SCRATCH/lines"
	[ "$(wc -l <"$SCRATCH/lines")" = 3 ]
	[ "$(grep -c '^vinteg0: ' "$SCRATCH/lines")" = 3 ]
	grep cache_policy "$SCRATCH/lines"
	grep "logical_block_size.*1000" "$SCRATCH/lines"
	grep "$SCRATCH/fs/missing.img" "$SCRATCH/lines"

	log_mark flood
	for _ in $(seq 100); do
		echo bogus 2>/dev/null >$SYS/cache_policy || true
	done
	log_lines flood >"$SCRATCH/lines"
	wc -l "$SCRATCH/lines"
	[ "$(wc -l <"$SCRATCH/lines")" -lt 50 ]
}

# catches: a rate limit that warns, or tells nobody of what it has left out.
left_out_quietly()
{
	local _

	log_mark quiet
	for _ in {1..30}; do
		echo bogus 2>/dev/null >$SYS/cache_policy || true
	done
	sleep 6
	refuses EINVAL cache_policy bogus
	log_since quiet >"$SCRATCH/lines"
	grep 'info  *:.* vinteg: [1-9][0-9]* lines like the next one were left out' "$SCRATCH/lines"
	fails grep 'suppressed' "$SCRATCH/lines"
}

# workload: known numbers of everything: 4 reads, 8 writes, 3 FUA writes that the kernel
# follows by a flush each, 1 more flush, 1 discard, 1 write of zeroes.
workload()
{
	dd if=/dev/zero of=$DEV bs=4k count=8 oflag=direct conv=notrunc
	dd if=/dev/zero of=$DEV bs=4k count=3 oflag=direct,dsync conv=notrunc
	sync $DEV
	# Without "-f" it looks for a file system first.
	blkdiscard -f -o 65536 -l 65536 $DEV
	blkdiscard -f -z -o 131072 -l 65536 $DEV
	dd if=$DEV of=/dev/null bs=4k count=4 iflag=direct
}

# what_counted BEFORE AFTER: names and increments.
what_counted()
{
	join "$1" "$2" | while read -r name old new; do
		echo "$name=$((new - old))"
	done
}

all_stats()
{
	local name

	for name in $STATS; do
		echo "$name $(stat_of "$name")"
	done | sort
}

# catches: a request counted twice, not at all, or as another kind; an error not
# counted; syncs that are not executed.
stats_add_up()
{
	local policy=$1 fd reads writes flushes fua_writes discards write_zeroes
	local backing_syncs dsync_writes direct_writes buffered_writes direct_fallbacks
	local ignored_flushes errors want

	settle
	# Keeps udev from looking at what changed.
	exec {fd}<$DEV
	flock "$fd"
	all_stats >"$SCRATCH/before"
	workload 2>/dev/null
	all_stats >"$SCRATCH/after"
	exec {fd}>&-
	what_counted "$SCRATCH/before" "$SCRATCH/after" >"$SCRATCH/counted"
	cat "$SCRATCH/counted"
	# shellcheck source=/dev/null
	. "$SCRATCH/counted"

	[ "$reads $writes $fua_writes $flushes" = "4 11 3 4" ]
	[ "$discards $write_zeroes $errors" = "1 1 0" ]
	[ $((direct_writes + buffered_writes)) = "$writes" ]
	[ "$direct_fallbacks" -le "$direct_writes" ]
	# This disk has no volatile cache: a direct write is durable by itself, and
	# takes no sync.
	case $policy in
	none | guest)	want="11 3 0 4" ;;
	directsync)	want="11 13 0 2" ;;
	writethrough)	want="0 13 0 13" ;;
	writeback)	want="0 3 0 7" ;;
	unsafe)		want="0 0 4 0" ;;
	esac
	[ "$direct_writes $dsync_writes $ignored_flushes $backing_syncs" = "$want" ]
}

# catches: errors that nobody counts.
errors_count()
{
	truncate -s 4096 "$SCRATCH/fs/a.img"
	fails dd if=$DEV of=/dev/null bs=4k count=1 skip=16 iflag=direct
	[ "$(stat_of errors)" = 1 ]
	[ "$(attr writeback_error)" = 0 ]
	truncate -s 1M "$SCRATCH/fs/a.img"
	dd if=$DEV of=/dev/null bs=4k count=1 skip=16 iflag=direct
	[ "$(stat_of errors)" = 1 ]
}

# catches: counters, or anything else, that survive a reset.
back_to_defaults()
{
	set_attr cache_policy writeback
	reset
	defaults
}

start setpriv unshare mkfs.ext4 blkdiscard
must without_udev
must load num_devices=1
must make_disk vtother 32
must mkfs.ext4 -q /dev/vtother
mkdir "$SCRATCH/fs"
must mount /dev/vtother "$SCRATCH/fs"
ODD=$((1048576 + 3 * 512 + 100))
truncate -s 1M "$SCRATCH/fs/a.img"
truncate -s $ODD "$SCRATCH/fs/odd.img"
long=$(printf 'x%.0s' {1..5000})

check "a new device has the documented defaults" defaults
check "the files have the documented modes, and there are no others" modes
check "every policy can be set unbound; write back and FUA are always advertised" policies
reset
check "and bound" policies_bound
check "a newline at the end of input may be there or not" newline_or_not
check "every logical block size is used, also by openers, the capacity rounded down to it" \
	block_sizes
# First, while the rate limit leaves room.
check "bad input is explained by one line in the log, and can't flood it" one_line_each
check "what the log leaves out is told of, and not as a warning" left_out_quietly
check "refused: bad input for cache_policy" all_refused cache_policy \
	'\n' ' ' non nonee None ' none' 'none ' 'none\n\n' 'none\0' 'none\0x' '[none]' \
	'none directsync' '\xff\xfe\x80' '\xc3\xb6' 0 "$long"
check "refused: bad input for read_only" all_refused read_only \
	'\n' 2 -1 10 1x maybe '1\0' '0\0001' ' 1' '\xff' "$long"
check "refused: bad input for logical_block_size" all_refused logical_block_size \
	'\n' 1 256 511 513 1000 1536 8192 65536 -512 0x200 '512\0' '512 ' ' 512' 512B \
	99999999999999999999 '\xff' "$long"
check "refused: bad input for reset" all_refused reset \
	'\n' 0 2 -1 11 '1\0' '1 ' yes '\xff' "$long"
check "refused: bad input for rescan" all_refused rescan \
	'\n' 0 2 -1 11 '1\0' '1 ' yes '\xff' "$long"
check "refused: bad input for writeback_error" all_refused writeback_error \
	'\n' 1 -5 5 00 '0\0' '0 ' EIO '\xff' "$long"
check "refused while bound: read_only, logical_block_size, another file" not_while_bound
check "refused without CAP_SYS_ADMIN" needs_privilege

# Where one of these has failed, too.
[ -z "$(attr backing_file)" ] || must reset
dd if=/dev/zero of="$SCRATCH/fs/a.img" bs=1M count=1 status=none
must bind "$SCRATCH/fs/a.img"
for policy in $POLICIES; do
	set_attr cache_policy "$policy"
	check "stats add up: $policy" stats_add_up "$policy"
done
check "an error is counted once" errors_count
check "a reset brings all defaults back" back_to_defaults
umount "$SCRATCH/fs"
finish
