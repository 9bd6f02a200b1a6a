#!/usr/bin/env bash
# A cluster forms, keeps its contract, refuses those it must refuse, tells no secret, and leaves nothing behind.
. "$(dirname "$0")/lib.sh"
new_cluster formation 10.91.0
secrets=$work/formation.secrets

printf '\n[postgresql]\nusers = [{ name = "app" }]\ndatabases = [{ name = "app", owner = "app", extensions = ["pg_trgm"] }]\n' >>"$file"

# Debian under systemd mounts /run so that nothing there can be executed. Here one node has it so.
noexec=/run/pgha-local/pgha-formation.node-1
# An edited file would not be let near the cluster.
trap 'status=$?; umount --lazy "$noexec" 2>/dev/null || true; [ ! -e "$work/plain" ] || cp "$work/plain" "$file"; clean_up $status' EXIT
while mountpoint -q "$noexec"; do umount "$noexec"; done # of a test that was killed
mkdir -p "$noexec" && mount -t tmpfs -o noexec,mode=700 tmpfs "$noexec"

say "a first configuration with which PostgreSQL does not start is named, and replaced"
cp "$file" "$work/plain"
# On the volume, and not PostgreSQL's: that shows only where it is to write.
printf 'parameters.logging_collector = "on"\nparameters.log_directory = "/var/lib/pgha/etcd/log"\n' >>"$file"
refused 'could not open log file "/var/lib/pgha/etcd/log' 2 pgha up --yes
cp "$work/plain" "$file"
pgha plan >"$work/plan.out"
[ "$(grep -c 'delete .*data: none yet' "$work/plan.out")" = 3 ] || fail "$(cat "$work/plan.out")"

say "up"
while [ -d "$work" ] && [ ! -e "$work/formed" ]; do ps axww >>"$work/ps-up.out"; sleep 0.1; done &
(umask 077 && pgha up --yes -v 2>"$work/up.log" >"$work/up.out")
touch "$work/formed"
pgha doctor >"$work/doctor.out"
[ "$(grep -c '^ok .*contract' "$work/doctor.out")" = 3 ] || fail "contract: $(cat "$work/doctor.out")"

say "the caller's umask is not the nodes', what is theirs is closed to others, and a program that pgha becomes has the caller's"
# Whatever anybody could write to, but for links and for directories like /tmp.
open_to_all() { on "$1" find / -xdev -perm -2 ! -type l ! -perm -1000; }
for node in node-1 node-2 node-3; do
    [ "$(on $node stat -c %a / /opt /var/lib/pgha | tr '\n' ,)" = 755,755,755, ] && [ -z "$(open_to_all $node)" ] || fail "$node: $(open_to_all $node)"
    on $node findmnt -no OPTIONS /var/lib/pgha | grep -q nosuid,nodev || fail "$node: $(on $node findmnt /var/lib/pgha)"
    [ "$(stat -c %a "$work/state/formation/nodes/$node/console.log")" = 600 ]
done
[ "$(stat -c %a "$work/state/formation")" = 700 ]
[ "$(umask 027 && pgha psql -- -XAtc '\! umask')" = 0027 ]

say "doctor sees what is broken"
on node-2 systemctl stop haproxy
refused 'haproxy.service' 1 pgha doctor
on node-2 systemctl start haproxy

say "a second up finds nothing to do"
pgha up --yes >/dev/null 2>"$work/again.log"
grep -q 'nothing to do' "$work/again.log" || fail "$(cat "$work/again.log")"

say "an image that sorts text in another way is not rolled out"
record=$work/state/formation/nodes/node-1/record.json
cp "$record" "$work/record" && cp "$file" "$work/plain"
sed -i 's/libc6-2\.[0-9]*_libicu/libc6-2.36_libicu/' "$record"
printf '\n[haproxy]\nmaxconn = 5000\n' >>"$file"
refused 'has indexes sorted by libc6-2.36_libicu' 1 pgha plan
cp "$work/record" "$record" && cp "$work/plain" "$file"

say "psql reaches the primary and a replica through PgBouncer and HAProxy, with TLS"
[ "$(sql 'select pg_is_in_recovery()')" = f ]
[ "$(pgha psql --replica -- -XAtc 'select pg_is_in_recovery()')" = t ]
sql 'create table t (i int); insert into t values (1)'
[ "$(sql "select count(*) from pg_extension where extname = 'pg_trgm'")" = 1 ] || fail "a declared extension is missing"
[ "$(sql 'select count(*) from t')" = 1 ]
on "$(leader)" runuser -u postgres -- /etc/pgha/bin/psql -XAtc 'show ssl' | grep -qx on
[ "$(pgha status --json | jq '[.nodes[] | .image_current and .seed_current and (.since | length) > 0] | all')" = true ] || fail "$(pgha status)"
pgha status --exit-code >"$work/status.out"
grep -qE '^ primary .*up 3/3' "$work/status.out" && grep -q '^dynamic configuration ........$' "$work/status.out" || fail "$(cat "$work/status.out")"

