#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A file on NFS, whose direct writes don't tell how their own sync has ended: what is to be
# durable gets a sync that does. The server is this machine itself; below it is a disk that
# can fail.

. "$(dirname "$0")/lib.sh"
start blkio exportfs rpc.nfsd rpc.mountd mount.nfs4 mkfs.ext4 dmsetup
without_udev
. "$HERE/below.sh"
. "$HERE/trace.sh"

NFSD=/proc/fs/nfsd
IMG=$SCRATCH/nfs/img		# as the client sees it
DATA=$BELOW_FS/img		# as the server sees it

# serve: what is in $BELOW_FS, to this machine only, by version 4.
serve()
{
	mount -t nfsd nfsd $NFSD && at_exit umount $NFSD || return
	exportfs -i -o rw,sync,insecure,no_root_squash,no_subtree_check,fsid=0 \
		"127.0.0.1:$BELOW_FS" && at_exit exportfs -u "127.0.0.1:$BELOW_FS" || return
	# So many seconds it waits, if it can't be told not to.
	echo 10 >$NFSD/nfsv4leasetime && echo 10 >$NFSD/nfsv4gracetime || return
	rpc.nfsd --host 127.0.0.1 --no-nfs-version 3 --nfs-version 4.2 1 &&
		at_exit rpc.nfsd 0 || return
	rpc.mountd --no-nfs-version 3 && at_exit pkill -x rpc.mountd || return
	# For clients of its life before, which it didn't have. 7.3 refuses that without a
	# daemon that keeps a list of them.
	{ echo Y >$NFSD/v4_end_grace; } 2>/dev/null || true
}

# Small transfers, so that a write of 64 KiB is more than one.
client()
{
	mkdir -p "$SCRATCH/nfs" &&
		mount -t nfs4 -o vers=4.2,wsize=16384,rsize=16384 127.0.0.1:/ "$SCRATCH/nfs" &&
		at_exit umount -l "$SCRATCH/nfs"
}

# catches: data that stays on the client; FUA that isn't asked of the server.
stores()
{
	local at=0

	bind "$IMG"
	[ "$(policy)" = none ]
	for policy in $POLICIES; do
		set_attr cache_policy "$policy"
		says ok blkio write $DEV ${at}k 64k seed=1
		says ok blkio write $DEV $((at + 64))k 64k seed=2 fua
		says ok blkio write $DEV $((at + 128))k 64k seed=3 buffered
		says ok blkio zero $DEV $((at + 192))k 16k
		says ok blkio flush $DEV
		[ "$policy" != unsafe ] || sync "$IMG"
		drop_caches
		for where in $DEV "$DATA"; do
			says ok blkio verify "$where" ${at}k 64k seed=1
			says ok blkio verify "$where" $((at + 64))k 64k seed=2
			says ok blkio verify "$where" $((at + 128))k 64k seed=3
			says ok blkio verify "$where" $((at + 192))k 16k seed=0
		done
		at=$((at + 256))
	done
	[ "$(stat_of errors) $(attr writeback_error)" = "0 0" ]
}

# catches: the word of a direct write taken for a sync.
syncs_by_itself()
{
	set_attr cache_policy none
	trace blkio write $DEV 0 4k fua >"$SCRATCH/trace"
	cat "$SCRATCH/trace"
	grep -q "vinteg_issue: .*call=write .*direct=1 dsync=sync" "$SCRATCH/trace"
	grep -q "vinteg_sync: .*start=0 end=4095 .*error=0" "$SCRATCH/trace"
}

# again POLICY: bound anew, or the server tells of the last error for ever.
again()
{
	[ -z "$(attr backing_file)" ] || set_attr reset 1 || [ -z "$(attr backing_file)" ]
	bind "$IMG"
	set_attr cache_policy "$1"
	says ok blkio write $DEV 0 64k fua
}

# catches: a failure on the server that is told to nobody. (What was written directly is
# written again by who is told, so that need not stick.)
failure_is_told()
{
	again "$1"
	shift
	below_no_sync "$DATA"
	says EIO blkio write $DEV 0 "$@"
	below_good
	again none
	drop_caches
	says ok blkio verify "$DATA" 0 64k
}

# catches: one that is told only once, of pages that the client has forgotten.
failure_sticks()
{
	again "$1"
	says ok blkio write $DEV 0 64k
	below_no_sync "$DATA"
	says EIO blkio flush $DEV
	below_good
	[ "$(attr writeback_error)" != 0 ]
	says EIO blkio flush $DEV
	refuses EIO reset 1
}

modprobe -q -a nfsd nfsv4 || true	# built into some kernels
if ! grep -qw nfsd /proc/filesystems || ! grep -qw nfs4 /proc/filesystems; then
	ktap_test_skip "a file on NFS: this kernel has none"
	finish
	exit
fi
must ip link set lo up
must below_start nofua
# Without a journal a filesystem survives a sync that fails, and writes on.
must mkfs.ext4 -q -F -O ^has_journal $BELOW_MAP
must mount $BELOW_MAP "$BELOW_FS"
must below_file img 4
must serve
must client
must test -e "$IMG"
load
# A sync to a server that is gone would wait for it.
at_exit unload_if_loaded
trace_start
check "stores what is written, under every policy" stores
check "none: a FUA write gets a sync that tells" syncs_by_itself
check "none: if the server can't write, a FUA write fails" failure_is_told none 4k fua
check "none: also one that takes several transfers" failure_is_told none 64k fua
check "directsync: also a plain write" failure_is_told directsync 64k
check "writethrough: also through the page cache" failure_is_told writethrough 64k
check "writeback: if the server can't sync, a FLUSH fails, and that sticks" failure_sticks writeback
trace_stop
reset
finish
