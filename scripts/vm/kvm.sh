#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kvm.sh IMAGE: succeeds if KVM really boots a stock kernel here. A nested KVM can
# open /dev/kvm and still fail at that, so it is tried: once for each boot of this
# machine.

. "$(dirname "$0")/../lib.sh"

[ -w /dev/kvm ] || exit 1
image=$1
answer=$CACHE/kvm-$(</proc/sys/kernel/random/boot_id)

# Without a root disk the guest's initrd ends in a shell; its prompt is the proof.
probe()
{
	local console kernel

	[ ! -e "$answer" ] || return 0
	step "trying whether KVM boots a stock kernel"
	console=$(mktemp "$CACHE/log.XXXXXX")
	kernel=$(find "$image" -name 'vmlinuz-*' | sort | head -n 1)
	# In braces, for bash would tell of an emulator that aborts.
	{
		timeout 40 qemu-system-x86_64 -accel kvm -cpu host -nodefaults -display none \
			-no-reboot -m 512 -kernel "$kernel" -initrd "${kernel/vmlinuz/initrd}" \
			-append "console=ttyS0 panic=-1 vm.probe=1" -serial "file:$console" \
			>/dev/null </dev/null
	} 2>/dev/null || true
	if grep -q '^vm-probe: alive' "$console"; then
		echo yes >"$answer"
	else
		echo no >"$answer"
		step "KVM is there but boots no stock kernel: emulating instead"
	fi
	rm "$console"
}

with_lock kvm probe
[ "$(<"$answer")" = yes ]
