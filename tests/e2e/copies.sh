# shellcheck shell=bash
# Sourced by ended.sh: copies that waiting does not make whole. Each is named by `status`, and ended by `apply`.

# named WORDS: status comes to say so.
named() {
    for _ in $(seq 60); do
        pgha status >"$work/status.out"
        ! grep -qF -- "$1" "$work/status.out" || return 0
        sleep 0.5
    done
    fail "no word of '$1': $(cat "$work/status.out")"
}
# ended_by STEP: apply takes this step, and everything is well after.
ended_by() {
    pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"
    grep -qE -- "$1" "$work/out" || fail "not by '$1': $(cat "$work/out")"
    pgha status --exit-code >"$work/status.out" || fail "$(cat "$work/status.out")"
    [ "$(sql 'select i from kept')" = 1 ] || fail "the rows are gone"
}
superuser() { on "$(leader)" runuser -u postgres -- /etc/pgha/bin/psql -XAtqc "$1"; }
members() { etcdctl_on "$1" member list | grep -c started; }

say "an etcd member whose data is gone, on the leader's node"
victim=$(leader)
on "$victim" sh -c 'systemctl kill --signal=KILL etcd && rm -r /var/lib/pgha/etcd/member'
named "etcd of $victim has lost its data"
on "$victim" journalctl --unit etcd | grep -q 'the data of this etcd member is gone' || fail "$(on "$victim" journalctl --unit etcd -n 20)"
ended_by "rejoin +etcd of $victim"
[ "$(leader)" = "$victim" ] || fail "$victim leads no more"
[ "$(members "$victim")" = 3 ] || fail "$(etcdctl_on "$victim" member list)"

say "one that cannot read its data, beside a replica that cannot read its own"
victim=$(replica)
on "$victim" sh -c 'systemctl kill --signal=KILL etcd; head -c 65536 /dev/urandom | dd of=/var/lib/pgha/etcd/member/snap/db conv=notrunc status=none
    head -c 8192 /dev/urandom >/var/lib/pgha/postgresql/data/global/pg_control; pkill -KILL --oldest --exact postgres'
named "etcd of $victim has lost its data"
named "PostgreSQL of $victim cannot start with its data"
ended_by "reclone +$victim"
grep -q "rejoin *etcd of $victim" "$work/out" || fail "$(cat "$work/out")"

say "a replica whose data is half gone: PostgreSQL says neither FATAL nor PANIC of that"
victim=$(replica)
on "$victim" sh -c 'rm -r /var/lib/pgha/postgresql/data/global; pkill -KILL --oldest --exact postgres'
named "PostgreSQL of $victim cannot start with its data (but could not open file"
ended_by "reclone +$victim"

say "a node that boots with an etcd member that was removed meanwhile"
victim=$(replica)
etcdctl_on "$(leader)" member remove "$(etcdctl_on "$victim" member list | grep " $victim," | cut -d, -f1)" >/dev/null
named "etcd of $victim has lost its data"
ended_by "rejoin +etcd of $victim"

say "a replica that lacks WAL which the leader has dropped"
victim=$(replica)
cp "$file" "$work/good"
printf '\n[postgresql.parameters]\nmax_slot_wal_keep_size = "16MB"\nwal_keep_size = "16MB"\nmax_wal_size = "64MB"\nmin_wal_size = "32MB"\n' >>"$file"
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"
on "$victim" systemctl stop patroni
superuser "create table w as select repeat(md5(i::text), 30) as t from generate_series(1, 150000) i; checkpoint" >/dev/null
on "$victim" systemctl start patroni
named "the leader has dropped WAL that $victim lacks"
ended_by "reclone +$victim: the leader has dropped WAL"
superuser "drop table w"
cp "$work/good" "$file"
pgha apply --yes >"$work/out" 2>&1 || fail "$(cat "$work/out")"