say "the direct ports lead past the poolers: whoever listens hears, and whoever may replicate does"
direct() { pgha psql --direct "$@"; }
[ "$(direct -- -XAtc 'select pg_is_in_recovery()')$(direct --replica -- -XAtc 'select pg_is_in_recovery()')" = ft ]
direct -- -Xqc 'listen news' -c "notify news, 'heard'" | grep -q '"news" with payload "heard"' || fail "who listens hears nothing"
direct -- -Xqc 'select pg_advisory_lock(1)' -c 'select pg_advisory_unlock(1)' >/dev/null
# through USER PASSWORD OPTIONS: past the poolers of a node that does not lead.
through() {
    PGPASSWORD=$2 psql -XAtq "host=$(address "$(replica)") port=5010 user=$1 dbname=postgres connect_timeout=3 sslmode=verify-full sslrootcert=$secrets/ca.crt $3" \
        -c "${4:-select 1}" >"$work/out" 2>&1
}
on "$(leader)" runuser -u postgres -- /etc/pgha/bin/psql -XAtqc "create role copier login replication password 'copier'"
through copier copier replication=true IDENTIFY_SYSTEM || fail "it may not replicate: $(cat "$work/out")"
on "$(leader)" runuser -u postgres -- /etc/pgha/bin/psql -XAtqc 'drop role copier'
! through app "$(cat "$secrets/passwords/app")" sslmode=disable || fail "PostgreSQL takes a client without TLS"
for user in postgres replicator rewind; do
    ! through $user none '' || fail "$user gets in"
    ! through $user none replication=true IDENTIFY_SYSTEM || fail "$user may replicate"
done

say "no client of the primary's port meets a standby, and every node takes those who ask for read-write, whoever led before"
# As after a boot: nobody has told the poolers anything yet. They would pass it on for ever.
for node in node-1 node-2 node-3; do on $node runuser -u postgres -- /etc/pgha/bin/psql -qh /run/pgbouncer -p 5000 pgbouncer -c reconnect; done
# at NODE OPTIONS: what a new session at its port 5000 is told.
at() {
    PGPASSWORD=$(cat "$secrets/passwords/app") psql "host=$(address "$1") port=5000 user=app dbname=app connect_timeout=3 sslmode=verify-full sslrootcert=$secrets/ca.crt ${2:-}" \
        -XAtqc 'select pg_is_in_recovery()'
}
for node in node-1 node-2 node-3; do
    while [ ! -e "$work/switched" ]; do at $node >>"$work/met.$node" 2>/dev/null || true; done &
done
pgha psql -- -XAtc 'select pg_sleep(600)' >/dev/null 2>&1 &
session=$!
direct -- -XAtc 'select pg_sleep(600)' >/dev/null 2>&1 &
past=$!
sleep 2 && kill -0 $session $past || fail "a long session did not begin"
pgha switchover 2>/dev/null
touch "$work/switched"
for _ in $(seq 50); do { ! kill -0 $session && ! kill -0 $past; } 2>/dev/null || sleep 0.2; done
! kill -0 $session 2>/dev/null && ! kill -0 $past 2>/dev/null || fail "a session stayed on the demoted leader"
wait || true
for node in node-1 node-2 node-3; do
    grep -q f "$work/met.$node" && ! grep -q t "$work/met.$node" || fail "clients of $node met: $(sort "$work/met.$node" | uniq -c)"
    [ "$(at $node target_session_attrs=read-write)" = f ] || fail "$node takes nobody who wants to write"
done
sql 'insert into t values (2)'
direct -- -XAtqc 'insert into t values (3); delete from t where i = 3'
[ "$(sql 'select count(*) from t')" = 2 ]

say "clients without the right proof are refused"
host=$(address node-1)
PGPASSWORD=$(cat "$secrets/passwords/app")
export PGPASSWORD
dsn="host=$host port=5000 dbname=app user=app connect_timeout=5"
psql "$dsn sslmode=verify-full sslrootcert=$secrets/ca.crt" -XAtc 'select 1' | grep -qx 1 || fail "the right client was refused"
refused 'SSL required' 2 psql "$dsn sslmode=disable" -c 'select 1'
refused 'certificate verify failed' 2 psql "$dsn sslmode=verify-full sslrootcert=$secrets/etcd-ca.crt" -c 'select 1'
PGPASSWORD=wrong refused 'authentication failed' 2 psql "$dsn sslmode=require" -c 'select 1'
refused 'no such user' 2 psql "${dsn/user=app/user=nobody} sslmode=require" -c 'select 1'
PGPASSWORD=md5 refused 'login rejected' 2 psql "${dsn/user=app/user=pgbouncer} dbname=postgres sslmode=require" -c 'select 1'
for user in app replicator; do
    ! psql "${dsn/user=app/user=$user} replication=1 sslmode=require" -c IDENTIFY_SYSTEM >"$work/out" 2>&1 || fail "$user replicates from outside: $(cat "$work/out")"
