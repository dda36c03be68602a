#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guest's init: makes a small Debian of the root disk, runs /job/run, and sends
# the verdict as its very last word, after the module is gone and the kernel's log
# was searched. Whoever hears no verdict knows that the machine was lost.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM=linux LC_ALL=C.UTF-8
out=/dev/ttyS1

LEAKS=/sys/kernel/debug/kmemleak
# What the kernel says and leaks before the job is not the job's doing.
MARK='vm: the job starts'

# What no kernel may say during a test, whatever the test does.
SPLATS='cut here|WARNING:|BUG:|Oops|general protection fault|[Kk]ernel panic|UBSAN:|KASAN:|KCSAN:|KFENCE:|list_(add|del) corruption|refcount_t:|possible (circular|recursive) locking|lock inversion|unsafe locking|suspicious RCU|held lock freed|bad unlock balance|blocked for more than|rcu: INFO:|soft lockup|hard LOCKUP|scheduling while atomic|sleeping function called|vinteg.*page allocation failure'

# param NAME: the value of vm.NAME on the kernel's command line.
param()
{
	sed -n "s/.*\\bvm\\.$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline
}

mount_all()
{
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mkdir -p /dev/pts /dev/shm
	mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm
	mount -t tmpfs -o mode=755 tmpfs /run
	mount -t tmpfs -o mode=1777 tmpfs /tmp
	mount -t cgroup2 cgroup /sys/fs/cgroup
	mount -t debugfs debugfs /sys/kernel/debug
	mount -t tracefs tracefs /sys/kernel/tracing
	# Else the first event that is switched on patches the scheduler while the other
	# processor runs it, which the emulator may not survive: see vm/accident.sh.
	echo 0 >/sys/kernel/tracing/options/record-cmd
	# A module in some kernels: then whoever needs it loads it.
	[ ! -d /sys/kernel/config ] || mount -t configfs configfs /sys/kernel/config
	ln -sf /proc/self/fd /dev/fd
	ln -sf /proc/self/fd/0 /dev/stdin
	ln -sf /proc/self/fd/1 /dev/stdout
	ln -sf /proc/self/fd/2 /dev/stderr
	mkdir -p /run/udev /run/lock
	: >/etc/fstab
}

# A hung task, 30 seconds of it, is a lost machine rather than a test that waits on. So is a
# processor that hangs, after it was said five times in five minutes: see vm/accident.sh.
set_limits()
{
	echo 30 >/proc/sys/kernel/hung_task_timeout_secs
	echo 1 >/proc/sys/kernel/hung_task_panic
	echo 5 >/proc/sys/kernel/max_rcu_stall_to_panic
	echo 1 >/proc/sys/kernel/panic_on_rcu_stall
	echo '7 4 1 7' >/proc/sys/kernel/printk
	hostname vinteg-vm
	ip link set lo up
}

install_module()
{
	local dir tool=/job/installed/usr/local/sbin/vintegctl

	[ ! -e $tool ] || ln -s $tool /usr/local/sbin/
	[ -e /job/vinteg.ko ] || return 0
	dir=/lib/modules/$(uname -r)/updates
	mkdir -p "$dir"
	cp /job/vinteg.ko "$dir/"
	# The root disk's index knows the name already where it could be prepared.
	modprobe -n -q vinteg || depmod
}

# remove_module: with patience for udev, which opens new disks for a moment.
remove_module()
{
	local try

	grep -q '^vinteg ' /proc/modules || return 0
	for try in 1 2 3 4 5; do
		udevadm settle
		rmmod vinteg 2>/run/rmmod && return 0
		sleep "0.$try"
	done
	cat /run/rmmod
	return 1
}

# Young objects and a pointer in a register look like leaks: only what two scans agree on
# counts.
scan_twice()
{
	echo scan >$LEAKS
	sleep 6
	echo scan >$LEAKS
}

# "clear" forgets only what has been found by then. (7.3's hostfs leaks a path when it is
# unmounted, which a stale pointer may hide for an hour.)
forget_boot()
{
	if [ -e $LEAKS ]; then
		scan_twice
		echo clear >$LEAKS
		STARTED=$(awk '$1 == "jiffies:" { now = $2 } END { print now }' /proc/timer_list)
	fi
	echo "<6>$MARK" >/dev/kmsg
}

scan_leaks()
{
	[ -e $LEAKS ] || return 0
	scan_twice
	awk -v started="$STARTED" '
		/^unreferenced object/ {
			object = $0
			getline
			mine = $NF >= started
			if (mine)
				print object
			found += mine
		}
		mine
		END { exit found != 0 }' $LEAKS
}

# Lockdep gives up when one of its tables is full, KCSAN has to be switched on. What is off
# has nothing to complain about.
detectors_are_on()
{
	local lockdep=/proc/lockdep_stats kcsan=/sys/kernel/debug/kcsan

	if [ -e $lockdep ] && ! grep -q '^ *debug_locks: *1$' $lockdep; then
		echo "lockdep is off"
		return 1
	elif [ -e $kcsan ] && ! grep -q '^enabled: *1$' $kcsan; then
		echo "KCSAN is off"
		return 1
	fi
}

# Reads the whole log, also what a test has cleared with dmesg -C.
scan_log()
{
	local start bad=0

	detectors_are_on || bad=1
	dd if=/dev/kmsg iflag=nonblock bs=8k 2>/dev/null >/run/kmsg
	# If it's gone, all counts.
	start=$(grep -n -m 1 "$MARK" /run/kmsg | cut -d : -f 1)
	# A mistake of the kernel's, which warns of memory that is short while a module is loaded
	# (trace_events.c of 7.3). Where nobody makes it short, the test that sees it fails.
	tail -n "+${start:-1}" /run/kmsg | sed '/cut here/{N;/ event_define_fields+/d;}' |
		grep -E -A 12 "$SPLATS" && bad=1
	return $bad
}

run_job()
{
	cd /job || return 127
	setsid -w ./run </dev/null >$out 2>&1
}

run_shell()
{
	stty -F /dev/ttyS0 sane rows "$(param rows)" cols "$(param cols)"
	cat <<-END >/dev/ttyS0

		Kernel $(uname -r). The module is installed: modprobe vinteg
		A scratch disk is /dev/disk/by-id/virtio-scratch. To leave: exit

	END
	cd /root || return
	setsid -w -c bash -l <>/dev/ttyS0 >&0 2>&1
}

verdict()
{
	local status=$1 rmmod=ok log=clean leaks=none

	cd /
	remove_module >$out || rmmod=failed
	scan_leaks >$out || leaks=found
	scan_log >$out || log=dirty
	echo "vm-verdict $(param token) run=$status rmmod=$rmmod log=$log leaks=$leaks" >$out
	# Setting a line's attributes waits until it has sent everything.
	stty -F $out raw -echo
	stty -F /dev/ttyS0 sane
	echo b >/proc/sysrq-trigger
	sleep 60
}

mount_all
set_limits
stty -F $out raw -echo
/lib/systemd/systemd-udevd --daemon
udevadm trigger --subsystem-match=block --subsystem-match=virtio --action=add
install_module
udevadm settle
if [ -n "$(param shell)" ]; then
	run_shell
	verdict 0
fi
forget_boot
run_job
verdict $?
