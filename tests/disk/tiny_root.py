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

PROGRAMS = ("sh", "cat", "cp", "mkdir", "readlink", "tar")
GRUB_MKIMAGE = """#!/bin/sh
for one; do case $one in --output=*) out=${one#--output=};; --format=*) format=${one#--format=};; esac; done
{ echo "image for $format"; while IFS= read -r line; do echo "$line"; done < "/boot/grub/$format/load.cfg"; } > "$out"
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


def pack(path: Path, files: Mapping[str, bytes] = FILES, *, epoch: int, without: Iterable[str] = ()) -> Path:
    """Write such a root to *path* as the rootfs stage packs one."""
    programs = {f"bin/{name}": _program(name) for name in PROGRAMS}
    libraries = {str(library)[1:]: library for program in programs.values() for library in _libraries(program)}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, source in sorted((programs | libraries).items()):
            _add(archive, name, source.read_bytes(), epoch, mode=0o755)
        _add(archive, "usr/bin/grub-mkimage", GRUB_MKIMAGE.encode(), epoch, mode=0o755)
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
