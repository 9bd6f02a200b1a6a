#!/usr/bin/env bash
# Whatever a client would notice is seen, and what pgha can end is ended.
. "$(dirname "$0")/lib.sh"
new_cluster health 10.86.0
printf '\n[postgresql]\nparameters.max_standby_streaming_delay = "5s" # how soon a replica counts as one that stands still\n' >>"$file"
sed -i 's/^\[failover\]/[pgbouncer]\ndefault_pool_size = 30\nlog_connections = true\nreserve_pool_size = 1\nreserve_pool_timeout = 600\nidle_transaction_timeout = 600\nquery_timeout = 900\n[pgbouncer.databases.app]\npool_size = 20\nreserve_pool_size = 0\nmax_db_connections = 25\n[pgbouncer.users.app]\nmax_user_connections = 25\nquery_timeout = 700\n&/' "$file"
form
signal() { on "$1" pkill "-$2" -f "$3"; }
healthy

# starts UNITS: apply does.
starts() {
    pgha apply --yes 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
    grep -q "start  *$1" "$work/apply.log" || fail "$(cat "$work/apply.log")"
    healthy
}

# revived SECONDS UNIT: by its own node, within so long.
revived() {
    local began=$SECONDS
    until [ "$(killed "$lead" | grep -c "$2")" = 1 ]; do
        [ $((SECONDS - began)) -lt "$1" ] || fail "$2 is silent still, after $1 s"
        sleep 0.5
    done
    echo "$2: killed after $((SECONDS - began)) s"
    healthy
}

for node in node-1 node-2 node-3; do [ -z "$(killed $node)" ] || fail "$node killed $(killed $node)"; done
say "a pooler that hangs is no pooler, whatever takes its connections; nor is a HAProxy. Their node starts them anew"
lead=$(leader)
signal "$lead" STOP '^/etc/pgha/bin/pgbouncer /etc/pgha/pooler-primary.ini'
unhealthy "$lead primary"
grep -q "pgha-pooler-primary.service of $lead does not answer" "$work/out" || fail "$(cat "$work/out")"
revived 20 pgha-pooler-primary.service
signal "$lead" STOP '^/etc/pgha/bin/haproxy'
unhealthy '2 of 3 HAProxy route'
revived 20 haproxy.service

say "a PostgreSQL that takes connections and answers nobody ends within the life of the leader's lock, and writes go on"
began=$SECONDS
on "$lead" sh -c 'kill -STOP $(head -n 1 /var/lib/pgha/postgresql/data/postmaster.pid)'
until sql 'create table if not exists revived (i int)' 2>/dev/null; do [ $((SECONDS - began)) -lt 32 ] || fail "nobody writes for 32 s"; sleep 0.2; done
killed "$lead" | grep -q 'postgresql answered nobody' || fail "nobody noticed, and writes went on"
echo "writes again after $((SECONDS - began)) s"
healthy
lead=$(leader)

say "clients that somebody has told a pooler to hold back are let through"
tell() { on "$1" runuser -u postgres -- /etc/pgha/bin/psql -qh /run/pgbouncer -p 5000 pgbouncer -c "$2"; }
# Of a database that nobody has come for it does not tell.
exec 7> >(pgha psql -- -XAtq >/dev/null)
echo 'select 1;' >&7
for _ in $(seq 50); do ! pgha status --json | jq -e '.nodes[0].pooler[] | select(.pooler == "primary" and .database == "app")' >/dev/null || break; sleep 0.2; done
tell node-1 'DISABLE app'
unhealthy "pgha-pooler-primary.service of node-1 holds back app"
tell node-2 PAUSE
unhealthy "pgha-pooler-primary.service of node-2 holds back every database"
starts "node-1: pgha-pooler-primary.service"
sql 'select 1' >/dev/null
exec 7>&-

say "units that somebody has stopped are started, whoever leads by then"
on "$lead" systemctl stop patroni.service pgha-pooler-primary.service
unhealthy "patroni.service of $lead is inactive"
starts "$lead: patroni.service, pgha-pooler-primary.service"

