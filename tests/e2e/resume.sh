#!/usr/bin/env bash
# `up` is killed at random moments and run again; two clusters stand side by side.
. "$(dirname "$0")/lib.sh"
new_cluster resume 10.93.0
# Reproducible: the same seed gives the same moments.
RANDOM=${SEED:=$(date +%s)} && say "SEED=$SEED"

for round in 1 2 3 4 5; do
    moment=$((RANDOM % 8)).$((RANDOM % 10))
    signal=$([ $((round % 2)) = 0 ] && echo KILL || echo INT)
    say "round $round: SIG$signal after $moment s"
    "$PGHA" -f "$file" up --yes >/dev/null 2>&1 &
    pid=$!
    sleep "$moment"
    kill -s "$signal" $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    pgha up --yes >/dev/null 2>"$work/up.log" || fail "$(cat "$work/up.log")"
    [ "$(sql 'select 1')" = 1 ]
    [ "$round" = 5 ] || pgha destroy --yes 2>/dev/null
done

say "a second cluster stands beside the first, and goes without a trace of the first's"
first=$file
new_cluster beside 10.94.0
form
[ "$(sql 'select 1')" = 1 ]
pgha destroy --yes 2>/dev/null
file=$first
[ "$(sql 'select 1')" = 1 ]

say "a network that this machine already uses is refused"
new_cluster clash 10.93.0
refused 'is already reached through' 1 pgha up --yes
