#!/usr/bin/env bash
# A throwaway PostgreSQL on a free port of 127.0.0.1:   scripts/postgres.sh COMMAND [ARGUMENTS…]
#
# Runs COMMAND with TALLY_TEST_POSTGRES_URL set and removes the server afterwards. If the variable is set already, that
# server is used and nothing is started. Durability stays at its defaults: what is measured and killed must be real.
set -euo pipefail
if [ -n "${TALLY_TEST_POSTGRES_URL:-}" ]; then exec "$@"; fi

folder=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1)")
if [ ! -x "$folder/initdb" ]; then
    echo "PostgreSQL is not installed: run scripts/setup.sh, or set TALLY_TEST_POSTGRES_URL to a server" >&2
    exit 2
fi
data=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# PostgreSQL refuses to run as root.
as_owner() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown postgres "$data"
    as_owner() { setpriv --reuid=postgres --regid=postgres --clear-groups env LC_ALL=C.UTF-8 "$@"; }
fi
server() { (cd "$data" && as_owner "$folder/pg_ctl" -D "$data/cluster" "$@" >/dev/null); }
stop() { server -m immediate stop || true; rm -rf "$data"; }
trap stop EXIT
(cd "$data" && as_owner "$folder/initdb" -D "$data/cluster" -U postgres --auth=trust -E UTF8 --locale=C.UTF-8 >/dev/null)
cat >>"$data/cluster/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 300
shared_buffers = 256MB
CONF
server -w -l "$data/log" start
export TALLY_TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:$port
"$@"
