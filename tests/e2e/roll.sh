#!/usr/bin/env bash
# A changed image goes through the cluster and back again, a bad one is returned, a dynamic change is applied.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/pgbench.sh"
. "$(dirname "$0")/stopped.sh"
new_cluster roll 10.98.0
form
sql 'create table kept (i int); insert into kept select generate_series(1, 1000)'
cp "$file" "$work/first"

images() { pgha status --json | jq -r '.nodes[].image' | sort -u; }
timeline() { pgha status --json | jq '[.nodes[].timeline] | max'; }
healthy() { [ "$(pgha status --json | jq .healthy)" = true ] || fail "not healthy: $(pgha status)"; }
started() { on "$1" cat /proc/1/stat | cut -d' ' -f22; }
record() { echo "$work/state/roll/nodes/$1/record.json"; }

say "nothing to do"
began=$(date +%s%N)
pgha apply --yes 2>&1 | grep -q 'nothing to do'
echo "an apply with nothing to do took $((($(date +%s%N) - began) / 1000000)) ms"
first=$(images)

say "who works on the cluster from another machine is seen"
# Asked on the leader: a roll takes it last.
etcdctl() { etcdctl_on "$(leader)" "$@"; }
holder='{"machine":"elsewhere","boot":"another","process":7,"purpose":"pgha apply","since":"2026-11-23T08:00:00Z"}'
# leased SECONDS VALUE: the operator's key, for so long.
leased() { etcdctl put --lease "$(etcdctl lease grant "$1" | grep -oE '[0-9a-f]{12,}')" /pgha/roll/operator "$2" >/dev/null; }
leased 600 "$holder"
refused '`pgha apply` (process 7) on elsewhere works on this cluster since 2026-11-23T08:00:00Z' 2 pgha switchover
# One that stopped without a word is one no more once its lease has run out.
leased 6 "$holder"
refused 'on elsewhere works on this cluster' 2 pgha switchover
for _ in $(seq 20); do [ -n "$(etcdctl get --prefix /pgha/roll)" ] || break; sleep 1; done
pgha switchover >/dev/null 2>&1
# One that was killed on this very machine is no obstacle.
leased 600 "$(echo "$holder" | jq -c --arg boot "$(cat /proc/sys/kernel/random/boot_id)" '.boot = $boot')"
pgha switchover >/dev/null 2>&1
[ -z "$(etcdctl get --prefix /pgha/roll)" ] || fail "the lease outlived its work"
# run_out: ends the lease of the pgha at work.
run_out() {
    local lease='' tries=0
    # Not by jq: its numbers have 53 bits.
    until lease=$(etcdctl get -w json /pgha/roll/operator | grep -o '"lease":[0-9]*' | cut -d: -f2) && [ -n "$lease" ]; do
        [ $((tries += 1)) -lt 30 ] || fail "nobody has the lease: $(cat "$work/out")"
    done
    etcdctl lease revoke "$(printf %x "$lease")" >/dev/null
}

say "two hundred clients of one application have a session each, through one node, with no setting"
echo 'select pg_sleep(120)' >"$work/sleep.sql"
PGPASSWORD=$(cat "$work/roll.secrets/passwords/app") "$(pgbench_program)" --no-vacuum --client 200 --jobs 2 --transactions 1 --file "$work/sleep.sql" \
    "$(sed -n 's/^read-write *//p' "$work/up.log")" >"$work/out" 2>&1 &
sleepers=$! asleep=0
# Longer than a client waits for a place in a pool: whoever has none by then is told.
for _ in $(seq 60); do
    pgha sessions --json >"$work/sessions.json"
    asleep=$(jq '[.sessions[] | select((.query | startswith("select pg_sleep(120)")) and .state == "active" and .through == "node-1:5000") | .client] | unique | length' "$work/sessions.json")
    [ "$asleep" != 200 ] || break
    sleep 0.5
done
kill $sleepers && wait $sleepers || true
[ "$asleep" = 200 ] || fail "$asleep clients had a session at once: $(cat "$work/out") $(jq -c '.sessions[:3]' "$work/sessions.json")"
as_superuser "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like 'select pg_sleep(120)%'" >/dev/null
for _ in $(seq 60); do ! pgha status --exit-code >/dev/null || break; sleep 0.5; done

printf '\n[haproxy]\nmaxconn = 5000\n' >>"$file"

