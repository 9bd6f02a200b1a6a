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
    sql 'create table bench (n bigserial)'
    program=$(pgbench_program)
    dsn=$(sed -n "s/^read-write *//p" "$work/up.log")
    echo 'insert into bench default values;' >"$work/bench.sql"
    : >"$work/bench.cuts"
    bench_began=$EPOCHREALTIME
    for client in $(seq "$1"); do pgbench_client "$program" "$dsn" "$client" & done
}

pgbench_client() {
    trap - ERR EXIT
    export PGPASSWORD
    PGPASSWORD=$(cat "${file%.toml}.secrets/passwords/app")
    until [ -e "$work/bench.end" ]; do
        # It ends when its session does; --log has a line for every transaction that was acknowledged.
        "$1" --no-vacuum --time 2 --file "$work/bench.sql" --log --log-prefix "$work/bench.log.$3" "$2" >/dev/null 2>>"$work/bench.out" || echo "$3" >>"$work/bench.cuts"
        sleep 0.05
    done
}

# Ends the clients and prints what they saw. A stop is a time of more than two seconds without any commit.
pgbench_end() {
    local ended=$EPOCHREALTIME client
    touch "$work/bench.end"
    wait
    acknowledged=$(cat "$work"/bench.log.* | wc -l)
    # With begin and end: a stop that never ended is one, too.
    mapfile -t stops < <({ awk '{printf "%d.%06d\n", $5, $6}' "$work"/bench.log.* && printf '%s\n' "$bench_began" "$ended"; } | sort -n | awk 'NR == 1 {first = $1} NR > 1 && $1 - last > 2 {printf "%.1f (from second %d)\n", $1 - last, last - first} {last = $1}')
    echo "pgbench: $acknowledged transactions acknowledged, $(wc -l <"$work/bench.cuts") sessions cut or refused, no commit for (s): ${stops[*]:-0}"
    for client in $(seq "$(find "$work"/bench.log.* | sed 's/.*bench.log.//; s/[.].*//' | sort -u | wc -l)"); do
        awk -v ended="$ended" '$5 > ended - 5 {found = 1} END {exit !found}' "$work/bench.log.$client".* || fail "client $client no longer writes"
    done
    [ "$(sql 'select count(*) from bench')" -ge "$acknowledged" ] || fail "acknowledged rows are lost"
}
