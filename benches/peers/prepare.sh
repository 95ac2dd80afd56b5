#!/usr/bin/env bash
# tally's own database, with the content of the peers': imported, awarded through the API, and checked figure by figure.
# Called by the benchmark's run.sh, once a run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/env.sh"

sql --dbname "$cluster/postgres" --command 'CREATE DATABASE tally'
export TALLY_LOG=warn,sqlx=error
"$tally" migrate --no-backup

# Users, artworks, likes, favorites and how many views. The peers keep likes and favorites in one table, by kind, and tally
# imports one table of each: views of it, which go again.
sql --dbname "$peers" --file "$here/views.sql"
TALLY_FROM=$peers "$tally" import --no-backup --map "$here/import.toml"
sql --dbname "$peers" --command 'SET client_min_messages = warning' --command 'DROP SCHEMA tally_import CASCADE'

# Points, and the ids for the load generator, through the API, as a platform would.
token=$("$tally" token --user bench --role ADMIN --hours 24)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$tally" serve --listen "127.0.0.1:$port" >"$TARGET_RUNTIME/prepare.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
python3 "$here/seed.py" "http://127.0.0.1:$port/graphql" "$token" "$TARGET_RUNTIME"
kill "$server"
wait "$server"
trap - EXIT

# Every figure equals its facts, or there is no benchmark.
"$tally" check
vacuum
