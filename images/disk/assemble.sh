#!/bin/sh
# Writes one raw disk image that boots under BIOS and under UEFI. Equal inputs give equal bytes; no mount, no loop device.
# usage: assemble.sh WORK OUT.raw KERNEL INITRD COMMAND_LINE NAME=FILE...
#
# Each NAME=FILE becomes a partition with FILE's bytes, labelled pgha-ID-NAME, where ID is IMAGE_ID (eight hexadecimal
# digits), or else the digest of everything that goes in. The word @ID@ of COMMAND_LINE becomes that ID, so a kernel finds the partitions of its own image even beside
# another image's.
# Needs grub-mkimage with both platforms (GRUB_DIR, default /usr/lib/grub), mkfs.vfat, mcopy and sfdisk.
set -eu
work=$1 out=$2 kernel=$3 initrd=$4 command_line=$5
shift 5
grub=${GRUB_DIR:-/usr/lib/grub}
case $(uname -m) in aarch64) efi=arm64 loader=BOOTAA64.EFI ;; *) efi=x86_64 loader=BOOTX64.EFI ;; esac
# Any fixed time will do.
export SOURCE_DATE_EPOCH=1751328000 TZ=UTC LC_ALL=C
mib=1048576

mkdir -p "$work"
id=${IMAGE_ID:-$( (sha256sum <"$kernel" && sha256sum <"$initrd" && echo "$command_line" && for part; do sha256sum <"${part#*=}"; done) | sha256sum | cut -c1-8)}

# --- boot loader: one grub.cfg for both firmwares
esp=$work/esp
rm -rf "$esp"
mkdir -p "$esp/EFI/BOOT" "$esp/boot"
cp "$kernel" "$esp/boot/kernel"
cp "$initrd" "$esp/boot/initrd"
cat >"$esp/boot/grub.cfg" <<CFG
linux /boot/kernel $(echo "$command_line" | sed "s/@ID@/$id/g")
initrd /boot/initrd
boot
CFG
modules="part_gpt fat normal configfile linux echo"
# The FAT's own number, not "the disk we came from": firmware numbers disks as it likes.
cat >"$work/embedded.cfg" <<CFG
search.fs_uuid $(echo "$id" | sed 's/\(....\)\(....\)/\1-\2/' | tr a-f A-F) root
configfile (\$root)/boot/grub.cfg
CFG
# shellcheck disable=SC2086 # a list of words
grub-mkimage -d "$grub/$efi-efi" -O "$efi-efi" -c "$work/embedded.cfg" -p /boot -o "$esp/EFI/BOOT/$loader" $modules search_fs_uuid
find "$esp" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
# Content, a tenth for the FAT's own tables, and whole mebibytes.
esp_bytes=$(cat "$esp/boot/kernel" "$esp/boot/initrd" "$esp/EFI/BOOT/$loader" | wc -c)
esp_mib=$((esp_bytes * 11 / 10 / mib + 3))
rm -f "$work/esp.img"
# --invariant sets a volume id of its own, so -i must come after it.
mkfs.vfat -C --invariant -F 16 -n PGHA -i "$id" "$work/esp.img" $((esp_mib * 1024)) >/dev/null
mcopy -Qmsi "$work/esp.img" "$esp/EFI" "$esp/boot" ::/

# --- partition table
uuid() { echo "$id-$1" | sha256sum | sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.\{12\}\).*/\1-\2-4\3-8\4-\5/'; }
size_mib() { echo $((($(stat -Lc %s "$1") + mib - 1) / mib)); }
{
    echo "label: gpt"
    echo "label-id: $(uuid disk)"
    echo "first-lba: 2048"
    start=1
    line() {
        echo "start=$((start * 2048)), size=$(($2 * 2048)), type=$3, uuid=$(uuid "$1"), name=pgha-$id-$1"
        start=$((start + $2))
    }
    line bios 1 21686148-6449-6E6F-744E-656564454649
    line esp "$esp_mib" C12A7328-F81F-11D2-BA4B-00A0C93EC93B
    for part; do line "${part%%=*}" "$(size_mib "${part#*=}")" 0FC63DAF-8483-4772-8E79-3D69D8477DE4; done
    # The backup table lives in the last sectors.
    echo "$((start + 1))" >"$work/size"
} >"$work/table"
rm -f "$out"
truncate -s "$(cat "$work/size")M" "$out"
sfdisk --quiet --no-reread --no-tell-kernel "$out" <"$work/table"

place() { dd if="$1" of="$out" bs=1M seek="$2" conv=notrunc,sparse status=none; }
start=2
place "$work/esp.img" $start
start=$((start + esp_mib))
for part; do
    place "${part#*=}" $start
    start=$((start + $(size_mib "${part#*=}")))
done

# --- BIOS: boot.img into the first sector, pointed at core.img, which is pointed at its own second sector
[ -d "$grub/i386-pc" ] || exit 0
# shellcheck disable=SC2086
grub-mkimage -d "$grub/i386-pc" -O i386-pc -c "$work/embedded.cfg" -p /boot -o "$work/core.img" biosdisk $modules search_fs_uuid
le64() {
    number=$1
    for _ in 1 2 3 4 5 6 7 8; do
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\$(printf %03o $((number & 255)))"
        number=$((number >> 8))
    done
}
patch() { dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
dd if="$grub/i386-pc/boot.img" of="$work/boot.img" bs=440 count=1 status=none
le64 2048 | patch "$work/boot.img" 92
# Without this jump boot.img would look for its own disk number, which some firmwares report wrongly.
printf '\220\220' | patch "$work/boot.img" 102
le64 2049 | patch "$work/core.img" 500
dd if="$work/boot.img" of="$out" conv=notrunc status=none
place "$work/core.img" 1
