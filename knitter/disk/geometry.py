"""Where each partition lies and what its ids are: all of it follows from the recipe and a seed.

sector 0          partition table (msdos), or its protective copy and GPT's first copy
1 MiB             first partition; GRUB's core image lies before it on an msdos disk
...               each partition takes whole MiB
last MiB          GPT's second copy in its last 33 sectors; left free on an msdos disk too

A partition of kind lvm has volumes in it, one after another behind LVM's own first MiB: whole extents, without gaps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final
from uuid import UUID, uuid5

from knitter.errors import RecipeError
from knitter.recipe.disk import Disk, Partition
from knitter.recipe.lvm import EXTENT, METADATA, Lvm, Volume, VolumeFilesystem, VolumeSwap
from knitter.recipe.partitions import Esp, Filesystem, Part, is_within
from knitter.units import MIB, SECTOR, format_size

_SPACE: Final = UUID("6b6e6974-7465-7200-8000-6469736b0000")
"""Namespace of every id on a disk: `knitter` and `disk` in ASCII."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One partition, or one volume in a partition, and its place."""

    number: int
    """Of the partition, as the kernel counts, from 1."""
    partition: Partition | Volume
    offset: int
    """Bytes from the disk's start."""
    size: int
    """Bytes."""
    guid: UUID
    """Of the partition, in a GPT; of the volume, in LVM."""
    uuid: UUID
    """Of the file system or swap space in it; of the physical volume, if it is one."""
    group: str = ""
    """Name of the volume group, if it is a volume."""

    @property
    def name(self) -> str:
        """As errors name it."""
        match self.partition:
            case VolumeFilesystem(name=name) | VolumeSwap(name=name):
                return f"volume {name}"
            case _:
                return f"partition {self.number}"

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
            case Filesystem(type=kind):
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

    @property
    def root_argument(self) -> str:
        """What the kernel is told as root=.  A volume by its name, as every installer and grub-mkconfig do."""
        match self.partition:
            case VolumeFilesystem(name=name):
                return f"/dev/mapper/{self.group.replace('-', '--')}-{name.replace('-', '--')}"
            case _:
                return f"UUID={self.source_id}"


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
    """Its partitions."""
    volumes: tuple[Slice, ...] = ()
    """What lies in those of kind lvm."""

    @property
    def parts(self) -> tuple[Slice, ...]:
        """Partitions and volumes."""
        return (*self.slices, *self.volumes)

    @property
    def disk_id(self) -> int:
        """What an msdos table has for a UUID: 32 bits."""
        return self.uuid.int & 0xFFFFFFFF

    def holding(self, path: str) -> Slice:
        """The slice whose file system holds *path*, absolute: the deepest mount point above it."""
        mounted = [one for one in self.parts if one.mount and is_within(path, one.mount)]
        return max(mounted, key=lambda one: len(one.mount))

    @property
    def root(self) -> Slice:
        """The slice mounted at `/`."""
        return self.holding("/")


def plan_layout(disk: Disk, seed: str) -> Layout:
    """Place the partitions of *disk*; every id follows from *seed*.  Raises RecipeError if they do not fit."""
    room = disk.size - 2 * MIB
    sizes = _share(disk.partitions, room, MIB)
    if sum(sizes) > room or min(sizes) <= 0:
        raise _too_small(disk, room)
    offsets = accumulate(sizes, initial=MIB)
    slices = tuple(
        Slice(number, partition, offset, size, _id(seed, "partition", number), _id(seed, "content", number))
        for number, (partition, offset, size) in enumerate(zip(disk.partitions, offsets, sizes, strict=False), 1)
    )
    volumes = tuple(volume for one in slices for volume in _volumes(one, seed))
    return Layout(disk.size, disk.label, _id(seed, "disk", 0), slices, volumes)


def _volumes(holder: Slice, seed: str) -> Iterator[Slice]:
    """The volumes in *holder*, if it is of kind lvm; that they fit, the recipe's model has checked."""
    if not isinstance(group := holder.partition, Lvm):
        return
    sizes = _share(group.volumes, holder.size - METADATA, EXTENT)
    offsets = accumulate(sizes, initial=holder.offset + METADATA)
    for volume, offset, size in zip(group.volumes, offsets, sizes, strict=False):
        own, content = (_id(seed, f"{what} {volume.name}", holder.number) for what in ("volume", "content of volume"))
        yield Slice(holder.number, volume, offset, size, own, content, group.group)


def _share(parts: Sequence[Part], room: int, unit: int) -> list[int]:
    """Bytes of each of *parts*, in whole units; whoever takes the rest gets it."""
    fixed = [-(-one.size // unit) * unit if isinstance(one.size, int) else 0 for one in parts]
    rest = (room - sum(fixed)) // unit * unit
    return [size or rest for size in fixed]


def _too_small(disk: Disk, room: int) -> RecipeError:
    need = sum(one.size for one in disk.partitions if isinstance(one.size, int))
    return RecipeError(
        f"the partitions do not fit on a disk of {format_size(disk.size)}",
        details=f"they need {format_size(need)}; there is room for {format_size(room)}",
        hint="make disk.size larger or partitions smaller",
    )


def _id(seed: str, what: str, number: int) -> UUID:
    return uuid5(_SPACE, f"{seed} {what} {number}")
