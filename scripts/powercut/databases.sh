# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # variables of whoever sources this
#
# To be sourced by clients-guest.sh: what a power cut has to know of databases. The name
# of the one in use is in "database", its files are in UPPER. Each has entries, and sums
# that have to agree with them. An entry has a line in the ledger once its transaction's
# COMMIT was acknowledged.

RUN=$WORK/run
LEDGER=$RUN/ledger
LOG=$RUN/log

# All of these are as the release has them: see postgresql.sh.
POSTGRESQL=$(echo "$PWD"/postgresql/usr/lib/postgresql/*/bin)
LIBRARIES=$(echo "$PWD"/postgresql/usr/lib/*-linux-gnu)
CLIENTS=4
ACCOUNTS=$(<postgresql/accounts)

# new_run: a folder in memory for the ledger, and for what else no cut can reach.
new_run()
{
	rm -rf "$RUN"
	mkdir -p "$RUN"
	: >"$LEDGER"
	: >"$LOG"
	chown -R nobody "$RUN"
}

make_database()
{
	case $database in
	postgresql)	tar -x -C "$UPPER" -f cluster.tar ;;
	sqlite-*)	sqlite_make ;;
	esac
}

# start_database: and let it recover; is_ready tells when it has.
start_database()
{
	case $database in
	postgresql)	postgresql_start ;;
	esac
}

is_ready()
{
	case $database in
	postgresql)	postgresql_is_ready ;;
	sqlite-*)	sqlite 'SELECT count(*) FROM sums' ;;
	esac >/dev/null 2>>"$LOG"
}

# start_load NUMBER: transactions from that number on, without end.
start_load()
{
	case $database in
	postgresql)	postgresql_load "$1" ;;
	sqlite-*)	sqlite_load "$1" ;;
	esac
}

# read_database: prints all entries as the ledger has them.
read_database()
{
	case $database in
	postgresql)	postgresql_ask "SELECT rtrim(filler) || ' ' || aid || ' ' || delta
				FROM pgbench_history" ;;
	sqlite-*)	sqlite "SELECT n || ' ' || amount || ' ' || length(filler) FROM entries" ;;
	esac
}

# ledger: prints all entries that must be there.
ledger()
{
	case $database in
	postgresql)	postgresql_ledger ;;
	sqlite-*)	cat "$LEDGER" ;;
	esac
}

# check_database: says what is wrong with it. The database is stopped afterwards.
check_database()
{
	case $database in
	postgresql)	postgresql_check ;;
	sqlite-*)	sqlite_check ;;
	esac
}

# postgresql PROGRAM OPTION...: it refuses to be run by root.
postgresql()
{
	local program=$1
	shift

	LD_LIBRARY_PATH=$LIBRARIES setpriv --reuid nobody --regid nogroup --clear-groups \
		"$POSTGRESQL/$program" "$@"
}

# postgresql_ask QUERY
postgresql_ask()
{
	postgresql psql -XAtq -v ON_ERROR_STOP=1 -h "$RUN" -U postgres -c "$1" postgres
}

# Commits by fdatasync, or by O_DSYNC writes.
postgresql_start()
{
	local methods=(fdatasync open_datasync)

	# Of a process that has gone with the power. Here, where the machine has stayed up,
	# another may have got its number.
	rm -f "$UPPER/data/postmaster.pid"
	begin postgresql postgres -D "$UPPER/data" -k "$RUN" \
		-c wal_sync_method="${methods[$((seed / 4 % 2))]}" >>"$LOG" 2>&1
}

# It writes so into its lock file, and reading that costs next to nothing.
postgresql_is_ready()
{
	{ [[ $(<"$UPPER/data/postmaster.pid") == *ready* ]]; } 2>/dev/null
}

# pgbench's own transaction without the one row that all of its clients wait for, and
# with a number. Each client has its own variable n. pgbench tells the ledger of all it
# does, and comes to the last line only if COMMIT was acknowledged. It does so for all
# clients from one thread: their words don't mix.
postgresql_load()
{
	cat >"$RUN/script" <<-END
		\\set n :n + 1
		\\set aid random(1, $ACCOUNTS)
		\\set tid random(1, 10)
		\\set delta random(-5000, 5000)
		BEGIN;
		UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
		UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
		INSERT INTO pgbench_history VALUES (:tid, 1, :aid, :delta, CURRENT_TIMESTAMP, ':client_id :n');
		COMMIT;
		\\set acknowledged 1
	END
	begin postgresql pgbench --debug -n -h "$RUN" -U postgres -c $CLIENTS -j 1 -T 36000 \
		--random-seed="$seed" -D n="$1" -f "$RUN/script" postgres >/dev/null 2>>"$LEDGER"
}

# What pgbench said of the entries that were committed.
postgresql_ledger()
{
	awk -F "[(),']+ *'?" '
		function client()
		{
			match($0, /client [0-9]+ /)
			return substr($0, RSTART, RLENGTH)
		}
		/ sending INSERT/			{ entry[client()] = $7 " " $4 " " $5 }
		/ executing .set acknowledged/	{ print entry[client()] }' "$LEDGER"
}

postgresql_check()
{
	local sums status=0

	sums=$(postgresql_ask "SELECT (SELECT sum(abalance) FROM pgbench_accounts),
		(SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM pgbench_history)")
	awk -F'|' '{ exit !(NF == 3 && $1 == $2 && $2 == $3) }' <<<"$sums" ||
		{ echo "the sums don't agree: $sums"; status=1; }
	postgresql pg_amcheck --heapallindexed -h "$RUN" -U postgres postgres || status=1
	# It looks at all pages, but only of a database that was shut down in order.
	postgresql pg_ctl -D "$UPPER/data" -m fast -w stop >/dev/null &&
		postgresql pg_checksums --check -D "$UPPER/data" || status=1
	return $status
}

has_panicked()
{
	grep -q ' PANIC: ' "$LOG"
}

# sqlite QUERY
sqlite()
{
	sqlite3 -bail -batch -init /dev/null "$UPPER/db" "$1"
}

sqlite_make()
{
	sqlite "CREATE TABLE entries (n INTEGER PRIMARY KEY, amount INTEGER, filler TEXT);
		CREATE INDEX by_amount ON entries (amount);
		CREATE TABLE sums (amount INTEGER);
		INSERT INTO sums VALUES (0);"
}

# The journal modes that keep their promise with synchronous=FULL. DELETE is none of
# them: a commit is the removal of the journal, and the folder is synced afterwards only
# with synchronous=EXTRA (sqlite.org/pragma.html#pragma_synchronous), so the journal may
# come back after a power cut, and roll back what was committed.
sqlite_load()
{
	begin sqlite_session "$1" "${database#sqlite-}"
}

# sqlite_session NUMBER MODE: line by line, or the ledger would be as late as the buffer
# is large.
sqlite_session()
{
	sqlite_statements "$@" |
		stdbuf -oL sqlite3 -bail -batch -init /dev/null "$UPPER/db" >>"$LEDGER" 2>>"$LOG"
}

# sqlite_statements NUMBER MODE: the transactions. What follows a COMMIT is not reached
# if that fails: -bail.
sqlite_statements()
{
	cat <<-END
		.output $RUN/modes
		PRAGMA journal_mode=$2;
		PRAGMA synchronous=FULL;
		PRAGMA synchronous;
		PRAGMA wal_autocheckpoint=40;
		.output stdout
	END
	awk -v seed="$seed" -v n="$1" 'BEGIN {
		srand(seed)
		for (;;) {
			amount = int(rand() * 10000) - 5000
			size = 1 + int(rand() * rand() * 9000)
			printf "BEGIN IMMEDIATE;\n"
			printf "INSERT INTO entries VALUES (%d, %d, printf('\''%%.*c'\'', %d, '\''x'\''));\n", ++n, amount, size
			printf "UPDATE sums SET amount = amount + %d;\n", amount
			printf "COMMIT;\n"
			printf "SELECT '\''%d %d %d'\'';\n", n, amount, size
		}
	}'
}

sqlite_check()
{
	local mode synchronous answer status=0

	# It can't be told from the results whether the modes were what they should be.
	{ read -r mode && read -r synchronous; } <"$RUN/modes"
	[ "$mode-$synchronous" = "${database#sqlite-}-2" ] ||
		{ echo "the modes are $mode and $synchronous"; status=1; }
	answer=$(sqlite 'PRAGMA integrity_check')
	[ "$answer" = ok ] || { echo "integrity_check: $answer"; status=1; }
	answer=$(sqlite 'SELECT (SELECT amount FROM sums) = (SELECT coalesce(sum(amount), 0) FROM entries)')
	[ "$answer" = 1 ] || { echo "the sum doesn't agree: $answer"; status=1; }
	return $status
}
