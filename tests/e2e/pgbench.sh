# shellcheck shell=bash
# Sourced: clients that know nothing but the DSN that `up` prints, and connect again when they are cut off.

# Debian has pgbench in the server's package, which would start a server: only the program is taken out of it.
pgbench_program() {
    local found major
    found=$(find /usr/lib/postgresql/*/bin/pgbench "$work/server" -name pgbench 2>/dev/null | tail -n 1 || true)
    if [ -z "$found" ]; then
        major=$(psql --version | grep -oE '[0-9]+' | head -n 1)
        apt-get -qq update
        (cd "$work" && apt-get -qq download "postgresql-$major" && dpkg -x postgresql-"$major"_*.deb server)
        found=$(find "$work/server" -name pgbench | head -n 1)
    fi
    echo "$found"
}

# pgbench_begin CLIENTS: each client inserts one row after the other, until pgbench_end.
pgbench_begin() {
    local program dsn client
    sql 'create table bench (client int, session int, number int)'
    program=$(pgbench_program)
    dsn=$(sed -n "s/^read-write *//p" "$work/up.log")
    printf '%s\n' '\set number :number + 1' 'insert into bench values (:client, :session, :number);' >"$work/bench.sql"
    : >"$work/bench.cuts"
    bench_began=$EPOCHREALTIME bench_clients=$1
    for client in $(seq "$1"); do pgbench_client "$program" "$dsn" "$client" & done
}

pgbench_client() {
    local session=0
    trap - ERR EXIT
    export PGPASSWORD
    PGPASSWORD=$(cat "${file%.toml}.secrets/passwords/app")
    until [ -e "$work/bench.end" ]; do
        # It ends when its session does; --log has a line for every transaction that was acknowledged.
        session=$((session + 1))
        "$1" --no-vacuum --time 2 --file "$work/bench.sql" -D client="$3" -D session=$session -D number=0 --log --log-prefix "$work/bench.log.$3.$session" "$2" >/dev/null 2>>"$work/bench.out" || echo "$3" >>"$work/bench.cuts"
        sleep 0.05
    done
}

# stops_of LOG...: every time of more than two seconds without a commit in these logs. With begin and end: a stop that never
# ended is one, too.
stops_of() {
    { awk '{printf "%d.%06d\n", $5, $6}' "$@" && printf '%s\n' "$bench_began" "$bench_ended"; } | sort -n |
        awk 'NR == 1 {first = $1} NR > 1 && $1 - last > 2 {printf "%.1f (from second %d)\n", $1 - last, last - first} {last = $1}'
}

# Ends the clients after one switchover, prints what they saw, and looks for every row that was acknowledged.
pgbench_end() {
    local client own acknowledged lost
    bench_ended=$EPOCHREALTIME
    touch "$work/bench.end"
    wait
    acknowledged=$(cat "$work"/bench.log.* | wc -l)
    mapfile -t stops < <(stops_of "$work"/bench.log.*)
    echo "pgbench: $acknowledged transactions acknowledged, $(wc -l <"$work/bench.cuts") sessions cut or refused, no commit for (s): ${stops[*]:-0}"
    for client in $(seq "$bench_clients"); do
        mapfile -t own < <(stops_of "$work/bench.log.$client".*)
        echo "  client $client alone: ${own[*]:-0}"
        [ ${#own[@]} -le 1 ] || fail "client $client saw more than one stop of writes with one switchover"
        awk -v ended="$bench_ended" '$5 > ended - 5 {found = 1} END {exit !found}' "$work/bench.log.$client".* || fail "client $client no longer writes"
    done
    # A session's transactions have the numbers from 1 on, and only the last may be one that was not acknowledged.
    lost=$(sql "with told (client, session, number) as (values $(for log in "$work"/bench.log.*; do echo "$log $(wc -l <"$log")"; done | sed -E 's/.*bench.log.([0-9]+)[.]([0-9]+)[.][0-9]+ (.*)/(\1, \2, \3)/' | paste -sd,))
        select (select sum(number) from told) - count(*) from bench join told using (client, session) where bench.number <= told.number")
    [ "$lost" = 0 ] || fail "$lost acknowledged rows are lost"
}
