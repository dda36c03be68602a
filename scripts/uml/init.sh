#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The first thing that runs in a User-Mode Linux guest: makes the root writable (in
# memory, what is below stays as it is), copies in what run.sh shares, and goes on
# as any other guest does.

mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/upper /run/work /run/root
mount -t overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work overlay /run/root
mkdir /run/root/old
cd /run/root || exit
pivot_root . old
cd /
cp -a /old/mnt/. /
mount -t devtmpfs devtmpfs /dev
# umount doesn't find a mount without /proc; the guest's init mounts its own.
mount -t proc proc /proc
umount -l /old
umount /proc
exec /bin/bash /guest-init.sh
