#!/usr/bin/env bash
# Who opens connections and has no proof stops nobody, and status goes on telling the truth.
. "$(dirname "$0")/lib.sh"
new_cluster strangers 10.87.0
printf "\n[pgbouncer]\ndefault_pool_size = 30\n" >>"$file" # so that one address has no place for more than 120 at PostgreSQL
form

# COUNT SECONDS WORDS DOOR...: keeps COUNT connections open to each ADDRESS:PORT, says WORDS (hexadecimal) on each and then nothing,
# and opens anew what is closed. Prints the most that were open to each at once.
cat >"$work/silent.py" <<'PYTHON'
import resource, selectors, socket, sys, time

# 1,024 files are the usual limit.
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
count, seconds, words, doors = int(sys.argv[1]), float(sys.argv[2]), bytes.fromhex(sys.argv[3]), sys.argv[4:]
selector, begun, held, most = selectors.DefaultSelector(), dict.fromkeys(doors, 0), dict.fromkeys(doors, 0), dict.fromkeys(doors, 0)


def begin(door):
    connection = socket.socket()
    connection.setblocking(False)
    address, port = door.rsplit(":", 1)
    connection.connect_ex((address, int(port)))
    begun[door] += 1
    selector.register(connection, selectors.EVENT_WRITE, door)


def go_on(key):
    """Speaks once the connection is there. Raises, or returns nothing, when it is gone."""
    if key.events == selectors.EVENT_READ:
        return key.fileobj.recv(4096)
    if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        return b""
    key.fileobj.send(words)
    selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
    held[key.data] += 1
    most[key.data] = max(most[key.data], held[key.data])
    return True


def end(key):
    held[key.data] -= key.events == selectors.EVENT_READ
    begun[key.data] -= 1
    selector.unregister(key.fileobj)
    key.fileobj.close()


finish = time.monotonic() + seconds
while time.monotonic() < finish:
    for door in doors:
        for _ in range(min(100, count - begun[door])):
            begin(door)
    pause = time.monotonic() + 0.2
    while time.monotonic() < pause:
        for key, _ in selector.select(max(0, pause - time.monotonic())):
            try:
                alive = go_on(key)
            except OSError:
                alive = False
            if not alive:
                end(key)
# In one piece: several of these share a file.
sys.stdout.write("".join(f"{door} {most[door]}\n" for door in doors))
PYTHON
jobs=()
# silent COMMAND... -- ARGUMENTS: in the background, started by this command.
silent() {
    local prefix=()
    while [ "$1" != -- ]; do prefix+=("$1") && shift; done
    shift
    "${prefix[@]}" /usr/bin/python3 - "$@" <"$work/silent.py" >>"$work/held" &
    jobs+=($!)
}
# most DOOR LEAST MOST: how many connections to it were open at once.
most() {
    local found
    found=$(awk -v door="$1" '$1 == door {print $2}' "$work/held" | sort -n | tail -n 1)
    [ -n "$found" ] && [ "$found" -ge "$2" ] && [ "$found" -le "$3" ] || fail "$1 held $found, not $2 to $3: $(cat "$work/held")"
}

# A host in the clients' network. It ends with its process, even if nobody ends it.
unshare --net sleep 600 &
stranger=$!
for _ in $(seq 50); do [ "$(readlink /proc/$stranger/ns/net)" = "$(readlink /proc/$$/ns/net)" ] || break; sleep 0.1; done
ip -n pgha-strangers link add stranger type veth peer name eth0 netns $stranger
ip -n pgha-strangers link set stranger master br0 up
as_stranger=(nsenter "--net=/proc/$stranger/ns/net")
"${as_stranger[@]}" ip addr add 10.87.0.200/24 dev eth0
"${as_stranger[@]}" ip link set eth0 up
# The ports that are the nodes' own see it as a node that only routes.
for node in node-1 node-2 node-3; do on $node nft add element inet pgha nodes '{ 10.87.0.200 }'; done

sql 'create table written (at timestamptz default now())'
# writes SECONDS: new sessions write through the DSN; prints the longest time without an acknowledged row, in milliseconds.
writes() {
    local end=$((SECONDS + $1)) last now longest=0
    last=$(date +%s%3N)
    while [ $SECONDS -lt $end ]; do
        PGPASSWORD=$(cat "${file%.toml}.secrets/passwords/app") timeout 10 psql -XqAt -c 'insert into written default values' \
            "host=10.87.0.11,10.87.0.12,10.87.0.13 port=5000 dbname=app user=app target_session_attrs=read-write connect_timeout=3 sslmode=require" || continue
        now=$(date +%s%3N)
        [ $((now - last)) -le $longest ] || longest=$((now - last))
        last=$now
        sleep 0.2
    done 2>>"$work/writes.err"
    now=$(date +%s%3N)
    [ $((now - last)) -le $longest ] || longest=$((now - last))
    echo $longest >"$work/longest"
}
# What status says of the change above, and nothing else.
changed=$(pgha status --json | jq -r '[.conditions[] | select(.met | not).text] | join("\n")') || true
[[ $changed == "nodes are not what they booted"* ]] && [[ $changed != *$'\n'* ]] || fail "after a change of the firewalls: $changed"
# well: healthy, but for that.
well() {
    pgha status --json >"$work/status.json" || true
    jq -e --arg changed "$changed" '[.conditions[] | select(.met or .text == $changed | not)] == []' "$work/status.json" >/dev/null
}
started() { as_postgres "$1" 'select pg_postmaster_start_time()'; }

