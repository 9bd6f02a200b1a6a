# shellcheck shell=bash
# Sourced by every end-to-end test: the cluster under test, assertions, and a cleanup that runs however the test ends.
set -eEuo pipefail
# A bare command that fails says which it was.
trap 'echo "FAILED at ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PGHA=${PGHA:-$project/target/debug/pgha}
work=$(mktemp -d /tmp/pgha-e2e.XXXXXX)

# new_cluster NAME SUBNET: writes $file, a fast three-node cluster whose data is in memory.
new_cluster() {
    file=$work/$1.toml
    cat >"$file" <<TOML
schema = 1
node = [
  { name = "node-1", address = "$2.11" },
  { name = "node-2", address = "$2.12" },
  { name = "node-3", address = "$2.13" },
]

[cluster]
name = "$1"

[failover]
preset = "fast"

[provider.local]
state_dir = "$work/state"
TOML
}

pgha() { "$PGHA" -f "$file" "$@"; }
on() { pgha ssh "$1" -- "${@:2}"; }
leader() { pgha status --json | jq -r '.nodes[] | select(.role == "leader").name'; }
replica() { pgha status --json | jq -r '[.nodes[] | select(.role != "leader").name][0]'; }
address() { grep "\"$1\"" "$file" | grep -o '10\.[0-9.]*'; }
as_postgres() { on "$1" runuser -u postgres -- /etc/pgha/bin/psql -h /run/postgresql -XAtqc "$2"; }
as_superuser() { as_postgres "$(leader)" "$1"; }
sql() { pgha psql -- -v ON_ERROR_STOP=1 -XAtqc "$1"; }

# Brings the cluster under test up.
form() { pgha up --yes >"$work/up.log" 2>&1 || fail "$(cat "$work/up.log")"; }

# etcdctl_on NODE ARGUMENTS: asks the member on that node, through gRPC.
etcdctl_on() {
    on "$1" env ETCDCTL_CACERT=/run/pgha/tls/etcd-ca.crt ETCDCTL_CERT=/run/pgha/tls/etcd.crt ETCDCTL_KEY=/run/pgha/tls/etcd.key \
        /etc/pgha/bin/etcdctl --endpoints https://127.0.0.1:2379 "${@:2}"
}

# unhealthy WORDS: status says no, and these words say why.
unhealthy() { refused "$1" 1 pgha status --exit-code; }
healthy() {
    for _ in $(seq 60); do ! pgha status --exit-code >"$work/status.out" || return 0; sleep 0.5; done
    fail "not healthy: $(cat "$work/status.out")"
}
# killed NODE: what its liveness has killed, each time.
killed() { on "$1" journalctl --no-pager --output=cat --unit=pgha-liveness | grep 'killing it' || true; }

# near_its_end NODE: its HAProxy has a certificate that ends in 30 days, so that the next apply brings a new seed.
near_its_end() {
    local secrets=${file%.toml}.secrets
    local own=$secrets/nodes/$1/haproxy
    openssl x509 -req -in <(openssl req -new -key "$own.key" -subj "/CN=$1" 2>/dev/null) \
        -CA "$secrets/ca.crt" -CAkey "$secrets/ca.key" -days 30 -out "$own.crt" 2>/dev/null
}

# Seconds since the test began: a log of CI shows where its time goes.
say() { echo "--- $SECONDS s: $*"; }

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# refused WHAT CODE COMMAND...: the command must end with this exit code, and its complaint must contain WHAT.
refused() {
    local wanted=$1 code=$2 status=0
    shift 2
    "$@" >"$work/out" 2>&1 || status=$?
    [ "$status" = "$code" ] || fail "exit code $status instead of $code: $*: $(cat "$work/out")"
    grep -qF -- "$wanted" "$work/out" || fail "no word of '$wanted': $*: $(cat "$work/out")"
}

# harmless FILE: it must hold nothing that a terminal acts on.
harmless() {
    local evil
    # C0 but newline and tab, DEL, C1, and what turns the order of text.
    evil=$(LC_ALL=C grep -caP '[\x01-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9]|\xd8\x9c' "$1" || true)
    [ "$evil" = 0 ] || fail "control characters: $(cat -v "$1")"
}

# Cuts the power of a node behind pgha's back.
cut_power() {
    local root=/sys/fs/cgroup machine
    [ ! -e $root/unified/cgroup.controllers ] || root=$root/unified
    machine=pgha-$(basename "$file" .toml).$1
    echo 1 >"$root/$machine/cgroup.kill"
    while grep -q 'populated 1' "$root/$machine/cgroup.events"; do sleep 0.05; done
}

# left_behind NAME SUBNET: what is on this machine of a cluster that was destroyed. Others may be running beside it.
left_behind() {
    ip netns list | grep -E "^pgha-$1(\.| |$)" || true
    ip -o -4 addr | grep -F " $2." || true
    grep -oE "/run/pgha-local/pgha-$1[./][^ ]*|/run/netns/pgha-$1(\.[^ ]*)?|$work/state/$1[^ ]*" /proc/mounts || true
    ls -d "/run/pgha-local/pgha-$1"* "/sys/fs/cgroup/pgha-$1".* /sys/fs/cgroup/*/"pgha-$1".* 2>/dev/null || true
}

# destroy_all DIRECTORY: the clusters of a test, and their data.
destroy_all() {
    local cluster
    # A pgha that still runs in the background holds the lock.
    pgrep -f -- "pgha -f $1/" | xargs -r kill -KILL 2>/dev/null || true
    for cluster in "$1"/*.toml; do
        [ ! -e "$cluster" ] || "$PGHA" -f "$cluster" destroy --yes >/dev/null 2>&1 || true
    done
    for cluster in "$1"/*/; do ! mountpoint -q "$cluster" || umount "$cluster" || return 1; done
}

# What a test left behind that was ended by SIGKILL: its clusters would have the names and networks of this one's.
sweep() {
    local left
    for left in /tmp/pgha-e2e.*; do
        mountpoint -q "$left/state" && [ -s "$left/pid" ] && ! kill -0 "$(cat "$left/pid")" 2>/dev/null || continue
        echo "what a test left in $left goes"
        destroy_all "$left" && rm -rf --one-file-system "$left" || echo "$left stays"
    done
}

clean_up() {
    local status=${1:-$?} cluster
    trap - EXIT INT TERM ERR
    touch "$work/bench.end" # the clients of pgbench.sh, if there are any
    # What goes round in the background would go on for ever without its files.
    jobs -p | xargs -r kill 2>/dev/null || true
    for cluster in "$work"/*.toml; do
        [ -e "$cluster" ] && [ -d "$work/state" ] || continue
        [ "$status" = 0 ] || { "$PGHA" -f "$cluster" status || true; } 2>&1 | sed 's/^/  /'
    done
    destroy_all "$work"
    [ -z "${KEEP:-}" ] && rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

echo $$ >"$work/pid"
sweep

# Data in memory: the tests are about failover, not about this machine's disk.
mkdir "$work/state"
mount -t tmpfs -o size=6g,mode=755 tmpfs "$work/state"
