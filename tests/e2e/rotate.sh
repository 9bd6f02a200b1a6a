# shellcheck shell=bash
# Sourced by ended.sh: every key, authority and password is another one, clients go on writing, and the old ones open nothing.

secrets=${file%.toml}.secrets
cp -r "$secrets" "$work/old" && cp "$secrets/ca.crt" "$work/clients.crt"
sql 'create table written (at timestamptz default now())'
# A client with a copy of its own of who is to be trusted.
# writes TRUST [PASSWORD]: one row in a new session.
writes() {
    PGPASSWORD=${2:-$(cat "$work/old/passwords/app")} timeout 10 psql -XqAt -c 'insert into written default values' \
        "host=10.99.0.11,10.99.0.12,10.99.0.13 port=5000 dbname=app user=app target_session_attrs=read-write connect_timeout=3 sslmode=verify-full sslrootcert=$1"
}
# Prints the longest time without a row, in milliseconds, again and again.
write_on() {
    local last now longest=0
    trap - ERR EXIT
    last=$(date +%s%3N)
    while [ -d "$work" ] && [ ! -e "$work/written.end" ]; do
        writes "$work/clients.crt" 2>>"$work/written.err" || { sleep 0.1 && continue; }
        now=$(date +%s%3N)
        [ $((now - last)) -le $longest ] || longest=$((now - last))
        last=$now
        echo $longest >"$work/longest"
        sleep 0.2
    done
}
write_on &
writer=$!

# killed_in_a_roll COMMAND...: when the first node has stopped.
killed_in_a_roll() {
    : >"$work/rotate.log"
    pgha "$@" 2>"$work/rotate.log" &
    until grep -q 'stopping, then' "$work/rotate.log"; do kill -0 $! || fail "$(cat "$work/rotate.log")"; sleep 0.2; done
    pkill -KILL -f -- "$PGHA -f $file $*"
    wait $! || true
}

say "first every node trusts the new authorities beside the old, also if pgha is killed meanwhile; SSH keys and passwords are new"
refused 'nothing was changed' 1 pgha rotate </dev/null
[ ! -e "$secrets/rotation.json" ] || fail "it began without a yes"
killed_in_a_roll rotate --yes
pgha status >"$work/status.out"
grep -q 'warning: a rotation (authorities, ssh, passwords) is under way' "$work/status.out" || fail "$(cat "$work/status.out")"
pgha rotate --yes 2>"$work/rotate.log" || fail "$(cat "$work/rotate.log")"
grep -q "Now give $secrets/ca.crt to every client" "$work/rotate.log" || fail "$(cat "$work/rotate.log")"
[ "$(grep -c BEGIN "$secrets/ca.crt")" = 2 ] && [ "$(on node-1 grep -c BEGIN /run/pgha/tls/etcd-ca.crt)" = 2 ] || fail "not two are trusted"
! cmp -s "$secrets/passwords/rest-api" "$work/old/passwords/rest-api" || fail "the password is the old one"
refused 'a rotation (authorities, ssh, passwords) is under way' 1 pgha rotate ssh
refused 'Now give' 1 pgha rotate </dev/null
healthy
writes "$work/old/ca.crt" || fail "a client without the new authority is shut out already"

say "then they sign, also if pgha is killed meanwhile, and nobody trusts the old ones"
cat "$secrets/ca.crt" >"$work/clients.crt"
killed_in_a_roll rotate --yes
pgha rotate --yes 2>"$work/rotate.log" || fail "$(cat "$work/rotate.log")"
grep -q 'rotated: authorities, ssh, passwords. No node takes' "$work/rotate.log" || fail "$(cat "$work/rotate.log")"
healthy
touch "$work/written.end" && wait $writer
writes "$work/clients.crt" || fail "a client with the new authority does not get in"
echo "longest time without a row over three rolls: $(cat "$work/longest") ms"
# It goes on beside others, so how long a change of leader takes is for `roll`. Who is shut out, is for a whole roll.
[ "$(cat "$work/longest")" -lt 30000 ] || fail "no row for $(cat "$work/longest") ms: $(sort "$work/written.err" | uniq -c)"
pgha plan | grep -q 'nothing to do' || fail "$(pgha plan)"
[ "$(find "$secrets" -path '*/previous/*' -type f -o -path '*/next/*' -type f | wc -l)" = 0 ] && [ ! -e "$secrets/.under-way.json" ] || fail "something of before is left"

say "what was rotated away opens nothing"
! writes "$work/old/ca.crt" 2>"$work/out" && grep -q 'certificate verify failed' "$work/out" || fail "servers have certificates of the old authority: $(cat "$work/out")"
writes "$secrets/ca.crt"
! ssh -i "$work/old/ssh/operator" -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR -o IdentitiesOnly=yes -o BatchMode=yes root@10.99.0.11 true 2>"$work/out" &&
    grep -q 'Permission denied' "$work/out" || fail "the old operator gets in: $(cat "$work/out")"
