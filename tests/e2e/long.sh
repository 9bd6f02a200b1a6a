#!/usr/bin/env bash
# What takes hours: every scenario of `verify` RUNS times (10), and a paused node PAUSES times (20), under each durability that
# promises to lose nothing. And nodes that let nobody in, at which `apply` looks for a minute each.
. "$(dirname "$0")/lib.sh"

# played DURABILITY SCENARIO... -- N: no promise is broken in N runs of each.
played() {
    local durability=$1 scenarios=()
    shift
    while [ "$1" != -- ]; do scenarios+=(--scenario "$1") && shift; done
    say "$2 runs of each, $durability: ${scenarios[*]:-all that are usual}"
    pgha verify --runs "$2" "${scenarios[@]}" 2>"$work/verify.log" || fail "$(grep -v '^ *[0-9.]* s ' "$work/verify.log")"
}

for durability in quorum strict; do
    new_cluster "long-$durability" 10.83.0
    printf '\n[durability]\nmode = "%s"\n' "$durability" >>"$file"
    form
    played $durability -- "${RUNS:-10}"
    played $durability node-paused node-paused-standby-stalled -- "${PAUSES:-20}"
    for hung in "$(replica)" "$(leader)"; do
        say "$hung lets nobody in, and is booted anew, $durability"
        on "$hung" pkill -STOP -f '^sshd: /usr/sbin/sshd'
        refused "2 of 3 nodes answer (not $hung)" 1 pgha status --exit-code
        grep -q "warning: $hung runs, and does not answer" "$work/out" || fail "$(cat "$work/out")"
        pgha apply --yes >"$work/apply.log" 2>&1 || fail "$(cat "$work/apply.log")"
        grep -q "reboot .*$hung" "$work/apply.log" || fail "$(cat "$work/apply.log")"
        pgha status --exit-code >"$work/status.out" || fail "$(cat "$work/status.out")"
    done
    pgha destroy --yes >/dev/null 2>&1
done
