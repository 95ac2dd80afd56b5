#!/usr/bin/env bash
# Installs what building and testing need and this Debian machine lacks.   scripts/setup.sh build | test
#
#   build   a C compiler, for the crates that build C
#   test    PostgreSQL with its client programs, MariaDB, Node.js with npm, Chromium
#
# Does nothing when all is there. Needs root, or sudo.
set -euo pipefail
want=()
need() { command -v "$1" >/dev/null 2>&1 || want+=("$2"); }

need cc build-essential
need make make
case "${1:-build}" in
build) ;;
test)
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || [ -n "${TALLY_TEST_POSTGRES_URL:-}" ] || want+=(postgresql)
    command -v mariadb-install-db >/dev/null 2>&1 || [ -n "${TALLY_TEST_MARIADB_URL:-}" ] || want+=(mariadb-server)
    # Backups are made with it; it comes with the server, unless that is elsewhere.
    ls /usr/lib/postgresql/*/bin/pg_dump >/dev/null 2>&1 || need pg_dump postgresql-client
    need python3 python3
    need setpriv util-linux
    need node nodejs
    need npm npm
    [ -n "${CHROMIUM:-}" ] || need chromium chromium
    ;;
*)
    echo "usage: scripts/setup.sh build | test" >&2
    exit 2
    ;;
esac
if ! command -v cargo >/dev/null 2>&1; then
    echo "Rust is not installed: see https://rustup.rs" >&2
    exit 2
fi
[ ${#want[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "missing: ${want[*]} — install them, or run this as root" >&2; exit 2; }
    as_root=(sudo)
fi
echo "installing: ${want[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# Debian's postgresql would start a cluster of its own on the usual port: nobody asked for that.
case " ${want[*]} " in *" postgresql "*)
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo "create_main_cluster = false" | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
    ;;
esac
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null
