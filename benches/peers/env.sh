# Sourced by prepare.sh and start.sh, with their folder in $here: where tally is and how it is run. Everything that does not
# depend on the machine is in tally.toml, which `tally` reads because the benchmark starts the scripts in this folder.
repository=$(cd "$here/../.." && pwd -P)
tally=${BENCH_TALLY:-$repository/target/release/tally}
[ -x "$tally" ] || { echo "no $tally: run \`cargo build --release\`, or set BENCH_TALLY" >&2; exit 2; }
psql=${PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}/psql

cluster=postgres://postgres@127.0.0.1:$BENCH_PG_PORT
peers=$DATABASE_URL # the peers' database; the variable is a setting of tally as well
export DATABASE_URL=$cluster/tally
unset TALLY_DATABASE_URL

# As many connections as the peers have, all in one process.
export TALLY_DATABASE_WRITERS=${BENCH_WRITERS:-$((WORKERS * POOL / 2))}
export TALLY_DATABASE_READERS=$((WORKERS * POOL - TALLY_DATABASE_WRITERS))

# One secret a run, made by prepare.sh.
[ -s "$TARGET_RUNTIME/secret" ] || (umask 077 && python3 -c 'import secrets; print(secrets.token_hex(32))' >"$TARGET_RUNTIME/secret")
TALLY_AUTH_SECRET=$(cat "$TARGET_RUNTIME/secret")
export TALLY_AUTH_SECRET

sql() { "$psql" --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }

# What the run does to the peers' tables between two targets, autovacuum being off: the tables that prepare.sh fills. Not those
# that are empty: PostgreSQL plans for a table that was vacuumed while empty as if it stayed so.
vacuum() {
    sql --dbname "$DATABASE_URL" --command 'VACUUM ANALYZE users, contents, artworks, behaviors, content_openings, content_figures,
        content_heat, hot_history, point_accounts, point_transactions'
}
