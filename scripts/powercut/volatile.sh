# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# To be sourced: a disk with a volatile cache below a virtual machine.

# start_disk IMAGE SOCKET: writes are in the cache, a file without a name that ends with
# the process; a flush moves them to the image. 4k: the default would make a forced write
# take its neighbours along. Sets disk_pid.
start_disk()
{
	rm -f "$2"
	TMPDIR=$(dirname "$1") nbdkit -f -U "$2" --filter=cache file "$1" \
		cache=writeback cache-min-block-size=4k &
	disk_pid=$!
	until [ -S "$2" ]; do
		kill -0 "$disk_pid" || die "nbdkit did not start"
		nap 0.1
	done
}
