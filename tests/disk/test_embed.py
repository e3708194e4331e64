"""Where GRUB's two BIOS images go, byte by byte."""

import struct
from pathlib import Path

import pytest

from knitter.disk.embed import embed
from knitter.disk.geometry import Layout
from knitter.errors import KnitterError
from knitter.units import SECTOR
from tests.disk.conftest import layout_of
from tests.disk.test_geometry import BOOT, ESP, ROOT

BOOT_IMAGE = bytes(range(256)) * 2
CORE = bytearray(b"c" * 30_000)
CORE[0x1F4:0x200] = struct.pack("<QHH", 99, 99, 0x820)
TABLE = b"the partition table".ljust(72, b".")


def embedded(path: Path, layout: Layout) -> bytes:
    """The first two MiB of a disk after embedding."""
    path.write_bytes((b"\0" * 440 + TABLE).ljust(1 << 21, b"\xee"))
    embed(path, layout, boot_image=BOOT_IMAGE, core_image=bytes(CORE))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("layout", "first"), [(layout_of(BOOT, ESP, ROOT), 2048), (layout_of(ROOT, label="msdos"), 1)], ids=["gpt", "msdos"]
)
def test_the_images_know_where_they_lie(tmp_path: Path, layout: Layout, first: int) -> None:
    disk = embedded(tmp_path / "disk", layout)
    sectors = -(-len(CORE) // SECTOR)
    assert disk[440:512] == TABLE
    assert struct.unpack_from("<Q", disk, 0x5C) == (first,)
    assert disk[0x66:0x68] == b"\x90\x90"
    assert disk[:0x5C] == BOOT_IMAGE[:0x5C]
    core = disk[first * SECTOR : (first + sectors) * SECTOR]
    assert struct.unpack_from("<QHH", core, 0x1F4) == (first + 1, sectors - 1, 0x820)
    assert core[0x200 : len(CORE)] == CORE[0x200:]
    assert core[len(CORE) :] == b"\0" * (sectors * SECTOR - len(CORE))
    assert disk[(first + sectors) * SECTOR :] == b"\xee" * (len(disk) - (first + sectors) * SECTOR)


def test_a_core_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(SECTOR))
    for layout, room, hint in (
        (layout_of({**BOOT, "size": "1MiB"}, ROOT), "1.0 MiB", "bios-boot larger"),
        (layout_of(ROOT, label="msdos"), "1023.5 KiB", '"gpt"'),
    ):
        with pytest.raises(KnitterError, match="core image does not fit") as caught:
            embed(tmp_path / "disk", layout, boot_image=BOOT_IMAGE, core_image=bytes(1 << 21))
        assert room in caught.value.details
        assert hint in caught.value.hint


def test_a_gpt_needs_a_partition_for_it(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(SECTOR))
    with pytest.raises(KnitterError, match="no partition for GRUB"):
        embed(tmp_path / "disk", layout_of(ESP, ROOT), boot_image=BOOT_IMAGE, core_image=bytes(CORE))
