#!/usr/bin/env bash
# `up` is killed at random moments and run again with another file; two clusters stand side by side.
. "$(dirname "$0")/lib.sh"
new_cluster resume 10.93.0
# Reproducible: the same seed gives the same moments.
RANDOM=${SEED:=$(date +%s)} && say "SEED=$SEED"

for round in 1 2 3 4 5; do
    moment=$((RANDOM % 8)).$((RANDOM % 10))
    # Ctrl-C, the end of the terminal, and what cannot be caught.
    signals=(INT HUP KILL)
    signal=${signals[round % 3]}
    say "round $round: SIG$signal after $moment s"
    # bash starts background jobs with SIGINT ignored, which nothing that it starts could undo but this.
    env --default-signal=INT,HUP "$PGHA" -f "$file" up --yes >/dev/null 2>&1 &
    pid=$!
    sleep "$moment"
    kill -s "$signal" $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    # Whatever was begun with the file of before: the cluster has what the file says now.
    sed -i '/^\[postgresql.parameters\]/d; /^work_mem/d' "$file"
    printf '[postgresql.parameters]\nwork_mem = "%dMB"\n' $((4 + round)) >>"$file"
    pgha up --yes >/dev/null 2>"$work/up.log" || fail "$(cat "$work/up.log")"
    [ "$(sql 'show work_mem')" = $((4 + round))MB ] || fail "work_mem is $(sql 'show work_mem') after: $(cat "$work/up.log")"
    [ "$round" != 5 ] || break
    pgha destroy --yes 2>/dev/null
    [ -z "$(left_behind resume 10.93.0)" ] || fail "left behind: $(left_behind resume 10.93.0)"
done

say "a second cluster stands beside the first, with one synchronous replica, and goes without a trace of the first's"
first=$file
new_cluster beside 10.90.0
printf '\n[durability]\nmode = "strict"\n' >>"$file"
form
synchronous() { pgha status --json | jq -r '.nodes[] | select(.role == "sync_standby").name'; }
heir=$(synchronous)
pgha switchover 2>/dev/null
form # until another replica is the synchronous one
[ "$(leader)" = "$heir" ] && [ "$(synchronous | wc -l)" = 1 ] || fail "not the synchronous replica leads: $(pgha status)"
say "... and a new seed for its leader goes by way of whoever is synchronous then"
near_its_end "$heir"
second=$(synchronous)
pgha plan 2>/dev/null | grep -q "switchover *$heir -> its synchronous replica" || fail "$(pgha plan)"
pgha apply --yes 2>"$work/strict.log" || fail "$(cat "$work/strict.log")"
[ "$(leader)" = "$second" ] && [ "$(pgha status --json | jq .healthy)" = true ] || fail "$(pgha status)"
[ "$(sql 'select 1')" = 1 ]
pgha destroy --yes 2>/dev/null
file=$first
[ "$(sql 'select 1')" = 1 ]

say "two nodes that only route and three that only store: another file of HAProxy reaches the two alone"
# 10,000 connections need more open files than some machines let a container have.
sed 's/10\.89\.2\./10.90.0./; s/maxconn = 10000/maxconn = 8000/' "$project/tests/clusters/dedicated-haproxy.toml" >"$work/dedicated.toml"
printf '\n[failover]\npreset = "fast"\n\n[provider.local]\nstate_dir = "%s"\n' "$work/state" >>"$work/dedicated.toml"
file=$work/dedicated.toml
form
pgha doctor >"$work/doctor.out" || fail "$(cat "$work/doctor.out")"
[ "$(grep -c '^ok .*contract' "$work/doctor.out")" = 5 ] && [ "$(sql 'select 1')" = 1 ]
sed -i 's/maxconn = 8000/maxconn = 7000/' "$file"
pgha apply --yes 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
[ "$(grep -oE '(rebuild|switchover) +[a-z0-9-]+' "$work/apply.log" | tr -s ' ' | sort -u | tr '\n' ,)" = 'rebuild route-1,rebuild route-2,' ] || fail "$(cat "$work/apply.log")"
pgha destroy --yes 2>/dev/null
file=$first

say "a terminal that goes away in the middle stops nothing"
pgha up --yes 2> >(head -n 1 >/dev/null) | head -n 0
[ "$(pgha status --json | jq .healthy)" = true ]

