# shellcheck shell=bash
# Sourced by roll.sh: an `apply` that is stopped once in every step it begins, and run again until one ends by itself.
# Reproducible as far as the moment within the step goes: the same SEED gives the same.

# The step under way, if it was begun after line $1. The rebuilds done before tell one gate from another.
step_under_way() {
    jq -sr --argjson from "$1" '([.[] | select(.what == "done" and .step.action == "rebuild")] | length) as $rebuilt
        | select(length > $from and .[-1].what == "begun") | "\($rebuilt) rebuilt, \(.[-1].step | del(.cost) | tojson)"' "$journal"
}

apply_stopped_at_every_step() {
    RANDOM=${SEED:=$(date +%s)} && say "SEED=$SEED"
    local journal=${file%.toml}.secrets/journal.jsonl signals=(INT KILL) times=0 refusals=0 from step pid status wanted
    : >"$work/stopped"
    while :; do
        from=$(wc -l <"$journal")
        # bash starts background jobs with SIGINT ignored, which nothing that it starts could undo but this.
        env --default-signal=INT "$PGHA" -f "$file" apply --yes >"$work/apply.log" 2>&1 &
        pid=$! status=0
        while kill -0 $pid 2>/dev/null; do
            step=$(step_under_way "$from") || step=
            if [ -n "$step" ] && ! grep -qxF -- "$step" "$work/stopped"; then
                sleep "0.$((RANDOM % 10))"
                kill -s "${signals[RANDOM % 2]}" $pid 2>/dev/null && echo "$step" >>"$work/stopped" && times=$((times + 1))
                break
            fi
            sleep 0.1
        done
        wait $pid 2>/dev/null || status=$?
        [ $status != 0 ] || break
        # A node on its way down is not what was planned for, so a few refusals are due.
        [ $status -gt 128 ] || refusals=$((refusals + 1))
        [ $refusals -le 5 ] && [ $times -lt 40 ] || fail "$(cat "$work/apply.log")"
    done
    # Each gate counts alone: it carries the number of nodes that were rebuilt before. Nothing is left to be declared once the
    # last gate has been stopped.
    for wanted in 3:rebuild 4:gate 1:switchover; do
        [ "$(grep -c "\"action\":\"${wanted#*:}\"" "$work/stopped")" -ge "${wanted%:*}" ] || fail "stopped in less than ${wanted/:/ times }: $(cat "$work/stopped")"
    done
    echo "stopped $times times"
}
