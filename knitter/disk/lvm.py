"""LVM in place: a physical volume and its group, written as pvcreate, vgcreate and lvcreate would, without a device.

sector 1          the label, and behind it the physical volume's header: its id, and where data and metadata lie
4 KiB             the metadata area: a header, then the group as text, in a ring of which the first part is used
1 MiB             the first extent

Plain linear volumes in text format 1, which every LVM 2 reads, the oldest too.  Layout: lvm2's lib/format_text/layout.h
and lib/label/label.h; read back by lvm2's own tools in the tests.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from knitter.disk.geometry import Slice
from knitter.disk.tree import Tree
from knitter.errors import KnitterError
from knitter.recipe.lvm import EXTENT, METADATA, Lvm, VolumeFilesystem, VolumeSwap
from knitter.units import SECTOR

_AREA: Final = 4096
"""Bytes from the physical volume's start to the metadata area, which ends where the first extent begins."""
_CRC_START: Final = 0xF597A6CF
_USED: Final = 1
"""A flag: the physical volume is in a group.  LVM before 2.02.144 skips the extension that holds it."""
_CREATOR: Final = "knitter"


def require(tree: Tree) -> None:
    """Raise KnitterError if the image cannot start volumes."""
    if not tree.find("/sbin/lvm", "/usr/sbin/lvm"):
        raise KnitterError(
            "the image lacks lvm2: there are volumes in disk.partitions",
            hint='add to packages.install in recipe.toml: "lvm2"',
        )


def make(disk: Path, one: Slice, volumes: Sequence[Slice], epoch: int) -> None:
    """Make *one*, a partition of kind lvm, a group with *volumes* in it.  epoch: seconds since 1970."""
    text = metadata(one, volumes, epoch).encode() + b"\0"
    with disk.open("r+b") as file:
        for offset, data in ((SECTOR, _label(one)), (_AREA, _area_header(text)), (_AREA + SECTOR, text)):
            file.seek(one.offset + offset)
            file.write(data)


def metadata(one: Slice, volumes: Sequence[Slice], epoch: int) -> str:
    """The group as LVM writes it down."""
    assert isinstance(one.partition, Lvm)
    group: Mapping[str, _Value] = {
        "id": identity(uuid5(one.uuid, "group")),
        "seqno": 1,
        "format": "lvm2",
        "status": ["RESIZEABLE", "READ", "WRITE"],
        "flags": [],
        "extent_size": EXTENT // SECTOR,
        "max_lv": 0,
        "max_pv": 0,
        "metadata_copies": 0,
        "physical_volumes": {"pv0": _physical(one)},
        "logical_volumes": {_name(volume): _logical(volume, one, epoch) for volume in volumes},
    }
    tail: Mapping[str, _Value] = {
        "contents": "Text Format Volume Group",
        "version": 1,
        "description": "",
        "creation_host": _CREATOR,
        "creation_time": epoch,
    }
    return "\n".join(_lines({one.partition.group: group, **tail})) + "\n"


def identity(uuid: UUID) -> str:
    """An id as LVM writes it: 32 characters, of letters and digits, in groups."""
    found = uuid.hex
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(found[start:end] for start, end in pairwise(cuts))


def checksum(data: bytes) -> int:
    """LVM's CRC: the usual one, begun otherwise and not inverted at its end."""
    return zlib.crc32(data, _CRC_START ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


_Value = int | str | Sequence[int | str] | Mapping[str, "_Value"]


def _physical(one: Slice) -> Mapping[str, _Value]:
    return {
        "id": identity(one.uuid),
        "status": ["ALLOCATABLE"],
        "flags": [],
        "dev_size": one.size // SECTOR,
        "pe_start": METADATA // SECTOR,
        "pe_count": (one.size - METADATA) // EXTENT,
    }


def _logical(volume: Slice, holder: Slice, epoch: int) -> Mapping[str, _Value]:
    extent = (volume.offset - holder.offset - METADATA) // EXTENT
    return {
        "id": identity(volume.guid),
        "status": ["READ", "WRITE", "VISIBLE"],
        "flags": [],
        "creation_time": epoch,
        "creation_host": _CREATOR,
        "segment_count": 1,
        "segment1": {
            "start_extent": 0,
            "extent_count": volume.size // EXTENT,
            "type": "striped",
            "stripe_count": 1,
            "stripes": ["pv0", extent],
        },
    }


def _name(volume: Slice) -> str:
    assert isinstance(volume.partition, VolumeFilesystem | VolumeSwap)
    return volume.partition.name


def _lines(values: Mapping[str, _Value]) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{key} {{"
            yield from _lines(value)
            yield "}"
        else:
            yield f"{key} = {_text(value)}"


def _text(value: int | str | Sequence[int | str]) -> str:
    match value:
        case int():
            return str(value)
        case str():
            return f'"{value}"'
        case _:
            return f"[{', '.join(map(_text, value))}]"


def _label(one: Slice) -> bytes:
    """The sector of the label: magic, its number, checksum of what follows, where the header lies, its type."""
    header = struct.pack("<32sQ", one.uuid.hex.encode(), one.size)
    areas = _areas((METADATA, 0)) + _areas((_AREA, METADATA - _AREA))  # data to the end, metadata
    extension = struct.pack("<II", 2, _USED) + _areas()
    body = (struct.pack("<I8s", 32, b"LVM2 001") + header + areas + extension).ljust(SECTOR - 20, b"\0")
    return struct.pack("<8sQI", b"LABELONE", 1, checksum(body)) + body


def _areas(*areas: tuple[int, int]) -> bytes:
    """Offsets and sizes in bytes, ended by a pair of zeroes."""
    return b"".join(struct.pack("<QQ", *area) for area in (*areas, (0, 0)))


def _area_header(text: bytes) -> bytes:
    """Of the metadata area: magic, version, place; then where in it the text is, and its checksum."""
    place = struct.pack("<QQII", SECTOR, len(text), checksum(text), 0)
    body = struct.pack("<16sIQQ", b" LVM2 x[5A%r0N*>", 1, _AREA, METADATA - _AREA) + place
    body = body.ljust(SECTOR - 4, b"\0")
    return struct.pack("<I", checksum(body)) + body
