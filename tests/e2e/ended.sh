#!/usr/bin/env bash
# States that do not pass by waiting. First: certificates end, and nobody believes anybody; it is said in words, and `apply` hands new
# ones over, to nodes that are off too.
. "$(dirname "$0")/lib.sh"
new_cluster ended 10.99.0
# For rotate.sh: a pooler that keeps no connection for an open session, and makes them anew all the time.
printf '\n[pgbouncer]\npool_mode = "transaction"\nserver_lifetime = 3\n' >>"$file"

say "a cluster whose certificates end 100 s after it was begun"
# pgha alone lives in the past: certificates last 365 days, and nodes have the machine's clock.
past=(env "LD_PRELOAD=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1)" FAKETIME=-31535900 FAKETIME_DONT_FAKE_MONOTONIC=1)
"${past[@]}" "$PGHA" -f "$file" up --yes >"$work/up.log" 2>&1 || fail "$(cat "$work/up.log")"
sql 'create table kept as select 1 as i'
pgha status | grep -q 'warning: a certificate of node-1 ends in 0 days' || fail "$(pgha status)"
while openssl x509 -in "${file%.toml}.secrets/nodes/node-1/etcd.crt" -noout -checkend 0 >/dev/null; do sleep 2; done

say "it is said, by status and by doctor"
for _ in $(seq 60); do pgha status --exit-code >"$work/status.out" || break; sleep 1; done
for node in node-1 node-2 node-3; do grep -q "warning: a certificate of $node has ended" "$work/status.out" || fail "$(cat "$work/status.out")"; done
refused 'certificate expired' 1 pgha doctor

say "new ones are handed over without a leader, and to a node that is off"
cut_power "$(pgha status --json | jq -r '.nodes[2].name')"
pgha apply --yes >"$work/apply.log" 2>&1 || fail "$(cat "$work/apply.log")"
[ "$(grep -c 'booting with new certificates' "$work/apply.log")" = 3 ] || fail "$(cat "$work/apply.log")"
pgha status --exit-code >"$work/status.out" || fail "$(cat "$work/status.out")"
! grep -q 'warning: a certificate' "$work/status.out" || fail "$(cat "$work/status.out")"
[ "$(sql 'select i from kept')" = 1 ] || fail "the rows are gone"
pgha apply --yes 2>&1 | grep -q 'nothing to do'

. "$(dirname "$0")/copies.sh"

. "$(dirname "$0")/rotate.sh"
