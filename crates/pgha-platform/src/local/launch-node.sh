#!/bin/sh
# Boots one node as a systemd-nspawn container and becomes it.
# usage: launch-node.sh MACHINE PACKAGE_ROOT CONFIGURATION RUN_DIR DATA_DIR SEED HOST_NAME
# MACHINE is also the name of its control group and of its network namespace.
set -eu
machine=$1

# A cgroup of its own in every hierarchy systemd uses, or nspawn would share the root's with the other nodes.
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    [ -e "$hierarchy/cgroup.procs" ] || continue
    mkdir -p "$hierarchy/$machine"
    echo $$ >"$hierarchy/$machine/cgroup.procs"
done

# In a mount namespace of its own, so that every mount ends with the node. The loop device of the package root is
# shared by all nodes (mount finds the one in use), and with it the page cache.
# unshare and systemd-nspawn keep this number.
echo $$ >"$4/pid"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
# shellcheck disable=SC2016 # the inner shell expands them
exec unshare --mount --propagation private -- /bin/sh -euc '
    mkdir -p "$4/base" "$4/config" "$4/volatile" "$4/root"
    # One at a time: two mounts at once would not see each other and make a loop device each.
    flock "$2" mount -t squashfs -o loop,ro "$2" "$4/base"
    flock "$3" mount -t squashfs -o loop,ro "$3" "$4/config"
    mount -t tmpfs -o mode=755 tmpfs "$4/volatile"
    # What "upper" has is what the root of the node has: a caller may not decide on it.
    mkdir -m 755 "$4/volatile/upper" "$4/volatile/work"
    mount -t overlay -o "lowerdir=$4/config:$4/base,upperdir=$4/volatile/upper,workdir=$4/volatile/work" overlay "$4/root"
    # The container binds it with these options. On itself: nothing of the volume is to be found below the run directory, which
    # is removed with all it holds.
    mount -o bind,nosuid,nodev "$5" "$5"
    exec systemd-nspawn --quiet --boot --register=no --keep-unit --kill-signal=SIGRTMIN+3 \
        --directory="$4/root" --machine="$1" --hostname="$7" --network-namespace-path="/run/netns/$1" --capability=CAP_NET_ADMIN \
        --link-journal=no --resolv-conf=off --timezone=off --console=pipe \
        --load-credential="pgha.seed:$6" --bind="$5:/var/lib/pgha" systemd.show_status=no
' launch-node "$@"
