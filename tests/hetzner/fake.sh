# shellcheck shell=bash
# Sourced: the fake of Hetzner's API, on loopback.

fail() { echo "FAILED: $*" && exit 1; }

# the_fake TOKEN [ARGUMENT...]: starts it; $url is where it listens, $fake its number.
the_fake() {
    target/debug/hetzner-fake --token "$@" >"$work/url" &
    # shellcheck disable=SC2034 # whoever sources this ends it
    fake=$!
    for _ in $(seq 200); do [ ! -s "$work/url" ] || break; sleep 0.1; done
    url=$(cat "$work/url")
    [ -n "$url" ] || fail "the fake does not listen"
}
