"""GRUB's two BIOS images onto the disk: what grub-bios-setup does to a device, done to a file.

    boot.img   sector 0, around the partition table; loads core.img's first sector from a number written into it
    core.img   the BIOS boot partition (gpt), or the gap before the first partition (msdos); its first sector loads
               the rest from a block list at its end

Offsets: grub-core/boot/i386/pc/{boot,diskboot}.S and include/grub/i386/pc/boot.h of GRUB 2.06; tried by booting.
"""

import struct
from pathlib import Path
from typing import Final

from knitter.disk.geometry import Layout
from knitter.errors import KnitterError
from knitter.recipe.partitions import BiosBoot
from knitter.units import SECTOR, human_size

_CODE_END: Final = 440
"""The disk's id and the partition table follow."""
_KERNEL_SECTOR: Final = 0x5C
_DRIVE_CHECK: Final = 0x66
"""A jump, which two NOPs disable: firmware of hard disks passes the right drive number."""
_BLOCK_LIST: Final = 0x1F4
"""In core.img: first sector (64 bits), sectors (16), segment to load them to (16)."""


def embed(disk: Path, layout: Layout, *, boot_image: bytes, core_image: bytes) -> None:
    """Make the file *disk* boot GRUB from BIOS.  Raises KnitterError if there is no room."""
    first, room = _gap(layout)
    core = core_image.ljust(-(-len(core_image) // SECTOR) * SECTOR, b"\0")
    if len(core) > room * SECTOR:
        raise KnitterError(
            "GRUB's core image does not fit",
            details=f"it has {human_size(len(core))}; there is room for {human_size(room * SECTOR)}",
            hint="make the partition of kind bios-boot larger" if layout.label == "gpt" else 'use label = "gpt"',
        )
    with disk.open("r+b") as file:
        table = file.read(SECTOR)[_CODE_END:]
        file.seek(0)
        file.write(_boot_sector(boot_image, first) + table)
        file.seek(first * SECTOR)
        file.write(_core(core, first))


def _gap(layout: Layout) -> tuple[int, int]:
    """First sector and sectors of the room for core.img."""
    for one in layout.slices:
        if isinstance(one.partition, BiosBoot):
            return one.first_sector, one.sectors
    if layout.label == "gpt":
        raise KnitterError(
            "there is no partition for GRUB's core image", hint='add one of kind = "bios-boot" to disk.partitions'
        )
    return 1, layout.slices[0].first_sector - 1


def _boot_sector(image: bytes, core_sector: int) -> bytes:
    code = bytearray(image[:_CODE_END])
    struct.pack_into("<Q", code, _KERNEL_SECTOR, core_sector)
    code[_DRIVE_CHECK : _DRIVE_CHECK + 2] = b"\x90\x90"
    return bytes(code)


def _core(image: bytes, first: int) -> bytes:
    core = bytearray(image)
    (segment,) = struct.unpack_from("<H", core, _BLOCK_LIST + 10)
    struct.pack_into("<QHH", core, _BLOCK_LIST, first + 1, len(core) // SECTOR - 1, segment)
    return bytes(core)