# unharmed: while an attack of 60 s runs, writes go on and status says so; PostgreSQL is not restarted.
unharmed() {
    local lead since writer deaths until=$((SECONDS + 55))
    lead=$(leader)
    deaths=$(for node in node-1 node-2 node-3; do killed $node; done)
    since=$(started "$lead")
    writes 58 &
    writer=$!
    while [ $SECONDS -lt $until ]; do
        # One look may meet a machine that is busy with the attack.
        well || well || fail "not healthy: $(jq .conditions "$work/status.json")"
        sleep 3
    done
    wait $writer "${jobs[@]}"
    jobs=()
    [ "$(started "$lead")" = "$since" ] || fail "PostgreSQL of the leader was restarted"
    [ "$(for node in node-1 node-2 node-3; do killed $node; done)" = "$deaths" ] || fail "daemons were killed that had no place for others"
    [ "$(cat "$work/longest")" -lt 7000 ] || fail "no row for $(cat "$work/longest") ms: $(sort "$work/writes.err" | uniq -c)"
    say "  longest time without a row: $(cat "$work/longest") ms"
}

lead=$(leader)
host=$(address "$lead")
as_postgres "$lead" "alter role app set work_mem = '7MB'"
as_postgres "$lead" 'create database gone owner app'
pgha psql -d gone -- -Xqc 'select 1' >/dev/null

say "silent connections to every port, from one address: 2,000 to a pooler, 130 to SSH, 2,000 to etcd, ..."
silent "${as_stranger[@]}" -- 2000 60 "" 10.87.0.{11,12,13}:5000
silent "${as_stranger[@]}" -- 1010 60 "" 10.87.0.{11,12,13}:{5010,5011}
silent "${as_stranger[@]}" -- 130 60 "" 10.87.0.{11,12,13}:22
silent "${as_stranger[@]}" -- 2000 60 "" "$host:2379" "$host:2380" "$host:2382"
silent "${as_stranger[@]}" -- 1500 60 "" 10.87.0.{11,12,13}:7000
silent "${as_stranger[@]}" -- 1010 60 "" 10.87.0.{11,12,13}:{8008,5432}
# A user of the leader's own who is no daemon.
silent ip netns exec "pgha-strangers.$lead" setpriv --reuid=65534 --regid=65534 --clear-groups -- 200 60 "" "$host:8008" 127.0.0.1:8008 127.0.0.1:2379
unharmed
[ "$(sql 'show work_mem')" = 7MB ] || fail "what a role was given a minute ago does not reach its new clients"
as_postgres "$lead" 'alter role app reset work_mem'
as_postgres "$lead" 'drop database gone' || fail "a session that no client uses keeps a database from being dropped"
most "$host:5000" 1010 1600
most "$host:5010" 8 16
most "$host:22" 40 64
for port in 2379 2380 2382; do most "$host:$port" 32 32; done
most "$host:7000" 32 32
most "$host:8008" 16 16
most "$host:5432" 100 120
most 127.0.0.1:8008 0 0

say "half of a login to every pooler, half of a handshake to Patroni and the statistics"
: >"$work/held"
silent "${as_stranger[@]}" -- 1010 60 0000000804d2162f 10.87.0.{11,12,13}:{5000,5001,5010,5011}
silent "${as_stranger[@]}" -- 500 60 16030100f8 10.87.0.{11,12,13}:{8008,7000}
unharmed
most "$host:5000" 100 1600
most "$host:5010" 8 16
most "$host:8008" 16 16

say "a Patroni whose every thread is taken is no reason for the guard"
since=$(started "$lead")
silent ip netns exec "pgha-strangers.$lead" -- 200 25 "" 127.0.0.1:8008
sleep 20
unhealthy 'HAProxy route'
[ "$(on "$lead" cat /run/pgha-guard/state)" = confirmed ] || fail "the guard says $(on "$lead" cat /run/pgha-guard/state)"
wait "${jobs[@]}"
for _ in $(seq 60); do ! well || break; sleep 0.5; done
well || fail "not healthy: $(jq .conditions "$work/status.json")"
[ "$(leader)" = "$lead" ] && [ "$(started "$lead")" = "$since" ] || fail "the leader was stopped"
kill $stranger
for node in node-1 node-2 node-3; do on $node nft delete element inet pgha nodes '{ 10.87.0.200 }'; done
healthy
