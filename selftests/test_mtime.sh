#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writes don't touch the file's times on their way; a backup that goes by them has to
# find the file all the same.

. "$(dirname "$0")/lib.sh"
start blkio mkfs.ext4 find
without_udev

is_newer()
{
	[ -n "$(find "$1" -newer "$SCRATCH/reference")" ]
}

# catches: times that are brought up to date late, or never.
noticed()
{
	local n

	touch "$SCRATCH/reference"
	sleep 0.1	# the clock of file times is a coarse one
	n=0
	for p in $POLICIES; do
		fails is_newer "$SCRATCH/fs/$p"
		"$@" /dev/vinteg$n
		n=$((n + 1))
	done
	sleep 2
	for p in $POLICIES; do
		is_newer "$SCRATCH/fs/$p" || { echo "$p: not noticed"; return 1; }
	done
}

write_to()
{
	blkio write "$1" 0 4k
}

discard_from()
{
	blkio discard "$1" 64k 64k
}

# catches: a last write that nobody has noticed when the file is given back.
noticed_at_unbind()
{
	touch "$SCRATCH/reference"
	sleep 0.1
	blkio write $DEV 0 4k
	reset
	is_newer "$SCRATCH/fs/none"
}

# catches: a file that looks changed although nobody has changed it.
reads_change_nothing()
{
	touch "$SCRATCH/reference"
	sleep 0.1
	blkio read /dev/vinteg1 0 4k
	blkio flush /dev/vinteg1
	sleep 1.5
	fails is_newer "$SCRATCH/fs/directsync"
}

load num_devices=6
make_disk vtmtime 64 && mkfs.ext4 -q -b 4096 /dev/vtmtime &&
	mkdir "$SCRATCH/fs" && mount /dev/vtmtime "$SCRATCH/fs" ||
	ktap_exit_fail_msg "no filesystem to test on"
at_exit umount "$SCRATCH/fs"
i=0
for p in $POLICIES; do
	truncate -s 1M "$SCRATCH/fs/$p"
	set_attr cache_policy "$p" vinteg$i && bind "$SCRATCH/fs/$p" vinteg$i ||
		ktap_exit_fail_msg "can't bind"
	i=$((i + 1))
done
check "find -newer notices a write within 2 s, in every policy" noticed write_to
check "find -newer notices a discard within 2 s, in every policy" noticed discard_from
check "find -newer notices a write when the file has been unbound" noticed_at_unbind
check "reads and flushes leave the time alone" reads_change_nothing
finish
