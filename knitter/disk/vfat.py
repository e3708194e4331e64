"""vfat in place: mkfs.vfat formats at an offset, mtools copy the files in a fixed order."""

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Final

from knitter.command import command
from knitter.disk.geometry import Slice
from knitter.disk.image import Image, no_room
from knitter.errors import CommandError, KnitterError
from knitter.units import GIB, KIB, MIB, SECTOR

_FAT32_SMALLEST: Final = 33 * MIB
"""65,525 clusters of one sector."""
_FAT32_CLUSTERS: Final = ((260 * MIB, 1), (8 * GIB, 8), (16 * GIB, 16), (32 * GIB, 32))
"""Up to this size a cluster has so many sectors (Microsoft's FAT specification of 2000, page 20); beyond: 64."""
_ENVIRONMENT: Final = {"TZ": "UTC", "MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"}
_NO_ROOM: Final = ("Disk full", "No space", "no room")


def make(image: Image, one: Slice, source: Path, *, label: str) -> None:
    """Format *one* and copy the directories and files below *source*; vfat keeps no owners, modes or links.

    Raises KnitterError if it is too small, or if there is something else than directories and files.
    """
    need = image.tree_size(source)
    if need > one.size:
        raise no_room(one, need)
    _format(image, one, label)
    directories, files = _contents(image, source)
    try:
        _copy(image, one, source, directories, files)
    except CommandError as error:
        if any(text in error.details for text in _NO_ROOM):
            raise no_room(one, need, error.details) from None
        raise


def _format(image: Image, one: Slice, label: str) -> None:
    """The size of clusters is said: mkfs.vfat would choose one for the whole file."""
    bits, cluster = _kind(one.size)
    kind = ("-F", bits, "-s", cluster, "-S", SECTOR)
    identity = ("-i", f"{one.volume_id:08x}", *(("-n", label) if label else ()))
    place = ("--offset", one.first_sector, image.path, one.size // KIB)
    image.run(command("mkfs.vfat", "--invariant", *kind, *identity, *place))


def _kind(size: int) -> tuple[int, int]:
    """Bits of the FAT, and sectors in a cluster."""
    if size < _FAT32_SMALLEST:
        return 16, 2
    return 32, next((sectors for limit, sectors in _FAT32_CLUSTERS if size <= limit), 64)


def _contents(image: Image, source: Path) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Directories and files below *source*, relative to it, sorted."""
    listing = image.run(command("find", source, "-mindepth", 1, "-printf", r"%y%P\0")).stdout.decode()
    entries = sorted(listing.split("\0")[:-1])
    if others := [entry[1:] for entry in entries if entry[0] not in "df"]:
        raise KnitterError("vfat holds only directories and files", details=f"not so: {', '.join(others)}")
    directories = [PurePosixPath(entry[1:]) for entry in entries if entry[0] == "d"]
    return directories, [PurePosixPath(entry[1:]) for entry in entries if entry[0] == "f"]


def _copy(image: Image, one: Slice, source: Path, directories: list[PurePosixPath], files: list[PurePosixPath]) -> None:
    target = ("-i", f"{image.path}@@{one.offset}")
    environment = {**_ENVIRONMENT, "SOURCE_DATE_EPOCH": str(image.epoch)}
    if directories:
        image.run(command("mmd", *target, *(f"::/{path}" for path in directories), env=environment))
    grouped = defaultdict(list)
    for path in files:
        grouped[path.parent].append(source / path)
    for folder, members in grouped.items():
        image.run(command("mcopy", *target, *members, f"::/{folder}", env=environment))
