"""The disk section: partitions and what is in them."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from knitter.recipe.base import Form, ImagePath, Problem, Section, Size, SizeOrRest, at_least, twice
from knitter.units import GIB, KIB, MIB, TIB, format_size

_SMALLEST: Final = GIB
"""EBS has no smaller volume."""
_LARGEST: Final = 16 * TIB
"""More than any root needs, and within what every current volume type allows but `standard`."""

_ROOT_SMALLEST: Final = 256 * MIB
_DATA_SMALLEST: Final = 8 * MIB

_MSDOS_LARGEST: Final = 2 * TIB
_MSDOS_PARTITIONS: Final = 4
_RESERVED: Final = 2 * MIB
"""One MiB before the first partition, and one after the last for GPT's second copy."""
_LABEL_LENGTHS: Final = {"ext4": 16, "vfat": 11}
_NOT_MOUNT_POINTS: Final = ("/dev", "/etc", "/proc", "/run", "/sys")

_Options = Annotated[str, Form(r"[^\s,]+(,[^\s,]+)*", "mount options parted by commas, without space")]


def _volume(size: int) -> int:
    if not _SMALLEST <= size <= _LARGEST:
        raise ValueError(f"must be from {format_size(_SMALLEST)} to {format_size(_LARGEST)}")
    if size % GIB:
        raise ValueError("must be whole GiB: an EBS volume has no other sizes")
    return size


VolumeSize = Annotated[Size, AfterValidator(_volume)]
"""Bytes of an EBS volume."""


def _mounted_early(mount: str) -> Iterator[Problem]:
    if mount in _NOT_MOUNT_POINTS:
        yield Problem(("mount",), f"the system needs {mount} before it mounts anything")


class _Partition(Section):
    """What all partitions have."""

    smallest: ClassVar[int] = MIB
    why: ClassVar[str] = "less is of no use"

    size: SizeOrRest
    """Such as `64MiB`, or `rest` for all that is left; one partition at most."""

    @property
    def least(self) -> int:
        """Bytes it must have."""
        return self.smallest

    def _problems(self) -> Iterator[Problem]:
        if isinstance(self.size, int) and self.size < self.least:
            yield Problem(("size",), at_least(self.least, self.why))


class BiosBoot(_Partition):
    """Where GRUB's core image lives on a GPT disk that boots through BIOS."""

    smallest = 32 * KIB
    why = "GRUB's core image lies in it"

    kind: Literal["bios-boot"]
    """What the partition is."""
    size: SizeOrRest = MIB
    """Such as `1MiB`."""


class Esp(_Partition):
    """The EFI system partition, vfat."""

    smallest = 33 * MIB
    why = "FAT32, which every UEFI firmware reads, has no fewer than 65,525 clusters"

    kind: Literal["esp"]
    """What the partition is."""
    size: SizeOrRest = 64 * MIB
    """Such as `64MiB`."""
    mount: ImagePath = "/boot/efi"
    """Where the running system mounts it."""
    options: _Options = "umask=0077"
    """Mount options."""

    def _problems(self) -> Iterator[Problem]:
        yield from super()._problems()
        yield from _mounted_early(self.mount)
        if self.mount == "/":
            yield Problem(("mount",), "the root is a partition of kind filesystem")


class Swap(_Partition):
    """Swap space."""

    kind: Literal["swap"]
    """What the partition is."""


class Filesystem(_Partition):
    """A partition with a file system: the root, or data."""

    kind: Literal["filesystem"] = "filesystem"
    """What the partition is; may be left out."""
    filesystem: Literal["ext4", "vfat"] = "ext4"
    """Of the root: ext4."""
    mount: ImagePath
    """Absolute path; `/` is the root and must be there once."""
    options: _Options = "defaults"
    """Mount options."""
    label: Annotated[str, Form(r"[A-Za-z0-9_.-]*", "a label of letters, digits, _, . and -")] = ""
    """File system label; none by default.  At most 16 characters for ext4, 11 for vfat."""

    @property
    def least(self) -> int:
        """Bytes it must have."""
        return _ROOT_SMALLEST if self.mount == "/" else _DATA_SMALLEST

    def _problems(self) -> Iterator[Problem]:
        yield from super()._problems()
        if self.mount == "/" and self.filesystem != "ext4":
            yield Problem(("filesystem",), "must be ext4: it holds the root")
        if len(self.label) > (most := _LABEL_LENGTHS[self.filesystem]):
            yield Problem(("label",), f"must have at most {most} characters for {self.filesystem}")
        yield from _mounted_early(self.mount)


Partition = Annotated[
    Annotated[BiosBoot | Esp | Swap | Filesystem, Field(discriminator="kind")],
    BeforeValidator(lambda value: {"kind": "filesystem"} | value if isinstance(value, dict) else value),
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

    def _roles(self) -> Iterator[Problem]:
        """One root, at most one of some kinds, no mount point twice."""
        mounts = tuple(getattr(partition, "mount", "") for partition in self.partitions)
        kinds = Counter(partition.kind for partition in self.partitions)
        roots = [index for index, mount in enumerate(mounts) if mount == "/"]
        if not roots:
            yield Problem(("partitions",), 'there is no root: one partition must have mount = "/"')
        for index in roots[1:]:
            yield Problem(("partitions", index, "mount"), f"a second root; the first is disk.partitions[{roots[0]}]")
        yield from twice(("partitions",), tuple(mount if mount != "/" else "" for mount in mounts), "mount")
        for kind in ("bios-boot", "esp"):
            if kinds[kind] > 1:
                yield Problem(("partitions",), f"{kinds[kind]} partitions are of kind {kind}; one is allowed")

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
