#!/bin/sh
# mmdebstrap --essential-hook: runs after the essential packages, before the rest. $1 is the new root.
set -eu
root=$1
here=$(dirname "$0")

# Packages create their daemons' users only where they are missing, so creating them first fixes the numbers.
while read -r name id; do
    echo "$name:x:$id:$id::/var/lib/pgha:/usr/sbin/nologin" >>"$root/etc/passwd"
    echo "$name:x:$id:" >>"$root/etc/group"
    echo "$name:*:20000::::::" >>"$root/etc/shadow"
done <"$here/users.txt"

# No cluster of Debian's own: Patroni runs initdb.
mkdir -p "$root/etc/postgresql-common"
printf 'create_main_cluster = false\nstart_conf = manual\n' >"$root/etc/postgresql-common/createcluster.conf"