done
as_superuser 'create role bare login'
PGPASSWORD=md5 refused 'no such user' 2 psql "${dsn/user=app/user=bare} sslmode=require" -c 'select 1'
as_superuser 'drop role bare'
for database in app pgbouncer; do refused 'login rejected' 2 psql "${dsn/user=app/user=postgres} dbname=$database sslmode=require" -c 'select 1'; done
[ "$(psql "$dsn sslmode=require options='-c timezone=Asia/Tokyo'" -XAtc 'show timezone')" = Asia/Tokyo ] || fail "what a client asked for is dropped"
for setting in default_transaction_read_only=on search_path=public; do
    refused "unsupported startup parameter in options: ${setting%=*}" 2 psql "$dsn sslmode=require options='-c $setting'" -c 'select 1'
done
[ "$(psql "$dsn sslmode=require" -XAtc 'show timezone')" != Asia/Tokyo ] || fail "the next client has what another asked for"
refused 'not allowed' 2 psql "$dsn dbname=pgbouncer sslmode=require" -c 'show pools'
unset PGPASSWORD

say "a program has what it needs and no more"
# exposed UNIT: how much, in tenths, from 0 to 100.
exposed() { on node-1 systemd-analyze security --no-pager "$1.service" | sed -n 's/.*exposure level for .*: \([0-9]*\)\.\([0-9]\) .*/\1\2/p'; }
for unit in etcd patroni pgha-pooler-primary haproxy pgha-guard; do [ "$(exposed $unit)" -le 20 ] || fail "$unit: $(exposed $unit)"; done
# It kills what hangs.
[ "$(exposed pgha-liveness)" -le 35 ] || fail "pgha-liveness: $(exposed pgha-liveness)"
# These give files to the daemons, and write to the console of the kernel.
for unit in pgha-data pgha-seed; do [ "$(exposed $unit)" -le 45 ] || fail "$unit: $(exposed $unit)"; done
[ "$(on node-1 find / -xdev -type f -perm /6000)" = "" ] || fail "somebody can become root: $(on node-1 find / -xdev -type f -perm /6000)"
[ "$(on node-1 ps -C sh -o user=,args= | grep pgha-guard | cut -d' ' -f1 | sort -u)" = postgres ] || fail "the guard is $(on node-1 ps -C sh -o user=,args=)"

say "a key that serves clients opens nothing between nodes"
member=$(replica)
patroni="https://$(address "$member"):8008"
# as KEY: what Patroni of another node answers to whoever has this key and the password.
as() { on node-1 curl -s --max-time 5 --cacert /run/pgha/tls/ca.crt --cert "/run/pgha/tls/$1.crt" --key "/run/pgha/tls/$1.key" -o /dev/null -w '%{http_code}' \
    -u "pgha:$(cat "$secrets/passwords/rest-api")" -X PATCH -d '{"nosuch":null}' "$patroni/config"; }
[ "$(as patroni)" = 200 ] || fail "Patroni does not take its own kind's key"
[ "$(as pgbouncer)" = 000 ] || fail "Patroni takes the pooler's key"
[ "$(as postgres)" = 000 ] || fail "Patroni takes PostgreSQL's key, which serves clients"
# replicates KEY [ROLE]: whether PostgreSQL of the leader lets in who has this key, as Patroni's role or another.
replicates() { on node-1 /etc/pgha/bin/psql \
    "host=$(address "$(leader)") user=${2:-replicator} replication=1 sslmode=verify-full sslrootcert=/run/pgha/tls/ca.crt sslcert=/run/pgha/tls/$1.crt sslkey=/run/pgha/tls/$1.key" -c IDENTIFY_SYSTEM >"$work/out" 2>&1; }
replicates patroni || fail "PostgreSQL does not take its own kind's key: $(cat "$work/out")"
! replicates pgbouncer || fail "PostgreSQL takes the pooler's key"
! replicates postgres || fail "PostgreSQL takes a key that serves clients"
! replicates patroni postgres || fail "the key of replication makes a superuser"

