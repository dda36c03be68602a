#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Large requests, requests of many pieces, requests that the block layer splits or merges:
# the data is right, and what is counted adds up.

. "$(dirname "$0")/lib.sh"
start blkio vectors mkfs.ext4 mkfs.xfs
. "$HERE/fs.sh"

MIB=24

# with FS POLICY: bound to a new file.
with()
{
	IMG=$SCRATCH/lower-$1/img
	[ -z "$(attr backing_file)" ] || reset
	rm -f "$IMG"
	truncate -s ${MIB}M "$IMG"
	set_attr cache_policy "$2"
	bind "$IMG"
}

# in_file OFFSET LENGTH SEED: what the file itself holds.
in_file()
{
	local name

	name=$(attr backing_file)
	says ok blkio flush $DEV
	drop_caches
	says ok blkio verify "$name" "$1" "$2" "seed=$3"
}

# Nothing is under way, and nothing failed.
at_rest()
{
	[ "$(attr inflight | tr -s ' ')" = " 0 0" ]
	no_errors
}

# catches: an iterator that is not moved on, a bvec that is taken twice, a request that is
# larger than what the driver has room for.
one_write_of_many_mib()
{
	with "$1" "$2"
	says ok blkio write $DEV 0 1M seed=2
	says ok blkio write $DEV 1M 8M seed=3
	# At an odd place, so that no part of it is a whole page.
	says ok blkio write $DEV 9438720 3M seed=4
	says ok blkio verify $DEV 0 1M seed=2
	says ok blkio verify $DEV 1M 8M seed=3
	says ok blkio verify $DEV 9438720 3M seed=4
	in_file 0 1M 2
	in_file 1M 8M 3
	in_file 9438720 3M 4
	at_rest
}

# catches: more segments than the driver has room for, or one of them lost.
many_segments()
{
	local segment

	with "$1" "$2"
	for segment in 512 1536 4096 7680; do
		says ok vectors write $DEV 1M $segment 1000 $segment
		says ok vectors verify $DEV 1M $segment 1000 $segment
		# In another shape.
		says ok vectors verify $DEV 1M $((segment * 100)) 10 $segment
		in_file 1M $((segment * 1000)) $segment
	done
	at_rest
}

# catches: a split bio that starts at the beginning of its vector.
split()
{
	local was kb

	with "$1" "$2"
	was=$(attr queue/max_sectors_kb)
	for kb in 4 64 "$was"; do
		set_attr queue/max_sectors_kb "$kb"
		says ok blkio write $DEV 512 2M "seed=$kb"
		says ok vectors write $DEV 4M 1536 1000 "$kb"
		says ok blkio verify $DEV 512 2M "seed=$kb"
		says ok vectors verify $DEV 4M 1536 1000 "$kb"
		in_file 512 2M "$kb"
		in_file 4M 1536000 "$kb"
	done
	at_rest
}

# catches: data of one bio of a merged request in the place of another's.
merged()
{
	local before after

	with "$1" "$2"
	set_attr queue/scheduler mq-deadline
	dd if=/dev/urandom of="$SCRATCH/data" bs=1M count=8 status=none
	before=$(stat_of writes)
	# Page by page into the cache, written back in one go.
	dd if="$SCRATCH/data" of=$DEV bs=4k conv=fsync status=none
	after=$(stat_of writes)
	set_attr queue/scheduler none
	echo "$((after - before)) requests for 2048 pages"
	[ $((after - before)) -lt 2048 ]
	drop_caches
	cmp -n 8388608 "$SCRATCH/data" $DEV
	cmp -n 8388608 "$SCRATCH/data" "$IMG"
	at_rest
}

# catches: a discard or zeroing of which one part is done.
split_discard()
{
	local was

	with "$1" "$2"
	says ok blkio write $DEV 0 8M
	was=$(attr queue/discard_max_bytes)
	set_attr queue/discard_max_bytes 262144
	says ok blkio discard $DEV 1M 2M
	says ok blkio zero $DEV 4M 3M
	says ok blkio verify $DEV 0 1M
	says ok blkio verify $DEV 1M 2M seed=0
	says ok blkio verify $DEV 3M 1M
	says ok blkio verify $DEV 4M 3M seed=0
	says ok blkio verify $DEV 7M 1M
	[ "$(stat_of discards)" -ge 8 ]
	# As much as before, in whole blocks.
	set_attr queue/discard_max_bytes $((was / 4096 * 4096))
	at_rest
}

# io_stat N: a field of the block layer's own account.
io_stat()
{
	local -a fields

	read -r -a fields <$SYS/stat
	echo "${fields[$1]}"
}

# catches: a request that is started or ended twice, or completed with another size.
account_adds_up()
{
	local reads read_sectors writes write_sectors

	with "$1" "$2"
	settle
	reads=$(io_stat 0) read_sectors=$(io_stat 2)
	writes=$(io_stat 4) write_sectors=$(io_stat 6)
	reads=$((reads - $(stat_of reads))) writes=$((writes - $(stat_of writes)))
	says ok blkio write $DEV 0 1M count=8 depth=8
	says ok vectors write $DEV 8M 512 1000
	says ok blkio read $DEV 0 1M count=8
	says ok vectors verify $DEV 8M 512 1000
	# Past the end of the device: nothing of it may count.
	blkio write $DEV ${MIB}M 4k || true
	[ $(($(io_stat 6) - write_sectors)) = $((8 * 2048 + 1000)) ]
	[ $(($(io_stat 2) - read_sectors)) = $((8 * 2048 + 1000)) ]
	[ $(($(io_stat 4) - $(stat_of writes))) = "$writes" ]
	[ $(($(io_stat 0) - $(stat_of reads))) = "$reads" ]
	at_rest
}

# catches: a request that failed and is in flight for ever.
account_after_errors()
{
	with "$1" "$2"
	says ok blkio write $DEV 0 4M
	truncate -s 1M "$IMG"
	says EIO blkio write $DEV 0 4M count=4 depth=4
	says EIO blkio write $DEV 2M 64k fua
	says EIO blkio read $DEV 2M 64k
	says ok blkio read $DEV 0 1M
	[ "$(attr inflight | tr -s ' ')" = " 0 0" ]
	truncate -s ${MIB}M "$IMG"
	says ok blkio write $DEV 2M 64k fua
	says ok blkio verify $DEV 2M 64k
	[ "$(attr inflight | tr -s ' ')" = " 0 0" ]
	reset
}

lower_start ext4 128
lower_start xfs 400
must load
for p in none writethrough writeback guest; do
	check "ext4: $p: one write of many MiB" one_write_of_many_mib ext4 $p
	check "ext4: $p: a thousand segments" many_segments ext4 $p
done
check "xfs: none: one write of many MiB" one_write_of_many_mib xfs none
check "xfs: none: a thousand segments" many_segments xfs none
for p in none writeback; do
	check "ext4: $p: bios are split" split ext4 $p
	check "ext4: $p: bios are merged" merged ext4 $p
	check "ext4: $p: discards are split" split_discard ext4 $p
	check "ext4: $p: what is counted adds up" account_adds_up ext4 $p
	check "ext4: $p: nothing is in flight after errors" account_after_errors ext4 $p
done
finish