say "in a directory of somebody else root follows no link, and leaves nothing that they could read"
stranger() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
chmod 755 "$work" && mkdir "$work/theirs" && chown 65534 "$work/theirs"
echo data >"$work/precious"
stranger ln -s "$work/precious" "$work/theirs/seed"
stranger ln -s "$work" "$work/theirs/elsewhere"
for out in seed elsewhere/precious; do
    refused 'another user may have placed' 2 pgha seed node-1 --out "$work/theirs/$out"
    refused 'another user may have placed' 2 pgha render --out "$work/theirs/$out"
done
pgha seed node-1 --out "$work/theirs/new" 2>/dev/null
[ "$(stat -c '%u %a' "$work/theirs/new")" = '0 600' ] && [ "$(cat "$work/precious")" = data ]
# The names that pgha gave to what was not whole could be told from its number, which exec keeps.
sh -c 'mkdir "$2/.r.new$$" && ln -s "$3" "$2/.r.new$$/.pgha-rendered" && chown -R 65534 "$2/.r.new$$" && exec "$0" -f "$1" render --out "$2/r"' \
    "$PGHA" "$file" "$work/theirs" "$work/precious" 2>/dev/null
[ "$(stat -c '%u %a' "$work/theirs/r")" = '0 755' ] && [ "$(cat "$work/precious")" = data ] || fail "$(head -c 500 "$work/precious")"
[ -z "$(find "$work/theirs" -name '.pgha-*' ! -name .pgha-rendered -o -name '.tmp*')" ] || fail "$(find "$work/theirs")"

say "the operator's key without a lease is nobody's, one with a lease is another machine's, and neither speaks to the terminal"
key=/pgha/resume/operator
evil='{"machine":"\u001b[31mm\u202e\u009b","boot":"x","process":7,"purpose":"\u001b]0;x\u0007pgha apply","since":"now"}'
lease=$(etcdctl_on node-1 lease grant 600 | awk '{ print $2 }')
etcdctl_on node-1 put --lease="$lease" $key "$evil" >/dev/null
refused 'works on this cluster since' 2 pgha switchover
harmless "$work/out"
etcdctl_on node-1 lease revoke "$lease" >/dev/null
etcdctl_on node-1 put $key "$evil" >/dev/null
pgha switchover 2>"$work/out" || fail "$(cat "$work/out")"
grep -q 'had no lease' "$work/out" && harmless "$work/out"
[ -z "$(etcdctl_on node-1 get $key)" ] || fail "the key stayed"

say "what a node says is cleaned and bounded"
on node-1 sh -c 'printf "\033]0;x\007\033[31mred\302\233\342\200\256\177" >/run/pgha/refused; ln -sf /dev/zero /run/pgha-guard/state'
(ulimit -v 2000000 && pgha status >"$work/out" 2>&1) || fail "$(tail -n 3 "$work/out")"
grep -q 'node-1: refused to start: .*red' "$work/out" && harmless "$work/out" || fail "$(cat -v "$work/out")"
pgha status --json >"$work/out" && harmless "$work/out"
[ "$(jq -r '.nodes[0].refused' "$work/out")" = "$(printf '\033]0;x\007\033[31mred\302\233\342\200\256\177')" ] || fail "JSON tells something else"
on node-1 sh -c 'rm /run/pgha/refused /run/pgha-guard/state; systemctl restart pgha-guard'

say "a disk without room is refused before anything is made"
mkdir "$work/small" && mount -t tmpfs -o size=100m tmpfs "$work/small"
sed "s|$work/state|$work/small|; s/\"resume\"/\"small\"/; s/10\.93/10.92/" "$file" >"$work/small.toml"
refused "the nodes' data needs 2048 MB" 1 "$PGHA" -f "$work/small.toml" up --yes
refused "an image build needs 1024 MB" 2 "$PGHA" -f "$file" --cache "$work/small/cache" build
umount "$work/small"

say "a node that cannot become healthy is reported with its unit and its last words"
new_cluster sick 10.89.0
printf '\n[haproxy]\nmaxconn = 2000000000\n' >>"$file"
refused 'the cluster is not healthy' 2 pgha up --yes
grep -q 'haproxy.service' "$work/out" && grep -qi 'maxconn\|cannot\|fatal' "$work/out" || fail "neither unit nor journal: $(cat "$work/out")"

say "a network that this machine already uses is refused"
new_cluster clash 10.93.0
refused 'is already reached through' 1 pgha up --yes
