#!/bin/sh
# Builds what only a real machine needs beside the package root: kernel, initial RAM disk, and a layer with its modules.
# usage: machine.sh RECIPE_DIR WORK_DIR OUT_DIR
# Writes OUT_DIR/{kernel,initrd,machine.squashfs,packages}. Run as root, in a mount namespace of its own.
set -eu
recipe=$1 work=$2 out=$3
export SOURCE_DATE_EPOCH=1751328000 TMPDIR="$work" LC_ALL=C.UTF-8

# Only unpacked: nothing of it is installed, so no script of a package runs.
mmdebstrap --mode=root --variant=extract --format=directory --include="$(grep -v '^#' "$recipe/machine.txt" | paste -sd,)" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "5"' \
    trixie "$work/unpacked"
version=$(ls "$work/unpacked/usr/lib/modules")
echo "linux $version" >"$out/packages"

echo "I: making the machine layer..." >&2
mkdir -p "$work/layer/usr/lib/modules"
mv "$work/unpacked/usr/lib/modules/$version" "$work/layer/usr/lib/modules/"
depmod -b "$work/layer/usr" "$version"
cp -r "$recipe/machine/." "$work/layer/"
# systemd-networkd and the reading of kernel messages start on machines alone; a container has its network from outside.
mkdir -p "$work/layer/etc/systemd/system/multi-user.target.wants" "$work/layer/etc/systemd/system/sockets.target.wants"
ln -s /usr/lib/systemd/system/systemd-networkd.service "$work/layer/etc/systemd/system/multi-user.target.wants/"
ln -s /usr/lib/systemd/system/systemd-networkd.socket "$work/layer/etc/systemd/system/sockets.target.wants/"
mksquashfs "$work/layer" "$out/machine.squashfs" -comp zstd -Xcompression-level 9 -all-root -reproducible \
    -noappend -no-progress -quiet >&2

echo "I: making the initial RAM disk..." >&2
initrd=$work/initrd
mkdir -p "$initrd/bin" "$initrd/modules"
cp "$work/unpacked/usr/bin/busybox" "$initrd/bin/"
cp "$recipe/machine-init" "$initrd/init"
chmod 755 "$initrd/init"
# In the order they must be loaded. What is built in has no file.
number=10
for module in lib/crc-t10dif drivers/virtio/virtio_pci drivers/block/virtio_blk drivers/scsi/scsi_common drivers/scsi/scsi_mod \
    drivers/scsi/virtio_scsi drivers/scsi/sd_mod fs/squashfs/squashfs fs/overlayfs/overlay; do
    file=$work/layer/usr/lib/modules/$version/kernel/$module.ko.xz
    [ ! -e "$file" ] || xz -dc "$file" >"$initrd/modules/$number-$(basename "$module").ko"
    number=$((number + 1))
done
find "$initrd" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$initrd" && find . -print0 | LC_ALL=C sort -z | cpio --quiet --reproducible -0 -o -H newc -R 0:0) | zstd -q -19 >"$out/initrd"
cp "$work/unpacked/boot/vmlinuz-$version" "$out/kernel"
