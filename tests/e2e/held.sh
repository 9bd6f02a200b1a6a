# shellcheck shell=bash
# Sourced by scenarios.sh, whose poolers give a connection back after each transaction: a planned change of leader holds clients
# back instead of cutting them.

python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install 'psycopg[binary]==3.3.9' asyncpg==0.32.0 django==5.2.19 alembic==1.20.1 sqlalchemy==2.1.9
PGPASSWORD=$(cat "${file%.toml}.secrets/passwords/app")
export PGPASSWORD
sql 'create table held (client int)'

# held_begin: eight clients at every node write, and none connects again.
held_begin() {
    rm -f "$work/held.end"
    sql 'truncate held'
    "$work/venv/bin/python" "$project/tests/e2e/held.py" "$work/held.end" "$(address node-1)" "$(address node-2)" "$(address node-3)" >"$work/held" 2>"$work/held.err" &
    held=$!
    for _ in $(seq 100); do [ "$(sql 'select count(distinct client) from held')" != 24 ] || return 0; sleep 0.1; done
    fail "not every client writes: $(cat "$work/held.err")"
}

# held_end LEAST MOST: nobody was cut, nothing was lost, and the longest wait was of so many seconds.
held_end() {
    sleep 1
    touch "$work/held.end"
    wait $held || fail "$(cat "$work/held.err")"
    jq -c . "$work/held"
    [ "$(jq '.cut == []' "$work/held")" = true ] || fail "clients were cut"
    [ "$(sql 'select count(*) from held')" = "$(jq .acknowledged "$work/held")" ] || fail "rows: $(sql 'select count(*) from held')"
    jq -e --argjson least "$1" --argjson most "$2" '.longest >= $least and .longest <= $most' "$work/held" >/dev/null || fail "the longest wait is not of $1 to $2 s"
}

say "who writes through a pool of transactions is held over a switchover"
held_begin
pgha switchover 2>"$work/out" || fail "$(cat "$work/out")"
held_end 0.3 6

say "... but who is in a transaction for too long, who is named and cut"
held_begin
psql "host=$(address node-1) port=5000 user=app dbname=app sslmode=require" -XAtc 'begin' -c 'select pg_sleep(60)' >"$work/long" 2>&1 &
long=$!
sleep 3
pgha switchover 2>"$work/out" || fail "$(cat "$work/out")"
grep -qE 'a transaction of app on app, open for [0-9]+ s: cut' "$work/out" || fail "nobody names it: $(cat "$work/out")"
! wait $long || fail "it was not cut: $(cat "$work/long")"
held_end 2 9

say "a pgha that is killed while clients are held leaves nobody held, whenever it is"
# state NODE: whether the pooler of the primary holds everybody back.
state() { on "$1" runuser -u postgres -- /etc/pgha/bin/psql -XAtqh /run/pgbouncer -p 5000 pgbouncer -c 'show state' | sed -n 's/^paused|//p'; }
for moment in 0 1; do
    for _ in $(seq 60); do ! pgha status --exit-code >/dev/null || break; sleep 0.5; done
    held_begin
    "$PGHA" -f "$file" switchover 2>"$work/out" &
    switchover=$!
    for _ in $(seq 100); do [ "$(state node-2)" = no ] || break; done
    [ "$(state node-2)" = yes ] || fail "nobody was held: $(cat "$work/out")"
    sleep "$moment"
    kill -KILL $switchover 2>/dev/null || true
    wait $switchover 2>/dev/null || true
    sleep 11
    for node in node-1 node-2 node-3; do [ "$(state $node)" = no ] || fail "$node holds its clients"; done
    held_end 0.3 13
done

say "drivers and frameworks work as their users expect"
mkdir "$work/alembic"
for _ in $(seq 60); do ! pgha status --exit-code >/dev/null || break; sleep 0.5; done
"$work/venv/bin/python" "$project/tests/e2e/apps.py" "$(address node-1),$(address node-2),$(address node-3)" "$work/alembic" "$PGHA" -f "$file" switchover

say "an application in Java: batches, transactions, timeouts, a switchover, LISTEN"
for _ in $(seq 60); do ! pgha status --exit-code >/dev/null || break; sleep 0.5; done
java -cp /usr/share/java/postgresql.jar "$project/tests/e2e/Jdbc.java" "$(address node-1),$(address node-2),$(address node-3)" \
    "${file%.toml}.secrets/ca.crt" "${file%.toml}.secrets/passwords/app" "$PGHA" -f "$file" switchover || fail "see above"

say "what is dumped through the direct port is restored through it"
sql 'create table dumped as select generate_series(1, 1000) i'
dump_and_restore() {
    printf '%s\n' "$PGPASSWORD" | on node-1 sh -c 'read -r PGPASSWORD && export PGPASSWORD && cd /tmp && export PGHOST='"$(address node-2)"' PGPORT=5010 PGUSER=app PGDATABASE=app PGSSLMODE=require &&
        PATH=/usr/lib/postgresql/17/bin:$PATH && pg_dump --format=custom --table=dumped --file=dumped && psql -Xqc "drop table dumped" && pg_restore --dbname=app dumped'
}
dump_and_restore || fail "it cannot be dumped and restored"
dump_in_parallel() {
    printf '%s\n' "$PGPASSWORD" | on node-1 sh -c 'read -r PGPASSWORD && export PGPASSWORD && cd /tmp && PATH=/usr/lib/postgresql/17/bin:$PATH &&
        pg_dump "host='"$(address node-2)"' port=5011 user=app dbname=app sslmode=require" --format=directory --jobs=4 --table=dumped --table=copied --file=parallel'
}
dump_in_parallel || fail "the sessions of a parallel dump meet different replicas"
[ "$(sql 'select count(*) from dumped')" = 1000 ] || fail "not every row came back"
unset PGPASSWORD

say "while no replica is left the leader answers those who read, if the file says so"
reads_from() { PGPASSWORD=$(cat "${file%.toml}.secrets/passwords/app") psql "host=$(address "$1") port=$2 user=app dbname=app sslmode=require connect_timeout=3" -XAtqc 'select pg_is_in_recovery()' 2>&1; }
for _ in $(seq 60); do ! pgha status --exit-code >/dev/null || break; sleep 0.5; done
mapfile -t replicas < <(pgha status --json | jq -r '.nodes[] | select(.role != "leader").name')
[ "$(reads_from "$(leader)" 5001)$(reads_from "$(leader)" 5011)" = tt ] || fail "readers are sent to the leader beside replicas: $(reads_from "$(leader)" 5001)"
for node in "${replicas[@]}"; do on "$node" systemctl stop patroni & done
wait
# answers PORT: the leader does, at every node.
answers() { for node in node-1 node-2 node-3; do [ "$(reads_from $node "$1")" = f ] || return 1; done; }
for port in 5001 5002 5011; do
    for _ in $(seq 40); do ! answers $port || break; sleep 0.5; done
    answers $port || fail "nobody answers at port $port: $(reads_from node-1 $port)"
done
for node in "${replicas[@]}"; do on "$node" systemctl start patroni & done
wait
for _ in $(seq 120); do ! pgha status --exit-code >/dev/null || break; sleep 0.5; done
[ "$(reads_from node-1 5011)" = t ] || fail "new readers are sent to the leader: $(reads_from node-1 5011)"
