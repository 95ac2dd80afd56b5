#!/usr/bin/env bash
# Runs COMMAND with its temporary files in memory, where there is room:   scripts/in_memory.sh COMMAND [ARGUMENTS…]
#
# The tests make hundreds of databases, and what they kill is a process, never the machine: on a slow disk they would wait
# for nothing but the disk. What is measured (`make bench`) stays on it. Without the room, or with TMPDIR set, COMMAND
# runs as it is.
set -euo pipefail
# In MiB.
NEEDED_THERE=4096 NEEDED_FREE=8192
there=$(df --output=avail -m /dev/shm 2>/dev/null | tail -n 1 || true)
free=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || true)
if [ -n "${TMPDIR:-}" ] || [ ! -w /dev/shm ] || [ "${there:-0}" -lt "$NEEDED_THERE" ] || [ "${free:-0}" -lt "$NEEDED_FREE" ]; then
    exec "$@"
fi
TMPDIR=$(mktemp -d /dev/shm/tally.XXXXXX)
# The database servers run as users of their own, with temporary files of their own: as in any folder for such.
chmod 1777 "$TMPDIR"
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
"$@"
