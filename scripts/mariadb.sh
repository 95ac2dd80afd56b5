#!/usr/bin/env bash
# A throwaway MariaDB on a free port of 127.0.0.1:   scripts/mariadb.sh COMMAND [ARGUMENTS…]
#
# Runs COMMAND with TALLY_TEST_MARIADB_URL set and removes the server afterwards. If the variable is set already, that
# server is used and nothing is started. It is only read from, as somebody's existing tables: durability is off.
set -euo pipefail
if [ -n "${TALLY_TEST_MARIADB_URL:-}" ]; then exec "$@"; fi

server=$(command -v mariadbd || ls /usr/sbin/mariadbd 2>/dev/null || true)
if [ -z "$server" ] || ! command -v mariadb-install-db >/dev/null; then
    echo "MariaDB is not installed: run scripts/setup.sh test, or set TALLY_TEST_MARIADB_URL to a server" >&2
    exit 2
fi
data=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# It refuses to run as root unless told to whom its files belong.
owner=()
if [ "$(id -u)" = 0 ]; then
    owner=(--user=mysql)
    chown mysql "$data"
fi
pid=
stop() {
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    rm -rf "$data"
}
trap stop EXIT
mariadb-install-db --no-defaults "${owner[@]}" --datadir="$data/cluster" --auth-root-authentication-method=normal \
    --skip-test-db >"$data/install.log" 2>&1 || { cat "$data/install.log" >&2; exit 2; }
"$server" --no-defaults "${owner[@]}" --datadir="$data/cluster" --socket="$data/socket" --pid-file="$data/pid" \
    --bind-address=127.0.0.1 --port="$port" --innodb-flush-log-at-trx-commit=0 --max-connections=200 \
    >"$data/log" 2>&1 &
pid=$!
for _ in $(seq 300); do
    mariadb-admin --no-defaults --socket="$data/socket" --user=root ping >/dev/null 2>&1 && break
    kill -0 "$pid" 2>/dev/null || { cat "$data/log" >&2; exit 2; }
    sleep 0.1
done
mariadb-admin --no-defaults --socket="$data/socket" --user=root ping >/dev/null || { cat "$data/log" >&2; exit 2; }
export TALLY_TEST_MARIADB_URL=mariadb://root@127.0.0.1:$port
"$@"