say "the poolers' own role comes from a node, with their certificate, and sees nothing but the lookup"
# asks USER KEY SQL: at PostgreSQL of the leader, from another node.
asks() { on "$member" setpriv --reuid=pgbouncer --clear-groups /etc/pgha/bin/psql -XAtq \
    "host=$(address "$(leader)") dbname=postgres user=$1 sslmode=verify-full sslrootcert=/run/pgha/tls/ca.crt sslcert=/run/pgha/tls/$2.crt sslkey=/run/pgha/tls/$2.key" -c "$3" >"$work/out" 2>&1; }
asks pgbouncer pgbouncer-postgres "select rolname from pgbouncer.lookup('app')" || fail "the poolers cannot ask: $(cat "$work/out")"
! asks pgbouncer pgbouncer-postgres 'select rolpassword from pg_authid' || fail "the poolers read every password"
! asks pgbouncer pgbouncer 'select 1' || fail "PostgreSQL takes a key that serves clients"
! asks postgres pgbouncer-postgres 'select 1' || fail "the poolers' key makes a superuser"

say "a session that has yet to ask something outlives a switchover, and asks the new leader"
console() { on "$1" runuser -u postgres -- /etc/pgha/bin/psql -XAtqh /run/pgbouncer -p "$2" pgbouncer -c "$3"; }
old=$(leader)
mkfifo "$work/silence" && exec 7<>"$work/silence"
PGPASSWORD=$(cat "$secrets/passwords/app") psql "$dsn sslmode=require" -XAtq <"$work/silence" >"$work/said" 2>&1 &
idle=$!
for _ in $(seq 50); do ! console node-1 5000 'show clients' | grep -q '^C|app|app|' || break; sleep 0.2; done
console node-1 5000 'show clients' | grep -q '^C|app|app|' || fail "the idle session did not begin"
pgha switchover 2>/dev/null
echo 'select pg_is_in_recovery();' >&7
for _ in $(seq 25); do [ ! -s "$work/said" ] || break; sleep 0.2; done
[ "$(cat "$work/said")" = f ] || fail "$(cat "$work/said")"
kill $idle 2>/dev/null || true
exec 7>&-
[ "$(leader)" != "$old" ] || fail "$old leads still"

say "units and words of parameters are this PostgreSQL's"
table=$project/crates/pgha-core/src/cluster/parameters.tsv
as_superuser "select concat_ws(chr(9), lower(name), coalesce(unit, ''), coalesce(array_to_string(enumvals, ','), '')) from pg_settings" | LC_ALL=C sort >"$work/settings"
diff <(grep -v '^#' "$table" | cut -f1,6,7 | LC_ALL=C sort) <(LC_ALL=C join -t "$(printf '\t')" <(grep -v '^#' "$table" | cut -f1 | LC_ALL=C sort) "$work/settings") || fail "the table of parameters is not this PostgreSQL's"

say "time zones are this image's"
as_superuser 'select name from pg_timezone_names' | LC_ALL=C sort >"$work/zones"
diff <(grep -v '^#' "$project/crates/pgha-core/src/cluster/timezones.txt" | LC_ALL=C sort) "$work/zones" || fail "the list of time zones is not this image's"

say "ports that are the nodes' own are closed to others, and open ones refuse strangers"
for port in 2379 2380 2382 5432 6430 6431 6432 8008; do
    ! timeout 2 bash -c "exec 3<>/dev/tcp/$host/$port" 2>/dev/null || fail "port $port is open to this machine"
done
member=$(replica)
other=$(address "$member")
proof=(--cacert /run/pgha/tls/etcd-ca.crt --cert /run/pgha/tls/etcd.crt --key /run/pgha/tls/etcd.key)
on node-1 curl -s --max-time 3 "${proof[@]}" "https://$other:2382/health" | grep -q true || fail "etcd does not answer its own kind"
! on node-1 curl -sk --max-time 3 "https://$other:2382/health" 2>/dev/null || fail "etcd answered without a certificate"
etcdctl_on "$member" endpoint health >/dev/null 2>&1 || fail "etcd does not answer its own kind through gRPC"
! on "$member" env ETCDCTL_CACERT=/run/pgha/tls/etcd-ca.crt /etc/pgha/bin/etcdctl --endpoints https://127.0.0.1:2379 endpoint health >/dev/null 2>&1 ||
    fail "etcd answered without a certificate through gRPC"

