"""Where each partition lies and what its ids are: all of it follows from the recipe and a seed.

sector 0          partition table (msdos), or its protective copy and GPT's first copy
1 MiB             first partition; GRUB's core image lies before it on an msdos disk
...               each partition takes whole MiB
last MiB          GPT's second copy in its last 33 sectors; left free on an msdos disk too
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import Final
from uuid import UUID, uuid5

from knitter.errors import RecipeError
from knitter.recipe.disk import Disk, Esp, Filesystem, Partition
from knitter.units import MIB, SECTOR, format_size

_SPACE: Final = UUID("6b6e6974-7465-7200-8000-6469736b0000")
"""Namespace of every id on a disk: `knitter` and `disk` in ASCII."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One partition and its place."""

    number: int
    """As the kernel counts, from 1."""
    partition: Partition
    offset: int
    """Bytes from the disk's start."""
    size: int
    """Bytes."""
    guid: UUID
    """Of the partition, in a GPT."""
    uuid: UUID
    """Of the file system or swap space in it."""

    @property
    def first_sector(self) -> int:
        """Where it begins, in sectors of 512 bytes."""
        return self.offset // SECTOR

    @property
    def sectors(self) -> int:
        """How long it is, in sectors of 512 bytes."""
        return self.size // SECTOR

    @property
    def mount(self) -> str:
        """Where it is mounted; empty if nowhere."""
        return self.partition.mount if isinstance(self.partition, Filesystem | Esp) else ""

    @property
    def filesystem(self) -> str:
        """`ext4`, `vfat`, or empty."""
        match self.partition:
            case Filesystem(filesystem=kind):
                return kind
            case Esp():
                return "vfat"
            case _:
                return ""

    @property
    def volume_id(self) -> int:
        """What a FAT has for a UUID: 32 bits."""
        return self.uuid.int & 0xFFFFFFFF

    @property
    def source_id(self) -> str:
        """The id by which fstab, GRUB and the kernel find what is in it, as blkid writes it."""
        if self.filesystem == "vfat":
            return f"{self.volume_id >> 16:04X}-{self.volume_id & 0xFFFF:04X}"
        return str(self.uuid)


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole disk."""

    size: int
    """Bytes."""
    label: str
    """`gpt` or `msdos`."""
    uuid: UUID
    """Of the disk, in a GPT."""
    slices: tuple[Slice, ...]

    @property
    def disk_id(self) -> int:
        """What an msdos table has for a UUID: 32 bits."""
        return self.uuid.int & 0xFFFFFFFF

    def holding(self, path: str) -> Slice:
        """The slice whose file system holds *path*, absolute: the deepest mount point above it."""
        mounted = [one for one in self.slices if one.mount and _is_within(path, one.mount)]
        return max(mounted, key=lambda one: len(one.mount))

    @property
    def root(self) -> Slice:
        """The slice mounted at `/`."""
        return self.holding("/")


def plan_layout(disk: Disk, seed: str) -> Layout:
    """Place the partitions of *disk*; every id follows from *seed*.  Raises RecipeError if they do not fit."""
    sizes = _sizes(disk)
    offsets = accumulate(sizes, initial=MIB)
    slices = tuple(
        Slice(number, partition, offset, size, _id(seed, "partition", number), _id(seed, "content", number))
        for number, (partition, offset, size) in enumerate(zip(disk.partitions, offsets, sizes, strict=False), 1)
    )
    return Layout(disk.size, disk.label, _id(seed, "disk", 0), slices)


def _sizes(disk: Disk) -> list[int]:
    """Bytes of each partition, whole MiB; whoever takes the rest gets it."""
    room = disk.size - 2 * MIB
    fixed = [-(-one.size // MIB) * MIB if isinstance(one.size, int) else 0 for one in disk.partitions]
    rest = (room - sum(fixed)) // MIB * MIB
    sizes = [size or rest for size in fixed]
    if sum(sizes) > room or min(sizes) <= 0:
        raise RecipeError(
            f"the partitions do not fit on a disk of {format_size(disk.size)}",
            details=f"they need {format_size(sum(fixed))}; there is room for {format_size(room)}",
            hint="make disk.size larger or partitions smaller",
        )
    return sizes


def _id(seed: str, what: str, number: int) -> UUID:
    return uuid5(_SPACE, f"{seed} {what} {number}")


def _is_within(path: str, mount: str) -> bool:
    return mount in ("/", path) or path.startswith(mount + "/")
