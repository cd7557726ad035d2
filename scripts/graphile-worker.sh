#!/bin/sh
# A peer for `cargo xtask bench --beside graphile`: graphile-worker on a private PostgreSQL, which does the turns it is asked
# for on its standard input and answers in lines of JSON (xtask/src/bench/graphile.mjs says which). Not in CI.
#
#   scripts/graphile-worker.sh DIRECTORY        # the cluster is made in there, on the disk that is to be measured
#
# PostgreSQL and Node.js are Debian packages: as root on Debian and its relatives they are installed, without the cluster
# the package makes by itself; elsewhere the script says what is missing. graphile-worker comes from npm, once, into
# ${ORCH_BENCH_CACHE:-${XDG_CACHE_HOME:-~/.cache}/orch-bench}. The cluster listens on a socket only, with fsync and
# synchronous_commit on, and is stopped by its process id when the standard input ends. What is missing ends the script with
# one line, `skipped: needs ...`.
set -eu

version=0.17.3
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# = 1 ] || {
    echo "usage: scripts/graphile-worker.sh DIRECTORY" >&2
    exit 2
}
mkdir -p "$1"
dir=$(cd "$1" && pwd)
cache=${ORCH_BENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orch-bench}/graphile-worker-$version

say() { printf 'graphile-worker: %s\n' "$*" >&2; }
skip() {
    printf 'skipped: needs %s\n' "$*"
    exit 0
}

debian() { # what for, packages
    what=$1
    shift
    command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || skip "$what (as root on Debian: apt-get install $*)"
    say "install $*"
    ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 ||
        skip "$what (apt-get could not install $*)"
}

# The newest PostgreSQL there is: Debian keeps its programs off PATH.
programs() {
    newest=
    for found in $(command -v initdb 2>/dev/null | xargs -r dirname) /usr/lib/postgresql/?/bin /usr/lib/postgresql/??/bin; do
        [ -x "$found/initdb" ] && [ -x "$found/postgres" ] && newest=$found
    done
    printf '%s\n' "$newest"
}

bin=$(programs)
if [ -z "$bin" ]; then
    # The package starts a cluster of its own on port 5432 unless it is told not to.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && [ ! -e /etc/postgresql-common ]; then
        mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/orch-bench.conf
    fi
    debian "PostgreSQL" postgresql
    bin=$(programs)
    [ -n "$bin" ] || skip "PostgreSQL (initdb is nowhere under /usr/lib/postgresql)"
fi
if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    debian "Node.js 18 or newer and npm" nodejs npm
fi
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 18 ? 1 : 0)' || skip "Node.js 18 or newer (found $(node --version))"
if [ "$(cat "$cache/installed" 2>/dev/null || true)" != "$version" ]; then
    say "install graphile-worker@$version from npm into $cache"
    rm -rf "$cache"
    mkdir -p "$cache"
    printf '{"private":true}\n' >"$cache/package.json"
    npm install --prefix "$cache" --ignore-scripts --no-audit --no-fund --silent "graphile-worker@$version" >&2 ||
        skip "graphile-worker@$version (npm could not install it)"
    printf '%s' "$version" >"$cache/installed"
fi

# PostgreSQL refuses to run as root.
as=
if [ "$(id -u)" = 0 ]; then
    id postgres >/dev/null 2>&1 || skip "the user postgres, or to be run as another user than root"
    as='runuser -u postgres --'
fi
data=$dir/postgresql
sockets=$(mktemp -d)
postgres=
node=
stop() {
    [ -z "$node" ] || kill "$node" 2>/dev/null || true
    # Fast: no session is waited for. What was started may be runuser; the server itself is named in its file.
    server=$(head -n 1 "$data/postmaster.pid" 2>/dev/null || true)
    [ -z "$server" ] || kill -INT "$server" 2>/dev/null || true
    [ -z "$postgres" ] || wait "$postgres" 2>/dev/null || true
    rm -rf "$data" "$sockets"
}
trap stop EXIT
trap 'exit 1' INT TERM HUP
rm -rf "$data"
mkdir -p "$data"
if [ -n "$as" ]; then
    chown postgres "$data" "$sockets"
    $as test -x "$data" || skip "a directory the user postgres can enter, which $dir is not (--dir names another)"
fi
$as "$bin/initdb" --pgdata "$data" --auth trust --username bench --encoding UTF8 --locale C >"$dir/postgresql.log" 2>&1 ||
    skip "a PostgreSQL that can make a cluster ($dir/postgresql.log says why it could not)"
# shellcheck disable=SC2086 # as is several words, or none
$as "$bin/postgres" -D "$data" -c listen_addresses= -c unix_socket_directories="$sockets" -c fsync=on \
    -c synchronous_commit=on -c full_page_writes=on -c shared_buffers=256MB -c max_wal_size=4GB >>"$dir/postgresql.log" 2>&1 </dev/null &
postgres=$!
tries=0
until PGHOST="$sockets" "$bin/pg_isready" -q -d postgres; do
    kill -0 "$postgres" 2>/dev/null && [ $tries -lt 100 ] || skip "a PostgreSQL that starts ($dir/postgresql.log says why it does not)"
    tries=$((tries + 1))
    sleep 0.1
done
# Not in front: a signal to the shell would wait for its end. A program behind has no standard input of its own.
exec 3<&0
NODE_ENV=production NO_LOG_SUCCESS=1 node "$root/xtask/src/bench/graphile.mjs" "$cache" "$sockets" <&3 &
node=$!
wait "$node"
