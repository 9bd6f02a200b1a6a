#!/bin/sh
# Asks the package source which packages of the package root it has from a security archive today. Installs nothing.
# usage: updates.sh RECIPE_DIR OUT
#
# OUT gets a line "name version" for each of them.
set -eu
recipe=$1 out=$2
packages=$(paste -sd, "$recipe/packages.txt")

# It names the archives a package comes from only in apt's own words: Inst NAME (VERSION ARCHIVE, ARCHIVE [amd64])
mmdebstrap --simulate --verbose --mode=root --variant=apt --format=null --include="$packages" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::http::Timeout "10"' trixie /dev/null >"$out.log" 2>&1 ||
    { tail -n 5 "$out.log" >&2; exit 1; }
grep -q '^Inst libc6 ' "$out.log" || { echo "mmdebstrap names no package" >&2; exit 1; }
sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) [^)]*Debian-Security[^)]*).*/\1 \2/p' "$out.log" >"$out"
