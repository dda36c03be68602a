#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# postgresql.sh SUITE: prepares PostgreSQL as that Debian release has it, for the few
# tests that want it: it is no part of the root filesystem, which all would pay for.
# Prints the path of a folder with "postgresql", the programs, which find each other
# wherever they are put, and "cluster.tar", a database that pgbench has filled once.

. "$(dirname "$0")/../lib.sh"

[ $# = 1 ] || die "usage: postgresql.sh bookworm|trixie"
suite=$1

# All else that these depend on is in the root, or of no use here.
PACKAGES='^(postgresql(-client)?-[0-9]+|libpq5)$'
# Small pieces, so that segments of the log are recycled, and checkpoints are made, within
# the seconds that a test has. What matters is said even where it is the default.
SETTINGS="
listen_addresses = ''
fsync = on
synchronous_commit = on
full_page_writes = on
data_sync_retry = off
max_wal_size = 3MB
min_wal_size = 2MB
shared_buffers = 4MB
max_connections = 20
checkpoint_warning = 0
jit = off
timezone = GMT
log_timezone = GMT
"

# pgbench knows no fewer than 100,000, and all are looked at after each cut.
ACCOUNTS=20000

# shellcheck disable=SC2016 # expanded by the inner shell
IN_ROOT='
	mkdir /tmp/debs
	cd /tmp/debs
	get()
	{
		apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
			--no-breaks --no-replaces --no-enhances postgresql |
			grep -E "$1" | sort -u | xargs apt-get download
	}
	# The lists are as old as the root.
	get "$1" || { apt-get update && get "$1"; }
	mkdir /out/postgresql
	for deb in *.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C /out/postgresql --exclude ./usr/share/doc \
			--exclude ./usr/share/man --exclude ./usr/share/locale --exclude "*/bitcode" \
			--exclude "*/llvmjit*" --exclude "*/pgxs" ./usr
	done
	export PATH=$(echo /out/postgresql/usr/lib/postgresql/*/bin):$PATH
	export LD_LIBRARY_PATH=$(dirname /out/postgresql/usr/lib/*/libpq.so.5)
	postgres --version
	install -d -o nobody /tmp/cluster
	as_nobody()
	{
		setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs "$@"
	}
	cd /tmp/cluster
	as_nobody initdb -D data -U postgres -A trust -E UTF8 --locale C --data-checksums \
		--wal-segsize 1 --no-sync
	echo "$2" >>data/postgresql.conf
	as_nobody pg_ctl -D data -o "-k /tmp/cluster" -l log -w start
	as_nobody pgbench -h /tmp/cluster -U postgres -i postgres
	echo "$3" >/out/postgresql/accounts
	# And one database is enough.
	for query in "CREATE EXTENSION amcheck" "DELETE FROM pgbench_accounts WHERE aid > $3" \
			"VACUUM FULL ANALYZE pgbench_accounts" \
			"UPDATE pg_database SET datistemplate = false" \
			"DROP DATABASE template0" "DROP DATABASE template1"; do
		as_nobody psql -h /tmp/cluster -U postgres -c "$query" postgres
	done
	as_nobody pg_ctl -D data -w stop
	tar -c -f /out/cluster.tar data'

build()
{
	[ ! -e "$dir" ] || return 0
	rm -rf "$tmp"
	mkdir -p "$tmp"
	quietly "fetching PostgreSQL for $suite" in_root "$root" "$tmp:/out" -- \
		bash -o pipefail -euc "$IN_ROOT" postgresql "$PACKAGES" "$SETTINGS" "$ACCOUNTS"
	mv "$tmp" "$dir"
}

root=$("$TOP/scripts/kernel/root.sh" "$suite")
key=$(sha256sum "$0" | cut -c 1-12)
dir=$(dirname "$root")/postgresql-$key
tmp=$dir.tmp
with_lock "postgresql-$suite" build
echo "$dir"
