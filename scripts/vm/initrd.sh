#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# First process of the guest, in its initial memory filesystem: loads what it
# takes to mount the root disk and the job, and hands over to guest-init.sh.

/bin/busybox --install -s /bin
mkdir -p /proc /dev /sys /root
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do
	insmod "/modules/$module" || echo "initrd: cannot load $module"
done </modules/list

if grep -q vm.probe /proc/cmdline; then
	echo "vm-probe: alive" >/dev/console
	reboot -f
fi

# The disks in the order of run.sh: the root, the job.
for disk in vda vdb; do
	tries=0
	while [ ! -b /dev/$disk ] && [ $tries -lt 100 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
done
mount -t ext4 -o noatime /dev/vda /root || exec sh
mount -t ext4 -o noatime /dev/vdb /root/job || exec sh
umount /sys /proc
mount --move /dev /root/dev
cp /guest-init.sh /root/sbin/guest-init
exec switch_root /root /sbin/guest-init
