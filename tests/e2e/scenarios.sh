#!/usr/bin/env bash
# Every scenario of `verify` once, with preset fast and pools of transactions: no promise may be broken, and the old leader streams
# again. What becomes of clients in a planned change.
. "$(dirname "$0")/lib.sh"
new_cluster scenarios 10.92.0
printf '\n[pgbouncer]\npool_mode = "transaction"\n\n[haproxy]\nreplica_fallback = true\n' >>"$file"
form

say "verify"
pgha verify --out "$work/verify" 2>"$work/verify.log" || fail "$(cat "$work/verify.log")"
[ "$(ls "$work/verify" | wc -l)" = 7 ] || fail "not every scenario left a verdict"
for verdict in "$work"/verify/*/verdict.json; do
    [ "$(jq '.kept and .acknowledged > 100 and (.lost | length) == 0' "$verdict")" = true ] || fail "$(cat "$verdict")"
    [ "$(grep -c '"outcome":"ok"' "${verdict%verdict.json}history.jsonl")" = "$(jq .acknowledged "$verdict")" ] || fail "history and verdict differ"
done

say "a verify that was killed in the middle leaves a fault that status shows and the next verify ends"
pgha verify --scenario leader-cut-off --out "$work/killed" 2>"$work/killed.log" &
waited=0
until grep -q 'breaking' "$work/killed.log"; do sleep 0.2 && waited=$((waited + 1)) && [ $waited -lt 150 ]; done
cut_off=$(leader)
sleep 1 && refused 'another pgha works on this cluster: `pgha verify` (process ' 2 pgha switchover
grep -qE ' since 20..-..-..T..:..:..Z' "$work/out" || fail "since when it works is not told: $(cat "$work/out")"
kill -KILL "$(pgrep -f "verify --scenario leader-cut-off --out $work/killed")"
wait || true
# The cut-off node itself needs a lost election, about 2 s, before it says that it has no quorum.
waited=0
until pgha status >"$work/status.out" && grep -q "warning: $cut_off is cut off" "$work/status.out"; do
    [ $((waited += 1)) -lt 15 ] || fail "nothing wrong with $cut_off cut off: $(cat "$work/status.out")"
    sleep 1
done
pgha verify --scenario switchover --out "$work/after" 2>"$work/verify.log" || fail "$(cat "$work/verify.log")"

# broken: waits until the verify that writes $work/verify.log has broken something.
broken() { for _ in $(seq 150); do ! grep -q 'breaking' "$work/verify.log" || return 0; sleep 0.2; done; fail "nothing was broken: $(cat "$work/verify.log")"; }

say "Ctrl-C ends the fault, leaves no database, and is no verdict"
env --default-signal=INT "$PGHA" -f "$file" verify --scenario leader-cut-off --out "$work/interrupted" >"$work/out" 2>"$work/verify.log" &
broken
pkill -INT -f "verify --scenario leader-cut-off --out $work/interrupted"
status=0 && wait $! || status=$?
[ $status = 2 ] && grep -q 'the fault was ended' "$work/verify.log" || fail "exit code $status: $(cat "$work/verify.log")"
for _ in $(seq 30); do ! pgha status --exit-code >"$work/status.out" || break; sleep 1; done
! grep -q 'cut off' "$work/status.out" || fail "$(cat "$work/status.out")"
[ -z "$(sql "select datname from pg_database where datname = 'pgha_verify'")" ] || fail "the workload's database is left"

. "$(dirname "$0")/held.sh"

say "a broken promise is told, with exit code 1"
pgha verify --scenario etcd-one-down --out "$work/promise" >"$work/out" 2>"$work/verify.log" &
broken
lead=$(leader)
on "$lead" pkill -STOP --exact postgres
sleep 4
on "$lead" pkill -CONT --exact postgres
status=0 && wait $! || status=$?
[ $status = 1 ] && grep -q 'BROKEN: writes stopped longer than 2 s' "$work/out" || fail "exit code $status: $(cat "$work/out" "$work/verify.log")"

say "all nodes lose power and come back with their data"
sql 'create table survivors (i int); insert into survivors select generate_series(1, 1000)'
for node in node-1 node-2 node-3; do cut_power $node; done
pgha plan >"$work/plan.out" 2>/dev/null
[ "$(grep -c 'power on' "$work/plan.out")" = 3 ] || fail "$(cat "$work/plan.out")"
pgha apply --yes 2>/dev/null
[ "$(sql 'select count(*) from survivors')" = 1000 ] || fail "rows are missing after the power came back"

say "status tells what is wrong with one node dead, and without quorum"
mapfile -t replicas < <(pgha status --json | jq -r '.nodes[] | select(.role != "leader").name')
cut_power "${replicas[0]}"
pgha status >"$work/status.out"
grep -q 'NOT healthy' "$work/status.out" && grep -q ' off ' "$work/status.out" || fail "$(cat "$work/status.out")"
cut_power "${replicas[1]}"
sleep 5
pgha status >"$work/status.out"
grep -q 'etcd has no quorum' "$work/status.out" || fail "$(cat "$work/status.out")"
refused 'etcd grants no lease now' 2 pgha switchover
pgha apply --yes 2>/dev/null
[ "$(pgha status --json | jq .healthy)" = true ]
