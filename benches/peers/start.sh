#!/usr/bin/env bash
# The server of the benchmark, in the foreground on 127.0.0.1:$PORT. Called by the benchmark's run.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/env.sh"
vacuum
exec "$tally" serve --listen "127.0.0.1:$PORT"
