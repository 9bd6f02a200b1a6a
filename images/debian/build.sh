#!/bin/sh
# Builds the package root: Debian 13 with the daemons, as one squashfs file. Equal inputs give equal bytes.
# usage: build.sh RECIPE_DIR WORK_DIR OUT.squashfs tmpfs|disk
#
# RECIPE_DIR holds packages.txt, users.txt, the two hooks and Patroni's wheel. Writes OUT.squashfs and OUT.packages,
# a line "name version" for each installed package. Run as root, in a mount namespace of its own (unshare --mount).
set -eu
recipe=$1 work=$2 out=$3

# Unpacking 8,000 small files is what takes the time: in memory it is three times as fast.
[ "$4" = disk ] || mount -t tmpfs -o size=3g,mode=755 tmpfs "$work"

# Any fixed time will do: files that are newer get it.
export SOURCE_DATE_EPOCH=1751328000 TMPDIR="$work" LC_ALL=C.UTF-8
packages=$(paste -sd, "$recipe/packages.txt")

mmdebstrap --mode=root --variant=apt --format=tar --include="$packages" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "5"' \
    --dpkgopt=force-confold --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/lib/postgresql/*/lib/bitcode/*' \
    --essential-hook="$recipe/essential.sh" --customize-hook="$recipe/customize.sh" \
    --customize-hook="chroot \"\$1\" dpkg-query --show --showformat='\${Package} \${Version}\n' >'$out.packages'" \
    trixie "$work/root.tar"

echo "I: compressing..." >&2
mksquashfs - "$out" -tar -comp zstd -Xcompression-level 9 -reproducible -noappend -no-progress -quiet <"$work/root.tar" >&2