! ssh-keyscan -t ed25519 10.99.0.11 2>/dev/null | grep -qF "$(cut -d' ' -f2 "$work/old/nodes/node-1/ssh_host_ed25519_key.pub")" || fail "the node's own key is the old one"
lead=$(leader)
for file_of_old in nodes/node-1/patroni.crt nodes/node-1/patroni.key nodes/node-1/etcd.crt nodes/node-1/etcd.key; do
    on node-1 install -m 600 /dev/stdin "/run/old-${file_of_old##*/}" <"$work/old/$file_of_old"
done
# asks CERTIFICATE PASSWORD: what Patroni of the leader says to a change.
asks() {
    on node-1 curl -s --max-time 5 --cacert /run/pgha/tls/ca.crt --cert "$1.crt" --key "$1.key" -o /dev/null -w '%{http_code}' \
        -u "pgha:$(cat "$2/passwords/rest-api")" -X PATCH -d '{"nosuch":null}' "https://$(address "$lead"):8008/config" || true
}
[ "$(asks /run/pgha/tls/patroni "$secrets")" = 200 ] || fail "Patroni does not take the new ones"
[ "$(asks /run/pgha/tls/patroni "$work/old")" = 401 ] || fail "Patroni takes the old password"
[ "$(asks /run/old-patroni "$secrets")" = 000 ] || fail "Patroni takes the old certificate"
# replicates CERTIFICATE
replicates() { on node-1 /etc/pgha/bin/psql "host=$(address "$lead") user=replicator replication=1 sslmode=require sslcert=$1.crt sslkey=$1.key" -c IDENTIFY_SYSTEM >"$work/out" 2>&1; }
replicates /run/pgha/tls/patroni || fail "PostgreSQL does not take the new certificate: $(cat "$work/out")"
! replicates /run/old-patroni && grep -qE 'unknown ca|certificate verify failed|unknown certificate authority' "$work/out" || fail "PostgreSQL takes the old certificate: $(cat "$work/out")"
# etcd_of CERTIFICATE
etcd_of() { on node-1 curl -sSf --max-time 5 --cacert /run/pgha/tls/etcd-ca.crt --cert "$1.crt" --key "$1.key" "https://$(address "$lead"):2382/health" >"$work/out" 2>&1; }
etcd_of /run/pgha/tls/etcd || fail "etcd does not take the new certificate: $(cat "$work/out")"
! etcd_of /run/old-etcd && grep -qiE 'unknown ca|certificate' "$work/out" || fail "etcd takes the old certificate: $(cat "$work/out")"
statistics() { curl -s -o /dev/null -w '%{http_code}' --cacert "$secrets/ca.crt" -u "pgha:$(cat "$1/passwords/haproxy-stats")" "https://10.99.0.11:7000/metrics"; }
[ "$(statistics "$secrets") $(statistics "$work/old")" = '200 401' ] || fail "the statistics take the old password"
on node-1 rm -f /run/old-patroni.crt /run/old-patroni.key /run/old-etcd.crt /run/old-etcd.key
refused 'is not in' 1 pgha rollback --yes

say "a role's password is another one, and its open sessions stay"
mkfifo "$work/open" && exec 7<>"$work/open" && : >"$work/said"
PGPASSWORD=$(cat "$work/old/passwords/app") psql -XAtq "host=10.99.0.12 port=5000 dbname=app user=app sslmode=require" <"$work/open" >"$work/said" 2>&1 &
session=$!
# says_next I: the open session is asked once more.
says_next() {
    echo "select $1;" >&7
    for _ in $(seq 50); do [ "$(wc -l <"$work/said")" -lt "$1" ] || break; sleep 0.2; done
    [ "$(tail -n 1 "$work/said")" = "$1" ] || fail "the open session ended: $(cat "$work/said")"
}
says_next 1
echo mine-from-now-on >"$secrets/passwords/app"
pgha status >"$work/status.out"
grep -q 'warning: .*passwords/app was edited: PostgreSQL may know another password' "$work/status.out" || fail "$(cat "$work/status.out")"
pgha rotate --role app 2>"$work/rotate.log" || fail "$(cat "$work/rotate.log")"
! grep -q warning "$work/rotate.log" && [ "$(cat "$secrets/passwords/app")" = mine-from-now-on ] || fail "$(cat "$work/rotate.log")"
! writes "$secrets/ca.crt" 2>"$work/out" && grep -q 'authentication failed' "$work/out" || fail "the old password is taken: $(cat "$work/out")"
writes "$secrets/ca.crt" "$(cat "$secrets/passwords/app")"
for i in $(seq 2 9); do says_next "$i" && sleep 1; done
kill $session 2>/dev/null || true
exec 7>&-
healthy
