"""The disk section: how it is cut."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from knitter.recipe.base import Problem, Section, Size, Step, path_text, twice
from knitter.recipe.lvm import Lvm, as_filesystem
from knitter.recipe.partitions import BiosBoot, Esp, Filesystem, Swap, is_within
from knitter.units import GIB, MIB, TIB, format_size

_SMALLEST: Final = GIB
"""EBS has no smaller volume."""
_LARGEST: Final = 16 * TIB
"""More than any root needs, and within what every current volume type allows but `standard`."""

_MSDOS_LARGEST: Final = 2 * TIB
_MSDOS_PARTITIONS: Final = 4
_RESERVED: Final = 2 * MIB
"""One MiB before the first partition, and one after the last for GPT's second copy."""


def _volume(size: int) -> int:
    if not _SMALLEST <= size <= _LARGEST:
        raise ValueError(f"must be from {format_size(_SMALLEST)} to {format_size(_LARGEST)}")
    if size % GIB:
        raise ValueError("must be whole GiB: an EBS volume has no other sizes")
    return size


VolumeSize = Annotated[Size, AfterValidator(_volume)]
"""Bytes of an EBS volume."""


Partition = Annotated[
    Annotated[BiosBoot | Esp | Swap | Filesystem | Lvm, Field(discriminator="kind")],
    BeforeValidator(as_filesystem),
]


class Disk(Section):
    """How the disk is cut.  Read by `disk`."""

    size: VolumeSize = 8 * GIB
    """Whole disk, in whole GiB: an EBS volume has no other sizes."""
    label: Literal["gpt", "msdos"] = "gpt"
    """Partition table."""
    partitions: tuple[Partition, ...] = (
        BiosBoot(kind="bios-boot"),
        Esp(kind="esp"),
        Filesystem(size="rest", mount="/"),
    )
    """In the order they lie on the disk; the last one can grow with the volume, so put the root there.
    Default: 1MiB bios-boot, 64MiB esp, and the rest for an ext4 root."""

    def _problems(self) -> Iterator[Problem]:
        yield from self._roles()
        yield from self._fit()
        if self.label == "msdos":
            yield from self._msdos()

    def mounted(self) -> Iterator[tuple[tuple[Step, ...], Filesystem | Esp]]:
        """What is mounted, and where below this section it is said."""
        for index, partition in enumerate(self.partitions):
            members = partition.volumes if isinstance(partition, Lvm) else ()
            for path, part in [((), partition), *((("volumes", number), one) for number, one in enumerate(members))]:
                if isinstance(part, Filesystem | Esp):
                    yield ("partitions", index, *path), part

    def holding(self, path: str) -> tuple[tuple[Step, ...], Filesystem | Esp]:
        """Of `mounted`, the one whose file system holds *path*, absolute."""
        above = [(where, part) for where, part in self.mounted() if is_within(path, part.mount)]
        return max(above, key=lambda found: len(found[1].mount))

    def _roles(self) -> Iterator[Problem]:
        """One root, at most one of some kinds, no mount point twice."""
        first: dict[str, tuple[Step, ...]] = {}
        for path, part in self.mounted():
            if part.mount in first:
                words = "a second root; the first is" if part.mount == "/" else "is there twice, first in"
                yield Problem((*path, "mount"), f"{words} {path_text(('disk', *first[part.mount]))}")
            first.setdefault(part.mount, path)
        if "/" not in first:
            yield Problem(("partitions",), 'there is no root: one partition or volume must have mount = "/"')
        kinds = Counter(partition.kind for partition in self.partitions)
        for kind in ("bios-boot", "esp"):
            if kinds[kind] > 1:
                yield Problem(("partitions",), f"{kinds[kind]} partitions are of kind {kind}; one is allowed")
        groups = tuple(one.group if isinstance(one, Lvm) else "" for one in self.partitions)
        yield from twice(("partitions",), groups, "group")

    def _fit(self) -> Iterator[Problem]:
        """Whether all of it fits, each partition rounded up to a MiB: that is where the next one begins."""
        rest = [index for index, partition in enumerate(self.partitions) if partition.size == "rest"]
        for index in rest[1:]:
            yield Problem(("partitions", index, "size"), f"disk.partitions[{rest[0]}] takes the rest already")
        sizes = [-(-partition.size // MIB) * MIB for partition in self.partitions if isinstance(partition.size, int)]
        left = self.size - _RESERVED - sum(sizes)
        if left < 0:
            room = format_size(self.size - _RESERVED)
            yield Problem(
                ("partitions",), f"they need {format_size(sum(sizes))}; a disk of {format_size(self.size)} has {room}"
            )
        elif rest and left < (least := self.partitions[rest[0]].least):
            yield Problem(
                ("partitions", rest[0], "size"), f"{format_size(left)} is left, and it needs {format_size(least)}"
            )

    def _msdos(self) -> Iterator[Problem]:
        if len(self.partitions) > _MSDOS_PARTITIONS:
            yield Problem(
                ("partitions",), f'{len(self.partitions)} partitions; label = "msdos" has room for {_MSDOS_PARTITIONS}'
            )
        if self.size > _MSDOS_LARGEST:
            yield Problem(
                ("size",), f'label = "msdos" reaches no further than {format_size(_MSDOS_LARGEST)}; use "gpt"'
            )
        for index, partition in enumerate(self.partitions):
            if partition.kind == "bios-boot":
                yield Problem(
                    ("partitions", index),
                    'label = "msdos" has no BIOS boot partition: GRUB\'s core image lies before the first partition',
                )