say "an etcd member that stops answers as one that is away: for any other word Patroni would demote the primary"
for _ in 1 2 3; do
    on "$member" timeout 3 curl -sZ --parallel-max 4 "${proof[@]}" -d '{"key":"eA=="}' "https://$other:2382/v3/kv/range?[1-99999]" >"$work/answers" || true &
    sleep 1
    on "$member" systemctl restart etcd
    wait
    tr '}' '\n' <"$work/answers" >"$work/words"
    grep -q revision "$work/words" || fail "nobody asked: $(head -c 500 "$work/answers")"
    ! grep '"code"' "$work/words" | grep -v '"code": *14' || fail "no outage for Patroni"
done

say "Patroni and PostgreSQL refuse strangers, too"
lead=$(address "$(leader)")
status=$(on "$(replica)" curl -sk -o /dev/null -w '%{http_code}' --max-time 3 -X POST -d '{}' "https://$lead:8008/switchover" || true)
case $status in 401 | 403) ;; *) fail "Patroni took a write without proof: $status" ;; esac
replication=(/etc/pgha/bin/psql -c IDENTIFY_SYSTEM)
refused 'requires a valid client certificate' 2 on "$(replica)" "${replication[@]}" "host=$lead user=replicator replication=1 sslmode=require sslcert=/none"
refused 'no encryption' 2 on "$(replica)" "${replication[@]}" "host=$lead user=replicator replication=1 sslmode=disable"

say "no secret is seen outside the secrets directory"
ps axww >"$work/ps.out"
pgha status --json >"$work/status.json"
pgha plan --json >"$work/plan.json" 2>"$work/plan.log"
pgha render --out "$work/tree" 2>/dev/null
for node in node-1 node-2 node-3; do on $node journalctl --no-pager >"$work/journal-$node.log"; on $node ps axww >"$work/ps-$node.out"; done
find "$secrets" -type f ! -name '*.crt' ! -name '*.pub' ! -name known_hosts ! -name '*.jsonl' ! -name formed ! -name cluster ! -name identity ! -name .gitignore ! -name .lock ! -path '*/archive/*' >"$work/secret-files"
[ "$(wc -l <"$work/secret-files")" -ge 30 ] || fail "too few secrets: $(cat "$work/secret-files")"
# The second line of a key: the first is the same in every key.
while read -r secret; do
    awk '!/^-----/ { line = $0; if (++lines == 2) exit } END { print line }' "$secret"
done <"$work/secret-files" >"$secrets/poison.txt"
[ "$(grep -c . "$secrets/poison.txt")" = "$(wc -l <"$work/secret-files")" ] || fail "a secret without a line"
told=$(grep -rlFf "$secrets/poison.txt" --exclude-dir=formation.secrets --exclude-dir=state "$work" || true)
[ -z "$told" ] || fail "a secret is told in $told"
for node in node-1 node-2 node-3; do
    told=$(on $node grep -rlFf - /etc /usr/lib/systemd <"$secrets/poison.txt" || true)
    [ -z "$told" ] || fail "a secret is in the image: $told"
    # What proves that this looks: the same search where the secrets are.
    on $node grep -rqFf - /run/pgha <"$secrets/poison.txt" || fail "not even in its seed"
done
rm "$secrets/poison.txt"

say "the secrets directory is looked after"
[ "$(stat -c %a "$secrets")" = 700 ]
chmod 755 "$secrets" && refused 'others could read it' 1 pgha status && chmod 700 "$secrets"
mv "$secrets" "$work/elsewhere" && refused 'is missing' 1 pgha status && mv "$work/elsewhere" "$secrets"
mv "$secrets/cluster" "$work/cluster" && echo other >"$secrets/cluster"
refused 'belongs to cluster `other`' 1 pgha status && mv "$work/cluster" "$secrets/cluster"
mv "$secrets/ca.key" "$work/ca.key" && refused 'ca.key is missing' 1 pgha status
: >"$secrets/ca.key" && refused 'ca.key is empty' 1 pgha status && mv "$work/ca.key" "$secrets/ca.key"
refused 'something else than a file' 2 pgha seed node-1 --out /dev/full && [ -c /dev/full ]

