#!/usr/bin/env bash
# The Debian base as a raw disk in a machine with a kernel and a firmware of its own: under BIOS and UEFI, on virtio-blk and
# virtio-scsi, with its seed from a metadata service as on Hetzner Cloud. It takes the place of one node of a local cluster.
# QEMU emulates the processor here, so everything is slow: the preset is wide, and every wait is bounded. Seen between SSH and a
# started etcd: 30 s on a quiet machine, 200 s on one that was two and a half times as slow and ran three clusters beside it. There
# a login by SSH took longer than the 4 s after which a node counts as silent, so a client says whether this one is whole, not status.
# usage: tests/e2e/machine.sh [all]    all: also the refusals that tests/node/run shows without a machine
. "$(dirname "$0")/lib.sh"
new_cluster machine 10.94.0
sed -i 's/"fast"/"wide"/' "$file"
space=pgha-machine
vm=""
helpers=()
stop_vm() { [ -z "$vm" ] || { kill "$vm" 2>/dev/null && wait "$vm" 2>/dev/null; vm=""; } || true; }
trap 'status=$?; stop_vm; for helper in "${helpers[@]}"; do kill "$helper" 2>/dev/null || true; done; clean_up "$status"' EXIT

disk() { pgha build --disk 2>/dev/null | jq -r '.images[0].disk.path'; }
# A login that the emulated processor was too slow for is tried again.
on() {
    local status
    for _ in $(seq 12); do
        status=0 && pgha ssh "$1" -- "${@:2}" || status=$?
        [ $status = 255 ] || break
        sleep 5
    done
    return $status
}
serial() { sed 's/\x1b\[[0-9;]*m//g' "$work/serial"; }

# boot FIRMWARE BUS SYSTEM_DISK DATA_DISK: a machine with the address of node-3, on the cluster's switch.
boot() {
    local devices=(-drive "if=none,id=system,format=raw,snapshot=on,file=$3" -drive "if=none,id=data,format=raw,file=$4")
    case $2 in
        virtio-blk) devices+=(-device "virtio-blk-pci,drive=system" -device "virtio-blk-pci,drive=data") ;;
        virtio-scsi) devices+=(-device virtio-scsi-pci -device "scsi-hd,drive=system" -device "scsi-hd,drive=data") ;;
    esac
    if [ "$1" = uefi ]; then
        cp /usr/share/OVMF/OVMF_VARS_4M.fd "$work/vars"
        devices+=(-drive "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd" -drive "if=pflash,format=raw,file=$work/vars")
    fi
    : >"$work/serial"
    # One processor: before QEMU 8.1 a second one could run code that the first had not translated anew yet, and a kernel that
    # patches itself at boot panicked with `Oops: int3` (QEMU cb62bd15, deba7870: pages are locked before translation).
    ip netns exec $space qemu-system-x86_64 -accel tcg -m 1024 -smp 1 -display none -monitor none -no-reboot \
        -serial "file:$work/serial" -smbios type=1,manufacturer=Hetzner "${devices[@]}" \
        -netdev tap,id=net,ifname=tap0,script=no,downscript=no -device virtio-net-pci,netdev=net,mac=52:54:00:00:00:13 </dev/null &
    vm=$!
}

# within SECONDS WHAT COMMAND...
within() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || fail "not in time: $what; the console ends with: $(serial | tail -n 30)"
        sleep 5 # each look costs the machine seconds of its processor
    done
}
says() { serial | grep -q "$1"; }
# Another node is asked.
streams() {
    [ "$(on node-1 curl -sk --cert /run/pgha/tls/patroni.crt --key /run/pgha/tls/patroni.key https://127.0.0.1:8008/cluster |
        jq -r '.members[] | select(.name == "node-3").state')" = streaming ]
}
leads() { [ "$(pgha status --json | jq .healthy)" = true ]; }
# A client of this machine alone writes, and reads from a replica: its HAProxy and its poolers found both.
serves() {
    local at="host=10.94.0.13 user=app dbname=app sslmode=require"
    psql -XAtqc 'insert into kept values (0)' "$at port=5000" && [ "$(psql -XAtqc 'select pg_is_in_recovery()' "$at port=5001")" = t ] &&
        psql -XAtqc 'delete from kept where i = 0' "$at port=5000"
}
served() { [ "$(rows)" = 1000 ]; }
rows() { on node-3 runuser -u postgres -- /etc/pgha/bin/psql -XAtqh /run/postgresql -d app -c 'select count(*) from kept'; }

say "a disk of each role set, the same bytes from the same inputs"
began=$SECONDS
first=$(disk)
echo "disk: $((SECONDS - began)) s with what was cached"
pgha build --disk 2>&1 >"$work/manifest.json" | sed -n '/^  disk/,$p'
jq -e --argjson bytes "$(zstd -qc "$first" | wc -c)" '.images[0].disk.compressed / $bytes | . > 0.99 and . < 1.01' "$work/manifest.json" >/dev/null ||
    fail "not its size after zstd: $(cat "$work/manifest.json")"
sed 's/^\[cluster\]/[image]\nsize_budget_mb = 100\n&/' "$file" >"$work/tight"
refused 'its budget is 100 MB; the most take: package root' 1 "$PGHA" -f "$work/tight" build --disk
sum=$(sha256sum <"$first")
rm "$first"
[ "$(sha256sum <"$(disk)")" = "$sum" ] || fail "the second disk differs"

