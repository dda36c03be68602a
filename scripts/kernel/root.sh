#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# root.sh SUITE: prepares a root filesystem of a Debian release (bookworm or
# trixie) and prints its path. Modules and tests are built in it, and the guest's
# disk image is made from it.
#
# Beside it lies kernels/KERNEL/ for each kernel of that release, with its vmlinuz,
# its modules, and its name (the output of uname -r) in the file "release".

. "$(dirname "$0")/../lib.sh"

suite=${1:-}
case $suite in
bookworm)	kernels="6.1 6.12" ;;
trixie)		kernels="7.3" ;;
*)		die "usage: root.sh bookworm|trixie" ;;
esac

# For building the module, the tests and the User-Mode Linux kernel.
BUILD_PACKAGES=(gcc make libc6-dev kmod dkms sparse patch flex bison bc perl xz-utils
	zstd rsync libelf-dev libssl-dev libaio-dev liburing-dev libcap-dev)

# For the tests in the guest.
GUEST_PACKAGES=(udev mount util-linux util-linux-extra fdisk gdisk parted procps iproute2
	less strace attr sqlite3 e2fsprogs xfsprogs btrfs-progs dmsetup fio stress-ng
	trace-cmd blktrace nbd-client nbdkit)

# Read by nobody in a test machine.
UNUSED_PATHS=(man doc info locale lintian)

# The host's own mirrors, as apt sees them, whatever the format of its lists.
# Prints the one with the label $1 (Debian, Debian-Security).
mirror()
{
	# shellcheck disable=SC2016 # expanded by apt
	apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
		awk -F'|' -v l="$1" '$1 == l && $2 == "main" { print $3; exit }'
}

sources()
{
	local main security

	main=$(mirror Debian)
	security=$(mirror Debian-Security)
	echo "deb $main $suite main"
	echo "deb $main $suite-updates main"
	echo "deb $main $suite-backports main"
	[ -z "$security" ] || echo "deb $security $suite-security main"
}

# newest KERNEL: the newest stock kernel of that series that the root's apt knows.
newest()
{
	local series=${1//./\\.}

	in_root "$tmp/root" -- \
		apt-cache search --names-only "^linux-image-$series\.[0-9.]+(\+deb[0-9.]+)?(-[0-9]+)?-amd64\$" |
		sed 's/^linux-image-//; s/ .*//' | sort -V | tail -n 1
}

# get_headers RELEASE: unpacks the headers into the root. Installing them would pull
# in the kernel itself, an initramfs generator and a boot loader's hooks.
get_headers()
{
	local debs=$tmp/debs deb

	mkdir -p "$debs"
	in_root "$tmp/root" "$debs:/mnt" -- bash -euc '
		cd /mnt
		apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
			--no-breaks --no-replaces --no-enhances "linux-headers-$1" |
			grep -E "^linux-(headers|kbuild|compiler)-" | sort -u | xargs apt-get download
		' get_headers "$1"
	for deb in "$debs"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x --keep-directory-symlink -C "$tmp/root" --exclude ./usr/share/doc
	done
	rm -rf "$debs"
}

# get_image KERNEL RELEASE: unpacks a kernel without installing it: an installed
# one would want an initramfs and a boot loader.
get_image()
{
	local dir=$tmp/kernels/$1

	mkdir -p "$dir"
	in_root "$tmp/root" "$dir:/mnt" -- \
		bash -euc 'cd /mnt; apt-get download "linux-image-$1"; dpkg-deb -x ./*.deb .; rm ./*.deb' \
		get_image "$2"
	# Where the modules are depends on the release: either becomes lib/modules.
	[ ! -d "$dir/usr/lib/modules" ] || mv "$dir/usr/lib" "$dir/lib"
	mv "$dir/boot/vmlinuz-$2" "$dir/vmlinuz"
	rm -rf "${dir:?}/boot" "${dir:?}/usr"
	echo "$2" >"$dir/release"
}

build()
{
	local kernel release options=() path setting

	[ ! -e "$dir/done" ] || return 0
	need mmdebstrap debian-archive-keyring
	[ -n "$(mirror Debian)" ] || quietly "refreshing the package lists" apt-get update
	[ -n "$(mirror Debian)" ] || die "apt on this machine knows no Debian mirror"

	tmp=$dir.tmp
	rm -rf "$tmp"
	mkdir -p "$tmp/kernels"
	sources >"$tmp/sources"
	for path in "${UNUSED_PATHS[@]}"; do
		options+=("--dpkgopt=path-exclude=/usr/share/$path/*")
	done
	# A proxy, or a mirror frozen in time: what holds here holds for the root.
	while read -r setting; do
		options+=("--aptopt=$setting")
	done < <(apt-config dump | grep -E '^Acquire::((https?|ftp)::|Check-|Retries)')
	quietly "building the $suite root: download and unpack" \
		mmdebstrap --mode=root --variant=apt --format=directory --skip=cleanup/apt/lists \
		"${BUILD_PACKAGES[@]/#/--include=}" "${GUEST_PACKAGES[@]/#/--include=}" \
		--dpkgopt=force-unsafe-io "${options[@]}" "$suite" "$tmp/root" "$tmp/sources"

	for kernel in $kernels; do
		release=$(newest "$kernel")
		[ -n "$release" ] || die "no $kernel kernel found in $suite or its backports"
		quietly "fetching the kernel $release" get_image "$kernel" "$release"
		quietly "fetching its headers" get_headers "$release"
	done
	rm "$tmp/sources"
	touch "$tmp/done"
	rm -rf "$dir"
	mv "$tmp" "$dir"
	step "the $suite root is ready: $(du -sh "$dir" | cut -f 1)"
}

key=$( (declare -f build get_image get_headers
	echo "${BUILD_PACKAGES[@]}" "${GUEST_PACKAGES[@]}" "${UNUSED_PATHS[@]}"
	sources) | sha256sum | cut -c 1-12)
dir=$CACHE/root-$suite-$key
with_lock "root-$suite" build
echo "$dir/root"
