#!/usr/bin/env bash
# Images: two builds are equal, an unchanged one is found, a damaged or half-written cache is noticed and made good.
. "$(dirname "$0")/lib.sh"
new_cluster image 10.97.0
digest() { jq -r '.images[0] | .package_root.sha256 + " " + .configuration.sha256'; }

say "two builds of the package root are equal, and this machine's own apt does not notice"
touch /var/lib/apt/lists/pgha.canary
pgha build --verify-reproducible >"$work/manifest.json" 2>"$work/build.log" || fail "$(cat "$work/build.log")"
cat "$work/build.log" | grep 'are equal'
rm /var/lib/apt/lists/pgha.canary || fail "the build cleaned this machine's package lists"
before=$(digest <"$work/manifest.json")
configuration=$(jq -r '.images[0].configuration.path' "$work/manifest.json")
root=$(jq -r '.images[0].package_root.path' "$work/manifest.json")
note=$(grep -lF "$root" "$(dirname "$root")"/*.json)

say "what the manifest says is what is on disk"
[ "$(sha256sum <"$root" | cut -d' ' -f1)" = "$(jq -r '.images[0].package_root.sha256' "$work/manifest.json")" ]
[ "$(stat -c %s "$root")" -le 130000000 ] || fail "the package root has $(stat -c %s "$root") bytes, more than its budget"

say "security updates that the package root lacks are named, by what the package source has"
answer=$(dirname "$root")/updates.json
rm -f "$answer" # what an earlier run was told may be a day old
pgha build >/dev/null 2>"$work/build.log"
! grep -q 'have security updates' "$work/build.log" || fail "a root of today lacks something: $(cat "$work/build.log")"
name=$(jq -r --slurpfile root "$note" '[.versions | keys[] | select($root[0].packages[.])][0]' "$answer")
[ "$(jq -r '.asked[:10]' "$answer")" = "$(date -u +%F)" ] && [ "$name" != null ] || fail "it was not asked: $(cat "$answer")"
jq --arg name "$name" '.packages[$name] = "0"' "$note" >"$work/note" && cp "$note" "$work/good.note" && cp "$work/note" "$note"
pgha build >/dev/null 2>"$work/build.log"
cp "$work/good.note" "$note"
grep -q "1 packages of the image have security updates ($name), as of 0 h ago: .pgha build --refresh" "$work/build.log" || fail "$(cat "$work/build.log")"

say "a configuration layer whose bytes changed is made again"
printf x | dd of="$configuration" bs=1 seek=100 conv=notrunc status=none
pgha build 2>"$work/build.log" | digest | grep -qx "$before" || fail "another image: $(cat "$work/build.log")"
grep -q 'its bytes changed' "$work/build.log" || fail "the damage was not noticed"

say "a build that was killed leaves nothing that the next one trusts"
cache=$work/cache
PGHA_CACHE=$cache "$PGHA" -f "$file" build >/dev/null 2>&1 &
pid=$!
sleep 12
kill -KILL $pid && wait $pid 2>/dev/null || true
sleep 1
pgrep -f "$cache" && fail "the build goes on without pgha"
[ -z "$(find "$cache" -name '*.json')" ] || fail "a half-built root counts as built"
[ -n "$(find "$cache/package-roots" -name '.tmp*')" ] || fail "nothing is left to be swept"
PGHA_CACHE=$cache timeout 5 "$PGHA" -f "$file" build >/dev/null 2>&1 || true
[ "$(find "$cache/package-roots" -maxdepth 1 -name '.tmp*' | wc -l)" -le 1 ] || fail "what a killed build left is still there"
# Instead of a third build: a truncated copy of the good one, as a broken disk or download would leave it.
rm -rf "$cache" && mkdir -p "$cache/package-roots" && sed "s#$root#$cache/package-roots/root.squashfs#" "$note" >"$cache/package-roots/$(basename "$note")"
head -c 1000000 "$root" >"$cache/package-roots/root.squashfs"
PGHA_CACHE=$cache timeout 5 "$PGHA" -f "$file" build >/dev/null 2>"$work/build.log" || true
grep -q 'its bytes changed' "$work/build.log" || fail "a truncated package root was taken for good: $(cat "$work/build.log")"