say "to look never writes, whatever became of the file: five edits, and every command that looks or is answered no"
# kept: path, type, mode, size and digest of all that pgha keeps. What is inside a data volume is the nodes' own.
kept() {
    find "$secrets" "$work/state" "$work"/*.secrets -path '*/data/*' -prune -o ! -name data ! -name console.log -printf '%p %y %m ' \
        \( -type f -printf '%s ' -exec sha256sum {} + -o -printf '\n' \) | LC_ALL=C sort -u
}
cp "$file" "$work/plain"
looking=()
# look ARGUMENTS
look() {
    # shellcheck disable=SC2086 # no argument here has a space of its own
    timeout 60 "$PGHA" -f "$file" $1 </dev/null >>"$work/looks" 2>&1 || [ $? != 124 ] || echo "$1" >>"$work/endless"
}
looks() {
    local before arguments
    before=$(kept)
    for arguments in check "render --out $work/tree" plan status 'psql -- -c table(pg_am)' 'psql -U new -- -l' 'ssh node-1 -- true' 'logs node-1 -n 1' \
        doctor "seed node-1 --out $work/seed" schema; do
        look "$arguments" &
        looking+=($!)
    done
    wait "${looking[@]}"
    looking=()
    # One of these at a time works on a cluster.
    for arguments in apply rollback 'switchover --to nobody'; do look "$arguments"; done
    [ ! -e "$work/endless" ] || fail "$1: no end of: $(cat "$work/endless")"
    [ "$(kept)" = "$before" ] || fail "$1: something wrote: $(diff <(echo "$before") <(kept) | cut -c -160)"
    cp "$work/plain" "$file"
}
sed -i 's/10\.91\.0\.13/10.91.0.23/' "$file" && looks "a changed address"
sed -i 's/"node-3"/"node-9"/' "$file"
refused 'there is no server `node-9` yet' 1 pgha ssh node-9 -- true
looks "a renamed node"
sed -i 's/{ name = "app" }/&, { name = "new" }/' "$file"
pgha plan 2>/dev/null | grep -q 'note: new in the secrets: passwords/new, verifiers/new' || fail "$(pgha plan 2>&1)"
refused 'there is no user `new` yet' 1 pgha psql -U new
refused 'passwords/new is to be made' 1 pgha seed node-1 --out "$work/seed"
looks "another user"
sed -i 's/"formation"/"formatted"/' "$file"
for what in status 'psql -- -l' 'seed node-1 --out /dev/null' 'destroy --yes'; do
    # shellcheck disable=SC2086
    refused 'belongs to cluster `formation`, not `formatted`' 1 pgha $what
done
looks "another name"
sed -i '/"node-1"/{h;d};/"node-3"/G' "$file"
[ "$(grep -c '"node-' "$file")" = 3 ] && ! cmp -s "$file" "$work/plain"
pgha plan 2>/dev/null | grep -q 'nothing to do' || fail "the order of nodes is content: $(pgha plan 2>&1)"
looks "nodes in another order"
grep -q 'nothing to do' "$work/looks" # that they looked at all

say "a cluster that never was is planned, and leaves no trace"
sed 's/"formation"/"never"/; s/10\.91\.0/10.88.91/; s/preset = "fast"/preset = "normal"/' "$file" >"$work/never.toml"
before=$(kept)
for what in plan status doctor "seed node-1 --out $work/seed" apply switchover; do
    # shellcheck disable=SC2086
    "$PGHA" -f "$work/never.toml" $what </dev/null >"$work/out" 2>&1 || true
    [ "$(kept)" = "$before" ] && [ ! -e "$work/never.secrets" ] && [ ! -e "$work/state/never" ] || fail "$what made something"
done
"$PGHA" -f "$work/never.toml" plan 2>/dev/null | grep -q "note: the secrets are made in $work/never.secrets" || fail "no plan for it"
refused 'add --make-secrets' 1 "$PGHA" -f "$work/never.toml" seed node-1 --out "$work/seed"
"$PGHA" -f "$work/never.toml" seed node-1 --make-secrets --out "$work/seed" 2>/dev/null
"$PGHA" -f "$work/never.toml" seed node-2 --out "$work/seed" 2>/dev/null
refused 'the nodes are started by pgha' 1 pgha seed node-1 --make-secrets --out "$work/seed"
rm -r "$work/never.toml" "$work/never.secrets"

say "a second cluster of the same name gets nowhere near the first"
mkdir "$work/beside" && cp "$file" "$work/beside/formation.toml"
before=$(kept)
for secrets_of_its_own in no yes; do
    for what in status plan 'apply --yes' rollback switchover 'destroy --yes'; do
        # shellcheck disable=SC2086
        refused "belong to another cluster, whose secrets are in $secrets" 1 "$PGHA" -f "$work/beside/formation.toml" $what
    done
    [ $secrets_of_its_own = yes ] || {
        sed 's/"formation"/"never"/' "$file" >"$work/beside/never.toml"
        sed -i 's/10\.91\.0/10.88.91/' "$work/beside/never.toml"
        "$PGHA" -f "$work/beside/never.toml" seed node-1 --make-secrets --out "$work/seed" 2>/dev/null
        mv "$work/beside/never.secrets" "$work/beside/formation.secrets" && echo formation >"$work/beside/formation.secrets/cluster"
    }
done
say "... nor with a state directory of its own, where it would take the first one's switch for its own"
rm -r "$work/beside/formation.secrets"
sed -i "s#$work/state#$work/beside/state#" "$work/beside/formation.toml"
refused "has its nodes in $work/state/formation" 1 "$PGHA" -f "$work/beside/formation.toml" apply --yes
refused "has its nodes in $work/state/formation" 2 "$PGHA" -f "$work/beside/formation.toml" destroy --yes
[ ! -e "$work/beside/state" ] && [ "$(kept)" = "$before" ] && [ "$(sql 'select 1')" = 1 ]
rm -r "$work/beside"

say "a node that shows another host key is not spoken to"
public=$secrets/nodes/node-1/ssh_host_ed25519_key.pub
mv "$public" "$work/node-1.pub" && cp "$secrets/nodes/node-2/ssh_host_ed25519_key.pub" "$public"
refused 'Host key verification failed' 255 pgha ssh node-1 -- true
refused '10.91.0.11 shows another SSH host key' 1 pgha doctor
mv "$work/node-1.pub" "$public"

say "a damaged record stops everything, and says how to mend it"
cp "$record" "$work/record" && head -c 100 "$work/record" >"$record"
refused 'write it like those of the other nodes' 2 pgha status
refused 'write it like those of the other nodes' 2 pgha apply --yes
cp "$work/record" "$record"

say "what is declared and gone is seen, and declared again; what is not declared is left alone"
pgha plan --detailed-exitcode >/dev/null 2>&1
on "$(leader)" runuser -u postgres -- /etc/pgha/bin/psql -qh /run/postgresql -c 'drop database app with (force)' -c 'create database other' -c 'drop function pgbouncer.lookup'
drift=0 && pgha plan --detailed-exitcode >"$work/plan.out" 2>/dev/null || drift=$?
[ "$drift" = 2 ] || fail "exit code $drift for a missing database"
grep -q "declare     the pooler's lookup of passwords, database app, owner app of app, extension pg_trgm in app" "$work/plan.out" && grep -q 'database other is not in the cluster file' "$work/plan.out" || fail "$(cat "$work/plan.out")"
pgha apply --yes >/dev/null 2>&1
[ "$(sql 'select count(*) from pg_database where datname in ($$app$$, $$other$$)')" = 2 ]
[ "$(sql "select count(*) from pg_extension where extname = 'pg_trgm'")" = 1 ]
[ "$(sql "select string_agg(datname || ' ' || has_database_privilege('public', oid, 'connect'), ', ' order by datname) from pg_database where datname in ('app', 'other')")" = 'app false, other true' ] || fail "who may connect to a declared database"
on "$(leader)" runuser -u postgres -- /etc/pgha/bin/psql -qh /run/postgresql -c 'alter database app owner to postgres'
pgha plan 2>/dev/null | grep -q 'declare     owner app of app$' || fail "$(pgha plan 2>&1)"
pgha apply --yes >/dev/null 2>&1
[ "$(sql 'select pg_get_userbyid(datdba) from pg_database where datname = $$app$$')" = app ]

say "what belongs to no server is told, and left alone"
mkdir "$work/state/formation/nodes/node-9"
pgha plan 2>/dev/null | grep -q 'nodes/node-9 belongs to no server' || fail "$(pgha plan 2>&1)"
rmdir "$work/state/formation/nodes/node-9"

say "the statistics page has TLS and a password; logs and completions are there"
page=(curl -s -o "$work/page" -w '%{http_code}' --max-time 5 --cacert "$secrets/ca.crt" "https://$host:7000/metrics")
[ "$("${page[@]}" -u "pgha:$(cat "$secrets/passwords/haproxy-stats")")" = 200 ] && grep -q haproxy_server_status "$work/page" || fail "$(cat "$work/page")"
[ "$("${page[@]}" -u pgha:wrong)" = 401 ] || fail "the statistics page took a wrong password"
pgha logs node-1 patroni -n 2000 >"$work/patroni.log"
grep -q 'I am node-1' "$work/patroni.log" || fail "no journal of Patroni: $(cat "$work/patroni.log")"
pgha completions bash >"$work/completions" && grep -q switchover "$work/completions"

say "a certificate that nears its end is signed anew by apply, not by a plan, with the key it had"
member=$(replica) # nobody's turn but its own
key=$(sha256sum "$secrets/nodes/$member/haproxy.key")
near_its_end "$member"
near_its_end_still() { ! openssl x509 -in "$secrets/nodes/$member/haproxy.crt" -noout -checkend $((300 * 86400)) >/dev/null; }
pgha plan >"$work/plan.out" 2>/dev/null
grep -q "reseed *$member" "$work/plan.out" && grep -q "signed anew in the secrets: nodes/$member/haproxy.crt" "$work/plan.out" || fail "$(cat "$work/plan.out")"
[ "$(pgha status --json | jq -c '[.nodes[] | select(.seed_current == false).name]')" = "[\"$member\"]" ] || fail "$(pgha status)"
refused 'nothing was changed' 1 pgha apply </dev/null
near_its_end_still || fail "signed without a yes"
pgha apply --yes >/dev/null 2>"$work/apply.log" || fail "$(cat "$work/apply.log")"
! near_its_end_still || fail "apply did not sign: $(cat "$work/apply.log")"
[ "$key" = "$(sha256sum "$secrets/nodes/$member/haproxy.key")" ]
pgha plan 2>/dev/null | grep -q 'nothing to do' || fail "$(pgha plan 2>&1)"

say "... and the operator's own without any step, for no node knows it"
openssl x509 -req -in <(openssl req -new -key "$secrets/operator.key" -subj '/CN=pgha operator' 2>/dev/null) \
    -CA "$secrets/ca.crt" -CAkey "$secrets/ca.key" -days 30 -out "$secrets/operator.crt" 2>/dev/null
before=$(kept)
pgha plan 2>/dev/null | grep -q 'note: signed anew in the secrets: operator.crt' || fail "$(pgha plan 2>&1)"
[ "$(kept)" = "$before" ] || fail "a plan signed"
pgha apply 2>/dev/null
openssl x509 -in "$secrets/operator.crt" -noout -checkend $((300 * 86400)) >/dev/null || fail "not signed"

say "a state directory that is not there is not taken for a cluster that never was"
mv "$work/state/formation" "$work/state/hidden"
refused 'was formed, but' 1 pgha up --yes
mv "$work/state/hidden" "$work/state/formation"

say "two pghas do not work on one cluster"
exec 9<>"$work/state/formation/lock" && flock 9
refused 'another pgha works on this cluster' 2 pgha destroy --yes
exec 9<&-

say "without root it says so before doing anything"
# The checkout may be in root's own directory. Not *.toml: the cleanup would look for its cluster.
chmod 755 "$work" && cp "$project/infrastructure/local.toml" "$work/rootless" && cp "$PGHA" "$work/pgha"
refused 'which only root may make' 1 setpriv --reuid=65534 --regid=65534 --clear-groups "$work/pgha" -f "$work/rootless" up --yes

say "a missing program is named with its package, and nothing is made"
refused 'apt-get install systemd-container' 1 env PATH=/nonexistent "$PGHA" -f "$work/rootless" up

say "another apt is waited for, even by the part of apt that would not"
mkdir "$work/bin"
cat >"$work/bin/apt-get" <<STUB
#!/bin/sh
echo "\$*" >>$work/apt.calls
[ ! -e $work/apt.was ] || exit 0
: >$work/apt.was
echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)' >&2
exit 100
STUB
chmod 755 "$work/bin/apt-get"
refused 'waiting for another apt: Could not get lock' 1 env PATH="$work/bin" "$PGHA" -f "$work/rootless" up --yes
[ "$(cut -d' ' -f2 "$work/apt.calls" | tr '\n' ,)" = update,update,install, ] || fail "$(cat "$work/apt.calls")"

say "a lost data volume is refused, not taken for a new one"
victim=$(replica)
cut_power "$victim"
mkdir "$work/kept" && mv "$work/state/formation/nodes/$victim/data"/* "$work/kept/"
refused 'refused: the data volume is empty' 2 pgha apply --yes
cut_power "$victim" || true
mv "$work/kept"/* "$work/state/formation/nodes/$victim/data/"
chmod 755 "$work/state/formation" # as an earlier pgha made it
(umask 000 && pgha apply --yes 2>/dev/null)
[ "$(pgha status --json | jq .healthy)" = true ]
[ "$(on "$victim" stat -c %a /)" = 755 ] && [ -z "$(open_to_all "$victim")" ] || fail "under umask 000: $(open_to_all "$victim")"
[ "$(stat -c %a "$work/state/formation")" = 700 ]

say "destroy leaves nothing"
layer=$(jq -r .configuration.path "$record")
losetup -a | grep -qF "$layer" || fail "no loop device for $layer: $(losetup -a)"
[ "$(left_behind formation 10.91.0 | wc -l)" -gt 12 ] || fail "of a running cluster only this is seen: $(left_behind formation 10.91.0)"
pgha destroy --yes 2>/dev/null
umount "$noexec" && rmdir "$noexec" && { rmdir /run/pgha-local 2>/dev/null || true; }
left=$(left_behind formation 10.91.0)
[ -z "$left" ] || fail "left behind: $left"
! losetup -a | grep -F "$layer" || fail "a loop device is left"
refused 'has no servers' 1 pgha status