say "between the plan and the yes the leader changes: nothing is done"
mkfifo "$work/keyboard"
script -qefc "'$PGHA' -f '$file' apply" "$work/asked" <"$work/keyboard" >/dev/null &
asked=$!
exec 8>"$work/keyboard"
for _ in $(seq 100); do ! grep -q 'Carry it out' "$work/asked" || break; sleep 0.2; done
grep -q 'Carry it out' "$work/asked" || fail "$(cat "$work/asked")"
pgha switchover >/dev/null 2>&1
for _ in $(seq 30); do ! pgha status --exit-code >/dev/null || break; sleep 1; done
echo y >&8
status=0 && wait $asked || status=$?
exec 8>&-
[ $status = 1 ] && grep -q 'the cluster changed since the plan was made; nothing was done' "$work/asked" || fail "exit code $status: $(cat "$work/asked")"
[ "$(images)" = "$first" ] || fail "images: $(images)"

say "one changed file goes through, leader last, however often pgha is stopped: at every step, by Ctrl-C or by SIGKILL"
pgha plan >"$work/plan.out" 2>"$work/plan.log" || fail "$(cat "$work/plan.log")"
lead=$(leader)
[ "$(grep -c rebuild "$work/plan.out")" = 3 ] && grep rebuild "$work/plan.out" | tail -n 1 | grep -q "$lead" || fail "$(cat "$work/plan.out")"
before=$(timeline)
apply_stopped_at_every_step
[ "$(timeline)" = $((before + 1)) ] || fail "timeline went from $before to $(timeline): more than one change of leader"
healthy
[ "$(images | wc -l)" = 1 ] && [ "$(images)" != "$first" ] || fail "images: $(images)"
[ "$(sql 'select count(*) from kept')" = 1000 ]
on node-1 grep -q 'maxconn 5000' /etc/pgha/haproxy.cfg
pgha doctor >/dev/null
for node in node-1 node-2 node-3; do [ "$(jq -r .labels.proven "$(record $node)")" = yes ] || fail "$node never proved itself: $(cat "$(record $node)")"; done

say "images that were built before are rolled as they are, if they are this cluster file's"
pgha build 2>/dev/null >"$work/images.json"
pgha plan --manifest "$work/images.json" 2>/dev/null | grep -q 'nothing to do'
altered() { jq "$1" "$work/images.json" >"$work/altered.json" && refused "$2" 1 pgha apply --yes --manifest "$work/altered.json"; }
altered '.cluster = "other"' 'is of cluster `other`, not `roll`'
altered '.images = []' 'no image has the roles of `node-1`'
altered '.images[0].tree = .images[0].package_root.sha256' 'was built from another cluster file'
altered '.images[0].configuration.sha256 = .images[0].tree' 'has other bytes than when it was built'

say "a newer package root is seen"
mkdir -p "$work/cache/package-roots" "$work/packages"
root=$work/cache/package-roots/newer.squashfs
cp "$(jq -r .package_root.path "$(record node-1)")" "$root" && echo newer >"$work/packages/newer"
mksquashfs "$work/packages" "$root" -quiet -no-progress >/dev/null
for note in /var/cache/pgha/package-roots/*.json; do
    jq --arg path "$root" --arg hash "$(sha256sum "$root" | cut -d' ' -f1)" --argjson bytes "$(stat -c %s "$root")" \
        '.layer = {path: $path, sha256: $hash, bytes: $bytes}' "$note" >"$work/cache/package-roots/${note##*/}"
done
[ "$(pgha --cache "$work/cache" status --json | jq -c '[.nodes[].image_current] | unique')" = '[false]' ] || fail "$(pgha --cache "$work/cache" status)"
[ "$(pgha status --json | jq -c '[.nodes[].image_current] | unique')" = '[true]' ] || fail "$(pgha status)"

say "an image that is no longer what was built is not booted, and nothing is stopped for it"
others=$(for node in node-1 node-2 node-3; do started $node; done)
archive=${file%.toml}.secrets/archive
layer=$(jq -r .configuration.path "$archive/images/$(jq -r .labels.previous_image "$(record node-1)").json")
cp "$layer" "$work/layer" && echo x >>"$layer"
refused 'has other bytes than when it was built' 1 pgha rollback --yes
grep -q 'put the image back' "$work/out" || fail "no cure: $(cat "$work/out")"
cp "$work/layer" "$layer"
mv "$archive/seeds" "$work/seeds"
refused 'is not in' 1 pgha rollback --yes
mv "$work/seeds" "$archive/seeds"
cp "$file" "$work/second" && sed -i 's/maxconn = 5000/maxconn = 5001/' "$file"
layer=$(jq -r .configuration.path "$(record node-1)")
mv "$layer" "$work/layer"
refused 'would have no way back' 1 pgha apply --yes
mv "$work/layer" "$layer" && mv "$work/second" "$file"
[ "$others" = "$(for node in node-1 node-2 node-3; do started $node; done)" ] || fail "a node was stopped"

