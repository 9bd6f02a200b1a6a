#!/bin/sh
# mmdebstrap --customize-hook: runs last. $1 is the finished root. Makes it free of identity, smaller and reproducible.
set -eu
root=${1:?the new root}
here=$(dirname "$0")
lib=$root/usr/lib/x86_64-linux-gnu

# Patroni from its own wheel, in front of Debian's copy.
python3 -m zipfile -e "$here"/patroni-*.whl "$root/usr/local/lib/python3.13/dist-packages/"
for change in "$here"/patroni-*.patch; do
    patch --silent --strip=1 --directory="$root/usr/local/lib/python3.13/dist-packages" <"$change"
done
chroot "$root" python3 -m compileall -q -j 2 --invalidation-mode unchecked-hash /usr/local/lib/python3.13/dist-packages
rm -rf "$root/usr/lib/python3/dist-packages/patroni"

# Keys made at install time would be the same secret in every image.
rm -f "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub
rm -f "$root"/etc/ssl/certs/ssl-cert-snakeoil.pem "$root"/etc/ssl/private/ssl-cert-snakeoil.key
find "$root/etc/ssl/certs" -xtype l -delete

# Nothing starts by itself: the configuration layer enables what a role set needs.
find "$root/etc/systemd/system" -mindepth 2 -type l -delete
for unit in systemd-logind systemd-networkd-wait-online getty.target console-getty fstrim.timer dpkg-db-backup.timer \
    apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer motd-news.timer systemd-hwdb-update ldconfig; do
    case $unit in *.*) ;; *) unit=$unit.service ;; esac
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
ln -sf /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"

# JIT is off (jit = off), so its 130 MB are not needed; nor are Perl's modules, of which only Debian's wrappers make use.
rm -f "$lib"/libLLVM* "$lib"/libz3.so* "$root"/usr/lib/postgresql/*/lib/llvmjit*
rm -rf "$root"/usr/lib/postgresql/*/lib/bitcode "$root"/usr/share/perl "$lib/perl" "$root/usr/share/perl5"
rm -rf "$root"/usr/lib/python3.13/test "$root"/usr/lib/python3.13/ensurepip "$root"/usr/lib/python3.13/pydoc_data
rm -rf "$root"/usr/lib/udev/hwdb.d "$root"/usr/lib/udev/hwdb.bin "$root"/usr/share/i18n "$lib/gconv"
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/usr/share/info "$root"/usr/share/lintian
rm -rf "$root"/usr/share/bash-completion "$root"/usr/share/zsh "$root"/usr/share/bug "$root"/usr/share/pixmaps
rm -rf "${root:?}/boot" "${root:?}/media" "$root/usr/games"

# Root needs no bit to become root, and nobody else is to.
find "$root" -xdev -type f -perm /6000 -exec chmod u-s,g-s {} +

# What differs from build to build. Not /tmp: mmdebstrap keeps apt's configuration there until it has cleaned up, and without it
# apt would clean this machine's lists and cache. It empties /tmp itself.
rm -rf "$root"/var/cache/* "$root"/var/log/* "$root"/var/lib/apt/lists/* "$root"/etc/*-
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id"
rm -f "$root/etc/hostname"
: >"$root/etc/resolv.conf"
mkdir -p "$root/var/lib/pgha" "$root/etc/pgha" "$root/boot"