say "a replica that streams by its own word, and that the leader sends nothing, is told from one that does"
lead=$(leader)
behind=$(replica)
signal "$behind" STOP 'walreceiver'
for _ in $(seq 60); do pgha status --exit-code >"$work/status.out" || break; sleep 0.5; done
unhealthy 'the leader sends it nothing'
pgha apply --yes 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
grep -q "restart .*Patroni and PostgreSQL of $behind" "$work/apply.log" || fail "$(cat "$work/apply.log")"
healthy

say "a replica that receives and does not replay is behind: for status, for readers, for a switchover"
behind=$(replica)
signal "$behind" STOP 'startup recovering'
# The fence is looked after like any daemon.
signal "$lead" STOP '/etc/pgha/lib/pgha-(guard|liveness)$'
as_postgres "$lead" 'create table wal as select repeat(md5(g::text), 30) from generate_series(1, 60000) g'
unhealthy "$behind lacks 0.0 MiB, has"
[ "$(pgha status --json | jq "[.nodes[] | select(.name == \"$behind\").replay_lag_bytes > 16777216] | all")" = true ] || fail "$(pgha status)"
refused 'MiB to replay' 1 pgha switchover --to "$behind"
frozen_since=$SECONDS
for _ in $(seq 60); do pgha status --json >"$work/status.json"; [ "$(jq "[.nodes[].haproxy.replicas[\"$behind\"] | startswith(\"UP\")] | any" "$work/status.json")" = true ] || break; sleep 0.5; done
[ "$(jq "[.nodes[].haproxy.replicas[\"$behind\"] | startswith(\"UP\")] | any" "$work/status.json")" = false ] || fail "readers are sent to old rows"
as_postgres "$lead" 'drop table wal'
# A guard counts as one that stands still after half a minute.
while [ $((SECONDS - frozen_since)) -lt 36 ]; do sleep 1; done
unhealthy 'MiB to replay, and replays nothing'
for unit in guard liveness; do grep -q "pgha-$unit.service of $lead does not answer" "$work/out" || fail "$(cat "$work/out")"; done
pgha apply --yes 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
grep -q "restart .*Patroni and PostgreSQL of $behind" "$work/apply.log" || fail "$(cat "$work/apply.log")"
grep -q "start  *$lead: pgha-guard.service, pgha-liveness.service" "$work/apply.log" || fail "$(cat "$work/apply.log")"
healthy

say "what lets commits of a role or in a database go unconfirmed is seen, and taken back"
as_postgres "$lead" 'alter role app set synchronous_commit = off'
as_postgres "$lead" 'alter database app set synchronous_commit = local'
unhealthy 'synchronous_commit=local in database app, synchronous_commit=off for role app'
pgha apply --yes 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
grep -q 'commits that wait' "$work/apply.log" || fail "$(cat "$work/apply.log")"
healthy
! on "$lead" runuser -u postgres -- /etc/pgha/bin/psql -c 'alter system set synchronous_commit = off' 2>"$work/out" || fail "ALTER SYSTEM was taken"
grep -q 'not allowed in this environment' "$work/out" || fail "$(cat "$work/out")"

say "what is declared and locked is told, and left as it is"
as_postgres "$lead" "alter role app nologin valid until '2020-01-01' connection limit 0; alter database app set default_transaction_read_only = on; \
    alter database app connection limit 0; revoke connect on database app from app"
pgha status >"$work/status.out"
for words in 'role app may not log in' 'password of role app was valid until 2020-01-01' 'role app may have no connection' 'database app may have no connection' \
    'role app may not connect to its database app' 'sessions in database app may only read'; do
    grep -q "^warning: .*$words" "$work/status.out" || fail "$words: $(cat "$work/status.out")"
    pgha plan | grep -q "note: .*$words" || fail "$words: $(pgha plan)"
done
as_postgres "$lead" "alter role app login valid until 'infinity' connection limit -1; alter database app reset default_transaction_read_only; \
    alter database app connection limit -1; grant connect on database app to app"
! pgha status | grep -qE '^warning: .*(role|database) app' || fail "$(pgha status)"

say "files that are not what Patroni wrote are seen, and written anew"
on "$lead" sh -c 'cd /var/lib/pgha/postgresql/data && echo "host all all 0.0.0.0/0 trust" >>pg_hba.conf && echo "log_statement = all" >>postgresql.conf'
on "$behind" sh -c 'cd /var/lib/pgha/postgresql/data && sed -i "/ rewind /d" pg_hba.conf && printf "log_duration = on\ninclude no.conf\nnot to be read\n" >>postgresql.base.conf'
unhealthy "of pg_hba.conf is not wanted: host all all 0.0.0.0/0 trust"
grep -q "$lead: postgresql.conf sets log_statement" "$work/out" || fail "$(cat "$work/out")"
for words in 'pg_hba.conf lacks: hostssl all rewind' 'postgresql.base.conf sets log_duration'; do
    grep -q "$behind: $words" "$work/out" || fail "$words: $(cat "$work/out")"
done
pgha apply --yes 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
[ "$(grep -c 'restore .*configuration of' "$work/apply.log")" = 2 ] || fail "$(cat "$work/apply.log")"
healthy
! on "$lead" grep -q trust /var/lib/pgha/postgresql/data/pg_hba.conf || fail "anybody may come in"
! on "$behind" grep -q '^log_duration' /var/lib/pgha/postgresql/data/postgresql.base.conf || fail "it logs each statement"

say "... and a file that beats them is emptied"
for node in "$lead" "$behind"; do
    on "$node" sh -c 'printf "synchronous_commit = off\nlog_statement = all\n" >>/var/lib/pgha/postgresql/data/postgresql.auto.conf'
    as_postgres "$node" 'select pg_reload_conf()' >/dev/null
done
unhealthy "$behind: postgresql.auto.conf sets log_statement"
pgha apply --yes 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
[ "$(grep -c 'restore .*postgresql.auto.conf sets log_statement' "$work/apply.log")" = 2 ] || fail "$(cat "$work/apply.log")"
healthy
on "$lead" grep -q log_statement /var/lib/pgha/postgresql/data/postgresql.auto.conf.cleared || fail "what was there is lost"

say "what pgha itself needs in PostgreSQL is missed, and put back"
as_postgres "$lead" 'drop owned by pgha_probe; drop role pgha_probe'
unhealthy 'the role pgha_probe is missing'
pgha apply --yes 2>/dev/null
healthy
as_postgres "$lead" 'revoke execute on function pgbouncer.lookup(text) from pgbouncer'
unhealthy 'sessions at 9 of 18 doors'
pgha apply --yes 2>/dev/null
healthy

say "etcd that takes no writes is named for that, and gets room"
member=$(on "$lead" curl -s --cacert /run/pgha/tls/etcd-ca.crt --cert /run/pgha/tls/etcd.crt --key /run/pgha/tls/etcd.key https://127.0.0.1:2382/v3/maintenance/status -d '{}' | jq -r .header.member_id)
on "$lead" curl -s --cacert /run/pgha/tls/etcd-ca.crt --cert /run/pgha/tls/etcd.crt --key /run/pgha/tls/etcd.key https://127.0.0.1:2382/v3/maintenance/alarm \
    -d "{\"action\":\"ACTIVATE\",\"memberID\":\"$member\",\"alarm\":\"NOSPACE\"}" >/dev/null
unhealthy 'etcd takes no writes: alarm NOSPACE'
! grep -q 'no quorum' "$work/out" || fail "etcd has a quorum: $(cat "$work/out")"
pgha apply --yes 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
grep -q 'make room' "$work/apply.log" || fail "$(cat "$work/apply.log")"
healthy

say "a full pool is warned of"
clients=()
for _ in $(seq 25); do
    pgha psql -- -XAtc 'select pg_sleep(600)' >/dev/null 2>&1 &
    clients+=($!)
done
for _ in $(seq 40); do ! pgha status | grep -q '20 of 20 connections of app to app are in use' || break; sleep 0.2; done
pgha status >"$work/status.out"
grep -qE '20 of 20 connections of app to app are in use by the pooler `primary` of node-1, [1-9][0-9]* clients wait' "$work/status.out" || fail "$(cat "$work/status.out")"
pgha psql --direct -- -XAtc 'select pg_sleep(600)' >/dev/null 2>&1 &
clients+=($!)
# asleep DOOR: sessions of this host that sleep, behind this door.
asleep() { pgha sessions --json | jq --arg door "$1" '[.sessions[] | select(.query == "select pg_sleep(600)" and .through == $door and (.client // "" | startswith("10.86.0.1:")))] | length'; }
for _ in $(seq 40); do [ "$(asleep node-1:5010)" = 0 ] || break; sleep 0.2; done
[ "$(asleep node-1:5000) $(asleep node-1:5010)" = "20 1" ] || fail "whose sessions they are is not told: $(pgha sessions)"
pgha sessions | grep -qE "^ *$lead +[0-9]+ +app +app +10.86.0.1:[0-9]+ +node-1:5010 +psql +active +[0-9.]+ +select pg_sleep\(600\)\$" || fail "$(pgha sessions)"
kill "${clients[@]}" 2>/dev/null || true
wait "${clients[@]}" 2>/dev/null || true

as_postgres "$lead" "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()" >/dev/null

say "... and afterwards the journal of its node says who came, to a pooler and past it"
noted() { on node-1 journalctl --no-pager --output=cat --unit="$1" | grep -E "$2" >"$work/noted"; }
noted pgha-pooler-primary 'app/app@10.86.0.1:[0-9]+ login attempt: db=app user=app' || fail "the pooler notes nobody"
for _ in $(seq 25); do ! noted haproxy "^10.86.0.1:[0-9]+ .* direct direct/$lead " || break; sleep 0.2; done
[ -s "$work/noted" ] || fail "HAProxy notes nobody"

say "a switchover ends with a write, and says for how long there was none"
pgha switchover 2>"$work/switchover.log"
grep -qE '^node-. leads now; writes stopped for [0-9.]+ s \(promised: at most 7 s\)$' "$work/switchover.log" || fail "$(cat "$work/switchover.log")"
sql 'select 1' >/dev/null
healthy

say "a tablespace outside the data volume is seen while its rows are still there"
for node in node-1 node-2 node-3; do on $node install -d -o postgres /run/postgresql/ts; done
lead=$(leader)
as_postgres "$lead" "create tablespace fast location '/run/postgresql/ts'"
unhealthy 'tablespace fast is not on the data volume, but in /run/postgresql/ts'
as_postgres "$lead" 'drop tablespace fast'
healthy

say "slots that a switchover would drop are named before it"
as_postgres "$lead" "select pg_create_physical_replication_slot('dbz', true)" >/dev/null
pgha switchover 2>"$work/switchover.log"
grep -q 'will not have the replication slots dbz' "$work/switchover.log" || fail "$(cat "$work/switchover.log")"
healthy
lead=$(leader)

say "a process that a crash left keeps PostgreSQL from starting no longer than until apply"
behind=$(replica)
signal "$behind" STOP 'walreceiver'
on "$behind" sh -c 'kill -KILL $(head -n 1 /var/lib/pgha/postgresql/data/postmaster.pid)'
# Between two attempts it is `starting`, so the state of one moment proves nothing; the reason stays.
for _ in $(seq 60); do left=$(pgha status --json | jq -r '.warnings[] | select(contains("a process that a crash left"))') && [ -n "$left" ] && break; sleep 0.5; done
[[ $left == *"$behind"* ]] || fail "it starts: $(pgha status)"
pgha apply --yes 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
grep -q "reboot      $behind" "$work/apply.log" || fail "$(cat "$work/apply.log")"
healthy

say "a node whose image or seed somebody has changed is told, and booted anew"
changed=$(replica)
on "$changed" nft add rule inet pgha limits tcp dport 5000 drop
unhealthy "$changed: firewall rule that is not of the image: tcp dport 5000 drop"
on "$changed" sed -i 's/lag=16MB/lag=16GB/' /etc/pgha/haproxy.cfg
on "$changed" sh -c 'echo "tags: { nofailover: true }" >/run/pgha/patroni.d/90-tags.yml && systemctl reload patroni && nft flush ruleset'
unhealthy "$changed: file /etc/pgha/haproxy.cfg was changed"
for words in 'file /run/pgha/patroni.d/90-tags.yml is not of the seed' 'the firewall table inet pgha is not loaded'; do
    grep -q "$changed: $words" "$work/out" || fail "$words: $(cat "$work/out")"
done
pgha apply --yes 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
grep -q "reboot .*$changed: file" "$work/apply.log" || fail "$(cat "$work/apply.log")"
healthy
