#!/usr/bin/env bash
# Every golden tree is fed to the real daemons of the image: they must accept the very files the tests compare.
. "$(dirname "$0")/lib.sh"
new_cluster daemons 10.95.0

# Certificates and keys only have to be there and to fit: those of a throw-away cluster will do.
make_seed() {
    local tls=$1/run/pgha/tls
    mkdir -p "$tls" "$1/run/pgha/ssh" "$1/run/pgha/patroni.d"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test -keyout "$tls/key" -out "$tls/ca.crt" 2>/dev/null
    for name in etcd patroni postgres pgbouncer pgbouncer-postgres patroni-etcd; do cp "$tls/ca.crt" "$tls/$name.crt" && cp "$tls/key" "$tls/$name.key"; done
    cp "$tls/ca.crt" "$tls/etcd-ca.crt"
    cat "$tls/ca.crt" "$tls/key" >"$tls/haproxy.pem"
    ssh-keygen -q -t ed25519 -N '' -f "$1/run/pgha/ssh/ssh_host_ed25519_key"
    chmod -R a+rX "$1/run/pgha" && chmod 600 "$1/run/pgha/ssh/ssh_host_ed25519_key"
}

# node_of ROLE_SET SEEDS: the files of the first node with these roles.
node_of() {
    local identity
    for identity in "$2"/*/run/pgha/identity.json; do
        [ "$(jq -r '.role_set | join("-")' "$identity")" != "$1" ] || { dirname "$identity" && return; }
    done
}

check_tree() {
    local tree=$1 golden=$2 etc=$1/etc/pgha own
    in_root() { chroot "$tree" env HAPROXY_STATS_PASSWORD=x "$@"; }
    in_root nft -c -f /etc/pgha/nftables.conf
    in_root mkdir -p /run/sshd && in_root /usr/sbin/sshd -t
    mapfile -t units < <(jq -r '.units[]' "$etc/contract.json")
    in_root systemd-analyze verify --man=no --recursive-errors=no "${units[@]}" >"$work/units.log" 2>&1 || fail "systemd-analyze: $(cat "$work/units.log")"
    ! grep -q pgha "$work/units.log" || fail "systemd-analyze: $(cat "$work/units.log")"
    [ ! -e "$etc/haproxy.cfg" ] || in_root /usr/sbin/haproxy -q -c -f /etc/pgha/haproxy.cfg
    if [ -e "$etc/etcd.env" ]; then
        # etcd has no check mode: it must get past its flags, to the point where it looks for its data.
        (set -a && . "$etc/etcd.env" && . "$(find "$golden/../seeds" -name etcd.env | head -n 1)" && in_root timeout 2 etcd) >"$work/etcd.log" 2>&1 || true
        grep -qiE 'unrecognized|conflicting|failed to verify|is not a valid|error verifying' "$work/etcd.log" && fail "etcd: $(cat "$work/etcd.log")"
        grep -qE 'starting etcd|starting an etcd server|bind: cannot assign' "$work/etcd.log" || fail "etcd never started: $(cat "$work/etcd.log")"
    fi
    if [ -e "$etc/patroni.yml" ]; then
        in_root setpriv --reuid=471 --regid=471 --clear-groups /usr/lib/postgresql/17/bin/postgres --describe-config |
            awk -F'\t' -v OFS='\t' '{print tolower($1), $2, tolower($4), $6, $7}' | LC_ALL=C sort >"$work/parameters.tsv"
        diff <(grep -v '^#' "$project/crates/pgha-core/src/cluster/parameters.tsv" | cut -f1-5) "$work/parameters.tsv" || fail "the table of parameters is not this PostgreSQL's"
        # The validator of this version knows only booleans for synchronous_mode; the daemon takes quorum.
        own=$(node_of "$(basename "$golden")" "$golden/../seeds")/patroni.d/20-node.yml
        jq -s '.[0] * .[2] * {bootstrap: {dcs: .[1]}} | .bootstrap.dcs.synchronous_mode = true
            | .postgresql.bin_dir = "/usr/lib/postgresql/17/bin"' \
            "$etc/patroni.yml" "$golden/../dynamic.json" "$own" >"$tree/tmp/patroni.yml"
        # It also wants to reach the etcd members: give their addresses to this namespace, with something that listens.
        jq -r '.etcd3.hosts[], .postgresql.connect_address' "$own" | while IFS=: read -r host _; do ip addr add "$host/32" dev lo 2>/dev/null || true; done
        [ -n "${slept:-}" ] || { cp "$project/tests/node/stale_leader.py" "$tree/tmp/" && ip link set lo up; }
        [ -n "${slept:-}" ] || in_root timeout 60 python3 /tmp/stale_leader.py >"$work/slept.log" 2>&1 || fail "$(cat "$work/slept.log")"
        slept=yes
        in_root patroni --validate-config --ignore-listen-port /tmp/patroni.yml || fail "patroni"
    fi
    [ ! -e "$etc/pooler-primary.ini" ] || in_root install -d -o pgbouncer /run/pgbouncer
    [ ! -e "$etc/pooler-primary.ini" ] || install -m 644 "$(node_of "$(basename "$golden")" "$golden/../seeds")/pooler.ini" "$tree/run/pgha/"
    for own in "$etc"/pooler-*.ini; do
        [ -e "$own" ] || continue
        in_root timeout 2 setpriv --reuid=474 --regid=474 --clear-groups pgbouncer "/etc/pgha/${own##*/}" >"$work/pgbouncer.log" 2>&1 || true
        grep -q 'process up' "$work/pgbouncer.log" && ! grep -qE 'ERROR|FATAL|WARNING' "$work/pgbouncer.log" || fail "pgbouncer: $(cat "$work/pgbouncer.log")"
    done
}

check_all() {
    local input manifest golden set mnt=$work/mnt
    mkdir -p "$work/base" "$work/config" "$mnt"
    for input in "$project"/tests/clusters/*.toml "$project"/infrastructure/*.toml; do
        manifest=$("$PGHA" -f "$input" build 2>/dev/null)
        mountpoint -q "$work/base" || mount -o loop,ro "$(jq -r '.images[0].package_root.path' <<<"$manifest")" "$work/base"
        for golden in "$project/tests/golden/$(basename "$input" .toml)"/*/etc; do
            golden=$(dirname "$golden") && set=$(basename "$golden")
            say "$(basename "$input" .toml): $set"
            mount -o loop,ro "$(jq -r --arg set "$set" '.images[] | select((.role_set | join("-")) == $set).configuration.path' <<<"$manifest")" "$work/config"
            mkdir -p "$work/state/upper" "$work/state/work"
            # The golden tree on top of the layer the image has: the files that are compared are the files that are tried.
            mount -t overlay -o "lowerdir=$golden:$work/config:$work/base,upperdir=$work/state/upper,workdir=$work/state/work" overlay "$mnt"
            mount -t proc proc "$mnt/proc" && mount --bind /dev "$mnt/dev"
            make_seed "$mnt"
            (check_tree "$mnt" "$golden")
            umount "$mnt/dev" "$mnt/proc" "$mnt" "$work/config" && rm -rf "$work/state/upper" "$work/state/work"
        done
    done
}

# In namespaces of their own, so that mounts and ports end with the test.
export -f check_tree node_of check_all make_seed say fail
export project work PGHA
unshare --mount --net --propagation private bash -euo pipefail -c '
    ip link set lo up
    python3 -m http.server 2382 >/dev/null 2>&1 & listener=$!
    trap "kill $listener" EXIT
    check_all'
