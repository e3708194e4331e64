"""A root file system of a few MiB that boots nothing, but in which a boot loader can be installed.

Its programs are this host's, with the libraries they need; its grub-mkimage writes a pattern instead of an image.
"""

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

PROGRAMS = ("sh", "base64", "cat", "cp", "grep", "ln", "mkdir", "readlink", "rm")
GRUB_MKIMAGE = """#!/bin/sh
for one; do case $one in
    --output=*) out=${one#--output=};; --format=*) format=${one#--format=};; --config=*) config=${one#--config=};;
esac; done
{ echo "image for $format"; while IFS= read -r line; do echo "$line"; done < "$config"; } > "$out"
i=0; while [ $i -lt 60 ]; do echo "0123456789abcdef0123456789abcdef" >> "$out"; i=$((i+1)); done
"""
FILES: dict[str, bytes] = {
    "etc/os-release": b'ID=tiny\nNAME="Tiny Linux"\n',
    "boot/vmlinuz-6.1.0-9": b"old kernel",
    "boot/initrd.img-6.1.0-9": b"old initramfs",
    "boot/vmlinuz-6.1.0-10": b"new kernel",
    "boot/initrd.img-6.1.0-10": b"new initramfs",
    "usr/lib/grub/i386-pc/modinfo.sh": b"",
    "usr/lib/grub/i386-pc/boot.img": bytes(range(256)) * 2,
    "usr/lib/grub/i386-pc/normal.mod": b"a module",
    "usr/lib/grub/i386-pc/command.lst": b"a list",
    "usr/lib/grub/x86_64-efi/modinfo.sh": b"",
    "usr/lib/grub/x86_64-efi/normal.mod": b"a module",
    "usr/lib/grub/x86_64-efi/command.lst": b"a list",
    "srv/data/file": b"on a partition of its own, perhaps",
}
SIGNED: dict[str, bytes] = {
    "usr/lib/shim/shimx64.efi.signed": b"shim",
    "usr/lib/shim/mmx64.efi.signed": b"mok manager",
    "usr/lib/shim/fbx64.efi.signed": b"fallback",
    "usr/lib/shim/BOOTX64.CSV": b"csv",
    "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed": b"signed grub",
}


REDHAT: dict[str, bytes] = {
    "etc/os-release": b'ID=tiny\nNAME="Tiny Linux"\n',
    "boot/vmlinuz-5.14.0-9.el9": b"old kernel",
    "boot/initramfs-5.14.0-9.el9.img": b"old initramfs",
    "boot/vmlinuz-5.14.0-10.el9": b"new kernel",
    "boot/initramfs-5.14.0-10.el9.img": b"new initramfs",
    "usr/lib/grub/i386-pc/modinfo.sh": b"",
    "usr/lib/grub/i386-pc/boot.img": bytes(range(256)) * 2,
    "usr/lib/grub/i386-pc/normal.mod": b"a module",
    "usr/lib/grub/i386-pc/command.lst": b"a list",
}
"""Of the other family."""
VENDOR: dict[str, bytes] = {
    "boot/efi/EFI/tiny/shimx64.efi": b"shim",
    "boot/efi/EFI/tiny/mmx64.efi": b"mok manager",
    "boot/efi/EFI/tiny/grubx64.efi": b"signed grub",
}
"""Signed, as its packages have it."""


def pack(
    path: Path,
    files: Mapping[str, bytes] = FILES,
    *,
    epoch: int,
    programs: Mapping[str, bytes] = MappingProxyType({}),
    without: Iterable[str] = (),
) -> Path:
    """Write such a root to *path* as the rootfs stage packs one.  programs: files that can be run."""
    own = {f"bin/{name}": _program(name) for name in PROGRAMS}
    libraries = {str(library)[1:]: library for program in own.values() for library in _libraries(program)}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, source in sorted((own | libraries).items()):
            _add(archive, name, source.read_bytes(), epoch, mode=0o755)
        runnable = {"usr/bin/grub-mkimage": GRUB_MKIMAGE.encode(), **programs}
        for name, data in sorted((name, data) for name, data in runnable.items() if name not in without):
            _add(archive, name, data, epoch, mode=0o755)
        for name, data in sorted(files.items()):
            if name not in without:
                _add(archive, name, data, epoch)
    return path


def _add(archive: tarfile.TarFile, name: str, data: bytes, epoch: int, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(f"./{name}")
    member.size, member.mtime, member.mode = len(data), epoch - 3600, mode
    archive.addfile(member, io.BytesIO(data))


def _program(name: str) -> Path:
    found = shutil.which(name)
    assert found
    return Path(found).resolve()


def _libraries(program: Path) -> list[Path]:
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in re.findall(r"(/\S+) \(0x", listing)]
