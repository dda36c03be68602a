#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Reads and writes beside writes, all through the page cache, on host filesystems where they
# share a lock and where they don't. The writes beside are slow: of a part of a block, which
# has to be read first, from a slow disk. What is read here is in the page cache.

. "$(dirname "$0")/lib.sh"
start blkio dmsetup mkfs.ext4 mkfs.xfs taskset
without_udev
. "$HERE/below.sh"
. "$HERE/trace.sh"

# beside MILLISECONDS COUNT COMMAND...: while so many writes are under way, each of which
# takes so long.
beside()
{
	local writer

	drop_caches
	blkio read "$FILE" 8M 1M buffered
	below_slow 0 0 "$1"
	blkio write $DEV 0 512 step=64k count="$2" depth="$2" seed=3 & writer=$!
	sleep 0.1
	"${@:3}"
	below_slow 0 0
	wait $writer
	blkio verify $DEV 0 512 step=64k count="$2" seed=3
}

# A write more may begin before the worker is there that reads.
few_writes_first()
{
	local writes

	writes=$(trace blkio read $DEV 8M 4k | awk '
		/ vinteg_queue: .* op=READ/ { reading = 1 }
		/ vinteg_complete: .* op=READ/ { reading = 0; done = 1 }
		/ vinteg_issue: .* call=write/ && reading { writes++ }
		END { print done ? writes + 0 : "not read" }')
	echo "of $1 writes $writes came first"
	[ "$writes" -le 3 ]
}

# catches: a read that waits for all the writes that were there before it, however long
# they take.
reads_go_between()
{
	beside 200 12 few_writes_first 12
}

# readers: several read; how many workers are at that is in $SCRATCH/workers.
readers()
{
	local reader readers=() i

	for i in {0..5}; do
		blkio read $DEV $((8192 + i * 64))k 4k & readers+=($!)
	done
	sleep 0.5
	read_workers >"$SCRATCH/workers"
	for reader in "${readers[@]}"; do
		wait "$reader"
	done
}

# catches: readers that sleep at the lock of a writer, each of which has to be woken up for
# one read.
reads_wait_together()
{
	beside 2000 1 readers
	[ "$(cat "$SCRATCH/workers")" = 0 ]
}

# catches: a write that could be done at once behind one that has to read first, where they
# share no lock.
write_goes_by()
{
	timeout 2 blkio write $DEV 4M 4k
}

must below_start fua slow
load
must trace_start
for type in ext4 xfs; do
	must below_mount $type
	must below_file img 16
	FILE=$BELOW_FS/img
	bind "$FILE"
	set_attr cache_policy writeback
	check "$type: a read waits for a few writes at most" reads_go_between
	below_slow 0 0
	[ $type = ext4 ] || check "$type: reads wait together for a write" reads_wait_together
	below_slow 0 0
	reset
	umount "$BELOW_FS"
done
# Through one hardware queue.
taskset -c -p 0 $$ >/dev/null
FILE=$BELOW_MAP
bind "$FILE"
set_attr cache_policy writeback
check "no file system: a write goes by one that has to read first" beside 4000 1 write_goes_by
below_slow 0 0
reset
finish
