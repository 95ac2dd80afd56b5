#!/usr/bin/env bash
# The pages: web/dist is what web/ builds, and both work in a real browser against a real server.
#   scripts/pages.sh [PATH OF THE tally BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
tally=$(realpath "${1:-target/debug/tally}")
work=$(mktemp -d)
finish() {
    stop_demo
    rm -rf "$work"
}
. scripts/node.sh
trap finish EXIT

npm --prefix web ci --no-audit --no-fund --loglevel=error
npm --prefix web run --silent check
npm --prefix web run --silent build -- --outDir "$work/dist" --emptyOutDir --logLevel warn
if ! diff -rq web/dist "$work/dist"; then
    echo "web/dist is not what web/ builds: run \`make pages\` and commit it" >&2
    exit 1
fi

# An audit of the tables with everything wrong in them.
python3 - "$work/shop.db" tests/it/legacy/tables.sql <<'PYTHON'
import sqlite3, sys
tables = open(sys.argv[2], encoding="utf-8").read().replace("{time}", "TEXT").replace("{float}", "REAL")
sqlite3.connect(sys.argv[1]).executescript(tables)
PYTHON
"$tally" audit --from "sqlite:$work/shop.db" --html "$work/audit.html" >"$work/audit.txt" || [ $? = 1 ]

start_demo "$tally"
npm --prefix web run --silent e2e -- --base "$base" --tally "$tally" --report "$work/audit.html" ${SCREENSHOTS:+--screenshots "$(realpath "$SCREENSHOTS")"}
