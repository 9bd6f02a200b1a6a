#!/usr/bin/env bash
# Bad images and a bad seed, each flawed in another way: the node gets back what it ran, and no other node is touched.
. "$(dirname "$0")/lib.sh"
new_cluster returns 10.88.0
form
sql 'create table kept (i int); insert into kept select generate_series(1, 1000)'
before=$(pgha status --json | jq -c '[.nodes[] | {name, image, seed}]')
started() { for node in node-1 node-2 node-3; do on $node cat /proc/1/stat | cut -d' ' -f22; done; }

# flawed OLD NEW: a release of pgha with NEW where OLD stands in one of its templates. They are plain text in the program, so
# no compiler is needed; what NEW is shorter becomes empty lines.
flawed() {
    python3 - "$PGHA" "$work/flawed" "$1" "$2" <<'PY'
import sys
source, target, old, new = sys.argv[1:]
program = open(source, "rb").read()
old, new = (text.encode().decode("unicode_escape").encode() for text in (old, new))
assert program.count(old) == 1, f"{program.count(old)} places have {old!r}"
assert len(new) <= len(old), f"{new!r} is too long"
open(target, "wb").write(program.replace(old, new.ljust(len(old), b"\n")))
PY
    chmod 755 "$work/flawed"
}

# returned SECONDS WORD...: the flawed release's apply returns one node within that time, and its report has every WORD.
returned() {
    local others began=$SECONDS limit=$1 word
    shift
    others=$(started)
    refused 'it is healthy again with the previous' 1 "$work/flawed" -f "$file" apply --yes
    echo "returned after $((SECONDS - began)) s"
    [ $((SECONDS - began)) -le "$limit" ] || fail "that is more than $limit s: $(cat "$work/out")"
    for word in "$@"; do grep -qF -- "$word" "$work/out" || fail "no word of '$word': $(cat "$work/out")"; done
    [ "$(diff <(echo "$others") <(started) | grep -c '^>')" = 1 ] || fail "not just one node was restarted: $(cat "$work/out")"
    [ "$(pgha status --json | jq -c '[.nodes[] | {name, image, seed}]')" = "$before" ] || fail "not what it was: $(pgha status)"
    [ "$(sql 'select count(*) from kept')" = 1000 ]
    pgha apply --yes 2>&1 | grep -q 'nothing to do'
}

say "a unit that crashes, after a while, again and again"
flawed 'ExecReload=/etc/pgha/bin/haproxy -c -f /etc/pgha/haproxy.cfg\n' 'RuntimeMaxSec=7\n'
returned 100 'haproxy.service' 'its units crash again and again' 'haproxy.service: Failed with result'

say "a configuration that Patroni rejects"
rest='Restart=always\nRestartSec=1\n'
flawed "ExecStart=/etc/pgha/bin/patroni /run/pgha/patroni.d\\n$rest# Only Patroni: it stops PostgreSQL itself, and" \
    "ExecStart=/etc/pgha/bin/patroni /etc/pgha/contract.json\\n$rest# "
returned 100 'patroni.service' 'Can not find suitable configuration of distributed configuration store'

say "data that a newer PostgreSQL has written"
# shellcheck disable=SC2016 # what the template says, not what this shell would make of it
flawed 'major=$(jq -r .postgresql_major "$contract")' 'major=16'
returned 100 'pgha-data.service' 'the data was written by PostgreSQL 17, the image has 16'

say "a seed that etcd cannot start with"
flawed 'ETCD_LISTEN_CLIENT_URLS=https://' 'ETCD_LISTEN_CLIENT_URLS=httpx://'
returned 100 'etcd.service' 'httpx'

say "a system that never comes up"
flawed 'ExecStart=/bin/sh /etc/pgha/lib/pgha-seed' 'ExecStart=/usr/bin/sleep infinity'
returned 200 'cannot be reached'

say "a parameter that PostgreSQL cannot start with"
cp "$file" "$work/good"
# On the volume, and not PostgreSQL's: that shows only where it is to write.
unwritable='\n[postgresql.parameters]\nlogging_collector = "on"\nlog_directory = "/var/lib/pgha/etcd/log"\n'
# shellcheck disable=SC2059 # it has line breaks
printf "$unwritable" >>"$file"
began=$SECONDS
refused 'it is healthy again with the old one' 1 pgha apply --yes
echo "set back after $((SECONDS - began)) s"
grep -q 'its PostgreSQL does not start' "$work/out" && grep -q 'could not open log file "/var/lib/pgha/etcd/log' "$work/out" || fail "the report does not say why: $(cat "$work/out")"
cp "$work/good" "$file"
pgha apply --yes 2>&1 | grep -q 'nothing to do'

say "... when nobody was left to set it back"
# shellcheck disable=SC2059
printf "$unwritable" >>"$file"
pgha apply --yes >"$work/killed.log" 2>&1 &
killed=$!
waited=0
until grep -q 'restarting PostgreSQL' "$work/killed.log"; do sleep 0.2 && waited=$((waited + 1)) && [ $waited -lt 150 ] || fail "$(cat "$work/killed.log")"; done
kill -KILL "$(pgrep -P $killed || echo $killed)"
wait $killed 2>/dev/null || true
for node in node-1 node-2 node-3; do on $node pkill -KILL --oldest --exact postgres || true; done
waited=0
until [ "$(pgha status --json | jq -c '[.nodes[].role == "leader"] | any')" = false ]; do sleep 1 && waited=$((waited + 1)) && [ $waited -lt 60 ] || fail "still led"; done
refused 'does not start' 1 pgha apply --yes
cp "$work/good" "$file"
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"
[ "$(sql 'select count(*) from kept')" = 1000 ]
pgha apply --yes 2>&1 | grep -q 'nothing to do'

. "$(dirname "$0")/taken.sh"
