"""The floor: what somebody at ease with plain tools would type to make the same disk.  No cache, no checks, no lock."""

import shutil
import subprocess
from pathlib import Path

from knitter.lock import Lock

_SCRIPT = r"""
set -eu
repository=$1 names=$2 release=$3 work=$4
cd "$repository" && apt-ftparchive packages . > Packages
cd "$work"
source="deb [trusted=yes] copy://$repository ./"
mmdebstrap --quiet --mode=root --variant=custom --include="$names" "$release" tree "$source"
uuid=11111111-2222-3333-4444-555555555555
echo "UUID=$uuid / ext4 defaults 0 1" > tree/etc/fstab
kernel=$(basename tree/boot/vmlinuz-*) initrd=$(basename tree/boot/initrd.img-*)
mkdir -p tree/boot/grub/i386-pc
for kind in mod lst img; do cp tree/usr/lib/grub/i386-pc/*.$kind tree/boot/grub/i386-pc/; done
cat > tree/boot/grub/grub.cfg <<CFG
search --fs-uuid --set=root $uuid
menuentry linux {
  linux /boot/$kernel root=UUID=$uuid ro console=ttyS0
  initrd /boot/$initrd
}
CFG
printf 'search --fs-uuid --set=root %s\nset prefix=($root)/boot/grub\n' "$uuid" > tree/tmp/early.cfg
modules="part_gpt part_msdos ext2 search search_fs_uuid serial normal"
chroot tree grub-mkimage -O i386-pc -p /boot/grub -c /tmp/early.cfg -o /boot/grub/i386-pc/core.img biosdisk $modules
chroot tree grub-mkimage -O x86_64-efi -p /boot/grub -c /tmp/early.cfg -o /tmp/BOOTX64.EFI fat linux $modules
mv tree/tmp/BOOTX64.EFI . && rm tree/tmp/early.cfg
truncate -s 8G disk.raw
sfdisk -q disk.raw <<TABLE
label: gpt
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
size=131072, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
TABLE
mke2fs -q -F -t ext4 -L root -U $uuid -E offset=$((135168*512)),lazy_itable_init=1,nodiscard -d tree disk.raw 8320000k
truncate -s 64M esp.img
mkfs.vfat -F32 -n EFI esp.img >/dev/null
mmd -i esp.img ::EFI ::EFI/BOOT
mcopy -i esp.img BOOTX64.EFI ::EFI/BOOT/BOOTX64.EFI
dd if=esp.img of=disk.raw bs=1M seek=2 conv=notrunc,sparse status=none
dd if=tree/boot/grub/i386-pc/core.img of=disk.raw bs=512 seek=2048 conv=notrunc status=none
dd if=tree/boot/grub/i386-pc/boot.img of=disk.raw bs=440 count=1 conv=notrunc status=none
"""


def build(lock: Lock, cache: Path, work: Path) -> None:
    """Make the disk of *lock* in the new directory *work*, and remove it again."""
    repository = work / "repository"
    repository.mkdir(parents=True)
    for package in lock.packages:
        blob = cache / "sha256" / package.sha256[:2] / package.sha256
        (repository / f"{package.name}_{package.architecture}.deb").hardlink_to(blob)
    names = ",".join(package.name for package in lock.packages)
    argv = ["sh", "-s", "-", str(repository), names, lock.release, str(work)]
    done = subprocess.run(argv, input=_SCRIPT, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"the floor failed:\n{done.stderr[-3000:]}")
    shutil.rmtree(work)
