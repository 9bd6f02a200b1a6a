#!/usr/bin/env bash
# What takes hours: every scenario of `verify` RUNS times (10), and a paused node PAUSES times (20), under each durability that
# promises to lose nothing.
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
    pgha destroy --yes >/dev/null 2>&1
done
