#!/usr/bin/env bash
# Standard clients, audits and validators against a real server: see conformance/.
#   scripts/conformance.sh [PATH OF THE tally BINARY] [SUITE…]
#
# SOAK=n sends n times as many random requests; SEED=n the same ones again. ALL=1 goes on after a suite that failed.
set -euo pipefail
cd "$(dirname "$0")/.."
tally=$(realpath "${1:-target/debug/tally}")
shift || true
work=$(mktemp -d)
finish() {
    stop_demo
    rm -rf "$work"
}
. scripts/node.sh
trap finish EXIT

npm --prefix conformance ci --no-audit --no-fund --loglevel=error
npm --prefix conformance run --silent check
# One client sends here what many would: how much one may send is tested elsewhere.
export TALLY_LIMITS_RATE_ANONYMOUS=0 TALLY_LIMITS_RATE_USER=0
start_demo "$tally"
status=0
# A suite has its own bound; this one is for all of them together.
timeout --foreground "$((20 * ${SOAK:-1}))m" \
    npm --prefix conformance run --silent conformance -- --base "$base" ${ALL:+--all} "$@" || status=$?
if [ "$status" != 0 ]; then
    echo "--- what the server said" >&2
    tail -n 50 "$work/log" >&2
fi
exit "$status"