# long_session: a session through the first node that was changed, from the second one's turn on. Notes whose turn it was when the session ended.
long_session() {
    local first
    trap - ERR EXIT
    until [ "$(grep -c 'stopping, then' "$work/roll.log")" -ge 2 ]; do
        [ -e "$work/roll.log" ] && [ ! -e "$work/bench.end" ] || return 0
        sleep 0.1
    done
    first=$(grep -m 1 'stopping, then' "$work/roll.log" | grep -o 'node-[0-9]')
    PGPASSWORD=$(cat "${file%.toml}.secrets/passwords/app") psql "host=$(address "$first") port=5000 dbname=app user=app sslmode=require" -XAtc 'select pg_sleep(600)' >/dev/null 2>&1 || true
    grep -oE 'handing the leadership|stopping, then' "$work/roll.log" | tr '\n' ';' >"$work/session.ended"
}

say "rollback takes every node to the image before; a client sees one stop, and no session stays on the demoted leader"
before=$(timeline)
: >"$work/roll.log"
long_session &
pgbench_begin 4
began=$SECONDS
pgha rollback --yes 2>>"$work/roll.log" || fail "$(cat "$work/roll.log")"
echo "rolled three nodes in $((SECONDS - began)) s"
pgbench_end
[ "$(cat "$work/session.ended")" = 'stopping, then;stopping, then;handing the leadership;' ] || fail "a session ended after: $(cat "$work/session.ended")"
[ ${#stops[@]} -le 1 ] || fail "writes stopped more than once with one switchover: $(cat "$work/roll.log")"
[ "$(timeline)" = $((before + 1)) ] || fail "timeline went from $before to $(timeline): more than one change of leader"
healthy
[ "$(images)" = "$first" ] || fail "images: $(images)"
[ "$(sql 'select count(*) from kept')" = 1000 ]
# What PostgreSQL found when it started tells how it was stopped.
for node in node-1 node-2 node-3; do
    on $node journalctl --no-pager --unit=patroni >"$work/journal"
    grep -q 'database system was shut down' "$work/journal" && ! grep -q 'was interrupted' "$work/journal" || fail "$node was not stopped cleanly: $(grep 'database system was' "$work/journal")"
done
[ "$(pgha status --json | jq -c '[.nodes[].since | (now - fromdate) < 200] | all')" = true ] || fail "$(pgha status)"
cp "$work/first" "$file"
pgha apply --yes 2>&1 | grep -q 'nothing to do'

say "an image whose HAProxy cannot start is returned, and no other node is touched"
others=$(for node in node-1 node-2 node-3; do started $node; done)
printf '\n[haproxy]\nmaxconn = 2000000000\n' >>"$file"
began=$SECONDS
refused 'it is healthy again with the previous image' 1 pgha apply --yes
grep -q 'haproxy.service' "$work/out" && grep -qE "^\[[0-9. ]+\] node-. haproxy.*maxconn" "$work/out" || fail "the report does not name the unit, or why it failed: $(cat "$work/out")"
echo "returned after $((SECONDS - began)) s"
cp "$work/first" "$file"
healthy
[ "$(images)" = "$first" ] || fail "images: $(images)"
changed=$(diff <(echo "$others") <(for node in node-1 node-2 node-3; do started $node; done) | grep -c '^>' || true)
[ "$changed" = 1 ] || fail "$changed nodes were restarted, not one"

say "a parameter is changed without touching an image: by reload, and by restart"
printf '\n[postgresql.parameters]\nwork_mem = "32MB"\n' >>"$file"
[ "$(pgha status --json | jq .dynamic_current)" = false ] || fail "$(pgha status)"
# The leader changes right after the plan, behind pgha's back: with --yes it plans anew. It sleeps meanwhile, as on a busy machine.
old=$(leader)
pgha apply --yes 2> >(while IFS= read -r line; do
    echo "$line" >>"$work/dynamic.log"
    [[ $line != plan* ]] || [ -e "$work/slept" ] || {
        pkill -STOP -f -- "$PGHA -f $file apply --yes"
        touch "$work/slept"
        on "$old" curl -sk --cert /run/pgha/tls/patroni.crt --key /run/pgha/tls/patroni.key -u "pgha:$(cat "$work/roll.secrets/passwords/rest-api")" \
            -X POST -d "{\"leader\":\"$old\"}" https://127.0.0.1:8008/switchover >"$work/behind"
        for _ in $(seq 50); do [ "$(leader)" = "$old" ] || break; sleep 0.2; done
        pkill -CONT -f -- "$PGHA -f $file apply --yes"
    }
done) || fail "$(cat "$work/dynamic.log" "$work/behind")"
for _ in $(seq 20); do ! grep -q 'planning anew' "$work/dynamic.log" || break; sleep 0.1; done
grep -q 'the cluster changed since the plan was made; nothing was done: planning anew' "$work/dynamic.log" || fail "$(cat "$work/dynamic.log" "$work/behind")"
[ "$(sql 'show work_mem')" = 32MB ]
! grep -qE 'rebuild|restart ' "$work/dynamic.log" || fail "$(cat "$work/dynamic.log")"
cp "$work/first" "$file" && printf '\n[postgresql.parameters]\nmax_connections = 690\nwal_level = "logical"\n' >>"$file"
pgha plan >"$work/plan.out" 2>/dev/null
grep restart "$work/plan.out" | head -n 1 | grep -q "$(leader)" || fail "a smaller max_connections must reach the primary first: $(cat "$work/plan.out")"
# A pgha that was suspended for too long stops, for another may have been at work; a later one goes on.
refused 'its lease ran out' 1 pgha apply --yes &
run_out
wait $!
pgha apply --yes 2>"$work/dynamic.log" || fail "$(cat "$work/dynamic.log")"
[ "$(sql 'show max_connections')" = 690 ]
[ "$(images)" = "$first" ] || fail "a parameter changed an image"

say "who reads logical changes and confirms nothing holds up no change of leader"
old=$(leader)
as_superuser "create role reader login replication password 'reader'; grant connect on database app to reader"
# Ended even if this test is: a stopped process would not be.
read_changes() { PGPASSWORD=reader timeout --signal=KILL 60 pg_recvlogical -d "host=$(address "$old") port=5010 user=reader dbname=app sslmode=require" --slot changes "$@"; }
read_changes --create-slot -P test_decoding
read_changes --start -f /dev/null 2>"$work/reader.log" &
for _ in $(seq 50); do [ "$(as_superuser "select active from pg_replication_slots where slot_name = 'changes'")" != t ] || break; sleep 0.2; done
reader=$(pgrep -x pg_recvlogical) || fail "$(cat "$work/reader.log")"
kill -STOP $reader
sql 'insert into kept values (0); delete from kept where i = 0'
# Patroni loses patience after 3 s, and has PostgreSQL stopped without a checkpoint.
impatient() { on "$old" journalctl --no-pager --unit=patroni | grep -c 'received immediate shutdown request' || true; }
before=$(impatient)
pgha switchover 2>"$work/out" || fail "$(cat "$work/out")"
grep -q "$old: ended who reads logical changes" "$work/out" && [ "$(impatient)" = "$before" ] || fail "$(cat "$work/out")"
kill -KILL $reader
for _ in $(seq 60); do ! pgha status --exit-code >/dev/null || break; sleep 0.5; done
as_superuser 'revoke connect on database app from reader; drop role reader'

say "a cluster that could not bear it is not rolled: it is mended first, or nothing is done"
printf '\n[haproxy]\nmaxconn = 6000\n' >>"$file"
mapfile -t replicas < <(pgha status --json | jq -r '.nodes[] | select(.role != "leader").name')
for node in "${replicas[@]}"; do on "$node" systemctl mask --runtime --now patroni; done
pgha plan >"$work/plan.out" 2>&1
[ "$(grep -cE '^ *[0-9]+ start .*patroni.service' "$work/plan.out")" = 2 ] && ! grep -q rebuild "$work/plan.out" || fail "$(cat "$work/plan.out")"
refused 'patroni.service is masked' 2 pgha apply --yes
[ "$(images)" = "$first" ] || fail "images: $(images)"
for node in "${replicas[@]}"; do on "$node" systemctl unmask --runtime patroni && on "$node" systemctl start patroni; done
for _ in $(seq 60); do ! pgha status --exit-code >/dev/null || break; sleep 1; done

say "what fails on every node, but costs no copy of the data, is cured by a roll; also what is up most of the time; with a newer package root"
flaps() {
    on "$1" mkdir /run/systemd/system/haproxy.service.d
    printf '[Service]\nRuntimeMaxSec=7\n' | on "$1" tee /run/systemd/system/haproxy.service.d/flap.conf >/dev/null
    on "$1" systemctl daemon-reload
    on "$1" systemctl restart haproxy
}
for node in node-1 node-2 node-3; do flaps $node; done
flapping() { grep -qE 'haproxy.service of node-[123] crashed [2-9] times, the last' <(pgha status); }
waited=0
until flapping; do [ $((waited += 1)) -lt 40 ] || fail "$(pgha status)"; sleep 1; done
pgha --cache "$work/cache" apply --yes 2>"$work/roll.log" || fail "$(cat "$work/roll.log")"
grep -q 'but for services of' "$work/roll.log" || fail "$(cat "$work/roll.log")"
healthy
[ "$(images | wc -l)" = 1 ] && [ "$(images)" != "$first" ] || fail "images: $(images)"
for node in node-1 node-2 node-3; do [ "$(on $node cat /newer)" = newer ] || fail "$node does not run the newer package root"; done