say "a cluster, and a switch with DHCP and metadata for the machine that takes the place of node-3"
form
sql 'create table kept (i int); insert into kept select generate_series(1, 1000); grant all on kept to app' >/dev/null
PGPASSWORD=$(cat "${file%.toml}.secrets/passwords/app")
export PGPASSWORD
[ "$(leader)" != node-3 ] || { pgha switchover --to node-1 2>/dev/null && within 60 "a new leader" leads; }
uuid=$(on node-3 jq -r .filesystem /run/pgha/identity.json)
on node-3 systemctl stop pgha-guard patroni etcd
cut_power node-3
ip netns del $space.node-3
ip -n $space tuntap add tap0 mode tap
ip -n $space link set tap0 master br0 up
ip -n $space addr add 10.94.0.2/24 dev br0
ip -n $space addr add 169.254.169.254/32 dev br0
ip netns exec $space dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --port=0 --interface=br0 --bind-interfaces --leasefile-ro \
    --dhcp-range=10.94.0.13,static --dhcp-host=52:54:00:00:00:13,10.94.0.13 --dhcp-option=3,10.94.0.2 --pid-file= >/dev/null 2>&1 &
helpers+=($!)
mkdir -p "$work/metadata/hetzner/v1"
ip netns exec $space python3 -m http.server --bind 169.254.169.254 --directory "$work/metadata" 80 >/dev/null 2>&1 &
helpers+=($!)
pgha seed node-3 --out "$work/metadata/hetzner/v1/userdata" 2>/dev/null
mkfs.ext4 -q -U "$uuid" -d "$work/state/machine/nodes/node-3/data" "$work/data" 3G

say "under UEFI, on virtio-scsi: node-3 is back with its data, and keeps the contract"
began=$SECONDS
boot uefi virtio-scsi "$first" "$work/data"
within 480 "SSH" pgha ssh node-3 -- true
echo "SSH after $((SECONDS - began)) s"
within 480 "node-3 streaming" streams
within 240 "a client of node-3" serves
echo "serves clients after $((SECONDS - began)) s"
on node-3 sh /etc/pgha/lib/pgha-contract || fail "the contract is broken"
[ "$(rows)" = 1000 ] || fail "node-3 has $(rows) rows"
on node-3 grep -q Hetzner /sys/class/dmi/id/sys_vendor

say "its system cannot be changed, and its metadata is closed to all but root"
on node-3 sh -c '! touch /sysroot-test 2>/dev/null || rm /sysroot-test; ! mount -o remount,rw /layers/packages 2>/dev/null; touch /etc/forgotten'
on node-3 curl -sf --max-time 5 -o /dev/null http://169.254.169.254/hetzner/v1/userdata
closed=0
on node-3 runuser -u postgres -- curl -sf --max-time 5 http://169.254.169.254/hetzner/v1/userdata >"$work/out" || closed=$?
[ "$closed" = 28 ] && [ ! -s "$work/out" ] || fail "postgres reads the metadata (exit code $closed)"

say "under BIOS, on virtio-blk, from another build of the system disk: data, address and membership stay"
members() { etcdctl_on node-1 member list; }
before=$(members)
stop_vm
printf '\n[haproxy]\nmaxconn = 5000\n' >>"$file"
second=$(disk)
[ "$second" != "$first" ]
began=$SECONDS
boot bios virtio-blk "$second" "$work/data"
within 480 "SSH" pgha ssh node-3 -- true
echo "SSH after $((SECONDS - began)) s"
within 480 "its data served again" served
within 240 "node-3 streaming" streams
on node-3 grep -q 'maxconn 5000' /etc/pgha/haproxy.cfg || fail "the old system booted"
on node-3 test ! -e /etc/forgotten || fail "something outside the data volume survived"
[ "$(members)" = "$before" ] || fail "etcd's members changed: $(members)"

blank_disk() { rm -f "$work/data" && truncate -s 2G "$work/data"; }
stop_vm
if [ "${1:-}" = all ]; then
    say "another node's volume is refused, and left as it is"
    e2fsck -p "$work/data" >/dev/null || true # its power was cut: the journal comes first
    debugfs -R 'cat owner.json' "$work/data" 2>/dev/null | sed 's/machine-node-3/machine-node-9/' >"$work/owner"
    debugfs -w -R 'rm owner.json' "$work/data" 2>/dev/null
    debugfs -w -R "write $work/owner owner.json" "$work/data" 2>/dev/null
    boot uefi virtio-blk "$second" "$work/data"
    within 480 "a refusal on the console" says 'pgha-data: refused: the data volume belongs to volume machine-node-9'

    say "a blank disk is refused without word from the plan"
    stop_vm
    blank_disk
    boot bios virtio-scsi "$second" "$work/data"
    within 480 "a refusal on the console" says 'pgha-volume: refused: no disk holds the data volume machine-node-3'
    stop_vm
    [ "$(tr -d '\0' <"$work/data" | wc -c)" = 0 ] || fail "something was written to the blank disk"
fi

say "a blank disk is formatted with a word from the plan"
blank_disk
pgha seed node-3 --new-volume --out "$work/metadata/hetzner/v1/userdata" 2>/dev/null
boot uefi virtio-blk "$second" "$work/data"
within 480 "a mounted volume" says 'Finished.*pgha-data.service'
sleep 3
stop_vm
[ "$(blkid -o value -s UUID "$work/data")" = "$uuid" ] || fail "the new volume has another UUID"
debugfs -R 'cat owner.json' "$work/data" 2>/dev/null | jq -e '.volume == "machine-node-3"' >/dev/null || fail "the new volume has no owner"
