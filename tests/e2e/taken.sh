# shellcheck shell=bash
# Sourced by returns.sh: a changed dynamic configuration counts when every member has taken it, or not at all.

# with LINES: the cluster file with these lines of [postgresql] more.
with() { { cat "$work/good" && printf '\n[postgresql]\n%s\n' "$1"; } >"$file"; }
# judged WORDS LINES: PostgreSQL refuses these lines before anything is written.
judged() {
    with "$2"
    local before
    before=$(pgha status --json 2>/dev/null | jq -r .dynamic)
    refused "$1" 1 pgha apply --yes
    grep -q 'nothing was changed' "$work/out" || fail "$(cat "$work/out")"
    [ "$(pgha status --json 2>/dev/null | jq -r .dynamic)" = "$before" ] || fail "something was written"
    ! on "$(leader 2>/dev/null)" test -e /var/lib/pgha/postgresql/judge || fail "the judge left something behind"
}
superuser() { on "$(leader)" runuser -u postgres -- /etc/pgha/bin/psql -XAtqc "$1"; }

say "PostgreSQL judges a change before it is written"
judged 'cannot use serializable mode in a hot standby' 'parameters = { default_transaction_isolation = "serializable" }'
judged 'default_text_search_config: setting could not be applied' 'parameters = { default_text_search_config = "nosuch.cfg" }'
judged 'could not map anonymous shared memory' 'parameters = { shared_buffers = "900GB" }'
judged 'could not load pg_hba.conf' 'hba = ["hostssl all @nofile 10.95.0.0/24 scram-sha-256"]'

say "what is in use is asked before it would not fit any more"
with 'parameters = { max_prepared_transactions = 10 }'
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"
superuser "begin; create table prepared (i int); prepare transaction 'a'" >/dev/null
cp "$work/good" "$file"
refused 'max_prepared_transactions = 0 is less than the 1 prepared transactions' 1 pgha apply --yes
superuser "rollback prepared 'a'"
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"

say "a parameter that goes waits for its restart like one that comes"
with 'parameters = { max_files_per_process = 64 }'
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"
with 'parameters = { max_connections = 710 }'
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"
[ "$(sql 'show max_files_per_process')" = 1000 ] || fail "it is not gone"
cp "$work/good" "$file"
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"

# behind JSON: changes the dynamic configuration as somebody with patronictl would.
behind() {
    on node-1 curl -sk --fail --cert /run/pgha/tls/patroni.crt --key /run/pgha/tls/patroni.key -u "pgha:$(cat "${file%.toml}.secrets/passwords/rest-api")" \
        -X PATCH -d "$1" https://127.0.0.1:8008/config >/dev/null
}
unwell() { for _ in $(seq 60); do pgha status --exit-code >"$work/status.out" || return 0; sleep 0.5; done; fail "still healthy"; }

say "whatever a change broke, it can be replaced: replicas that tell their Patroni nothing"
behind '{"postgresql":{"parameters":{"default_transaction_isolation":"serializable"}}}'
unwell
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"
grep -q 'restart     Patroni and PostgreSQL of' "$work/out" || fail "$(cat "$work/out")"
pgha status --exit-code >/dev/null || fail "$(pgha status)"

say "... and sessions that nobody can begin, or that may not write"
behind '{"postgresql":{"parameters":{"default_transaction_read_only":"on"}}}'
unwell
grep -q 'sessions may only read' "$work/status.out" || fail "$(cat "$work/status.out")"
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"
pgha status --exit-code >/dev/null || fail "$(pgha status)"

say "what a member does not take is taken back everywhere"
# The disk of one replica takes no new file: as when it is full, or somebody has locked it.
victim=$(replica)
on "$victim" chattr +i /var/lib/pgha/postgresql/data/postgresql.conf 2>/dev/null || on "$victim" mount --bind -o ro /var/lib/pgha/postgresql/data/postgresql.conf /var/lib/pgha/postgresql/data/postgresql.conf
with 'parameters = { work_mem = "24MB" }'
refused "$victim: work_mem is not 24MB" 1 pgha apply --yes
grep -q 'was taken back' "$work/out" || fail "$(cat "$work/out")"
on "$victim" chattr -i /var/lib/pgha/postgresql/data/postgresql.conf 2>/dev/null || on "$victim" umount /var/lib/pgha/postgresql/data/postgresql.conf
cp "$work/good" "$file"
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"
[ "$(sql 'show work_mem')" = 16MB ]
