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
BUILD_PACKAGES=(gcc make libc6-dev pahole kmod dkms sparse patch flex bison bc perl xz-utils
	zstd rsync libelf-dev libssl-dev libaio-dev liburing-dev libcap-dev)

# For the tests in the guest.
GUEST_PACKAGES=(udev mount util-linux util-linux-extra fdisk gdisk parted procps iproute2
	less strace attr sqlite3 e2fsprogs xfsprogs btrfs-progs dmsetup fio stress-ng
	trace-cmd blktrace nbd-client nbdkit nfs-kernel-server)

# Read by nobody in a test machine.
UNUSED_PATHS=(man doc info locale lintian)

# The host's own mirrors, as apt sees them, whatever the format of its lists. Asking it
# takes a second, and this script is run often: the answer holds until apt's files change.
targets()
{
	local answer=$CACHE/apt-targets stamp

	stamp=$(find /etc/apt /var/lib/apt/lists -maxdepth 2 -printf '%p %s %T@\n' | sha256sum)
	if [ "$(head -n 1 "$answer" 2>/dev/null || true)" != "$stamp" ]; then
		{
			echo "$stamp"
			apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' \
				'Created-By: Packages' || return
		} >"$answer.$$"
		mv "$answer.$$" "$answer"
	fi
	tail -n +2 "$answer"
}

# mirror LABEL: the host's mirror of Debian or Debian-Security.
mirror()
{
	awk -F'|' -v l="$1" '$1 == l && $2 == "main" { print $3; exit }' <<<"$targets"
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

# get_debs PACKAGE PATTERN FOLDER: unpacks a package, and what it depends on as far as
# the names match, without installing them: installed kernels and headers want an
# initramfs and a boot loader.
get_debs()
{
	local debs=$tmp/debs deb

	mkdir -p "$debs"
	in_root "$tmp/root" "$debs:/mnt" -- bash -euc '
		cd /mnt
		apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
			--no-breaks --no-replaces --no-enhances "$1" |
			grep -E "^$2" | sort -u | xargs apt-get download' \
		get_debs "$1" "$2"
	for deb in "$debs"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x --keep-directory-symlink -C "$3" --exclude ./usr/share/doc
	done
	rm -rf "$debs"
}

# get_kernel KERNEL RELEASE: its image and modules beside the root, its headers in it.
get_kernel()
{
	local dir=$tmp/kernels/$1 quoted=${2//[.+]/\\&}

	mkdir -p "$dir"
	get_debs "linux-image-$2" "linux-(image|base|binary|modules)-$quoted\$" "$dir"
	get_debs "linux-headers-$2" "linux-(headers|kbuild|compiler)-" "$tmp/root"
	# Where things lie depends on the release.
	[ ! -d "$dir/usr/lib/modules" ] || mv "$dir/usr/lib" "$dir/lib"
	find "$dir" -name 'vmlinuz*' -exec mv {} "$dir/vmlinuz" \;
	rm -rf "${dir:?}/boot" "${dir:?}/usr"
	echo "$2" >"$dir/release"
}

# The root without kernels. Kept if what follows fails, for the next try.
build_base()
{
	local options=() path setting

	need mmdebstrap debian-archive-keyring
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
	touch "$tmp/unpacked"
}

build()
{
	local kernel release

	[ ! -e "$dir" ] || return 0
	[ -e "$tmp/unpacked" ] || build_base
	for kernel in $kernels; do
		release=$(newest "$kernel")
		[ -n "$release" ] || die "no $kernel kernel found in $suite or its backports"
		quietly "fetching the kernel $release" get_kernel "$kernel" "$release"
	done
	mv "$tmp" "$dir"
	step "the $suite root is ready: $(du -sh "$dir" | cut -f 1)"
}

targets=$(targets)
if [ -z "$(mirror Debian)" ]; then
	quietly "refreshing the package lists" apt-get update
	targets=$(targets)
fi
[ -n "$(mirror Debian)" ] || die "apt on this machine knows no Debian mirror"
key=$( (declare -f build build_base get_debs get_kernel
	echo "${BUILD_PACKAGES[@]}" "${GUEST_PACKAGES[@]}" "${UNUSED_PATHS[@]}"
	sources) | sha256sum | cut -c 1-12)
dir=$CACHE/root-$suite-$key
tmp=$dir.tmp
with_lock "root-$suite" build
echo "$dir/root"
