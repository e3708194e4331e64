"""Partitions, and what is in them."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal

from knitter.recipe.base import Form, ImagePath, Problem, Section, SizeOrRest, at_least
from knitter.units import KIB, MIB

_ROOT_SMALLEST: Final = 256 * MIB
_DATA_SMALLEST: Final = 8 * MIB

_LABELS: Final = {"ext4": (16, ""), "vfat": (11, "/")}
"""Characters that a label may have, and those it may not hold."""
_NOT_MOUNT_POINTS: Final = ("/dev", "/etc", "/proc", "/run", "/sys")

_Options = Annotated[str, Form(r"[^\s,]+(,[^\s,]+)*", "mount options parted by commas, without space")]


def _mounted_early(mount: str) -> Iterator[Problem]:
    if mount in _NOT_MOUNT_POINTS:
        yield Problem(("mount",), f"the system needs {mount} before it mounts anything")


def is_within(path: str, mount: str) -> bool:
    """Whether *path* is at or below the mount point *mount*, both absolute."""
    return mount in ("/", path) or path.startswith(mount + "/")


class Part(Section):
    """What all partitions and volumes have."""

    smallest: ClassVar[int] = MIB
    why: ClassVar[str] = "less is of no use"

    size: SizeOrRest
    """Such as `64MiB`, or `rest` for all that is left; one of the list at most."""

    @property
    def least(self) -> int:
        """Bytes it must have."""
        return self.smallest

    def _problems(self) -> Iterator[Problem]:
        if isinstance(self.size, int) and self.size < self.least:
            yield Problem(("size",), at_least(self.least, self.why))


class BiosBoot(Part):
    """Where GRUB's core image lives on a GPT disk that boots through BIOS."""

    smallest = 32 * KIB
    why = "GRUB's core image lies in it"

    kind: Literal["bios-boot"]
    """What the partition is."""
    size: SizeOrRest = MIB
    """Such as `1MiB`."""


class Esp(Part):
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


class Swap(Part):
    """Swap space."""

    kind: Literal["swap"]
    """What the partition is."""


class Filesystem(Part):
    """A partition with a file system: the root, or data."""

    kind: Literal["filesystem"] = "filesystem"
    """What it is; may be left out."""
    filesystem: Literal["ext4", "ext4-el6", "vfat"] = "ext4"
    """Of the root: ext4 or ext4-el6, which is ext4 with no more features than EL 6's kernel and GRUB can read."""
    mount: ImagePath
    """Absolute path; `/` is the root and must be there once."""
    options: _Options = "defaults"
    """Mount options."""
    label: Annotated[str, Form(r"[A-Za-z0-9_./-]*", "a label of letters, digits, _, ., / and -")] = ""
    """File system label; none by default.  At most 16 characters for ext4, 11 and no / for vfat."""

    @property
    def type(self) -> Literal["ext4", "vfat"]:
        """As the kernel calls it."""
        return "vfat" if self.filesystem == "vfat" else "ext4"

    @property
    def least(self) -> int:
        """Bytes it must have."""
        return _ROOT_SMALLEST if self.mount == "/" else _DATA_SMALLEST

    def _problems(self) -> Iterator[Problem]:
        yield from super()._problems()
        if self.mount == "/" and self.type != "ext4":
            yield Problem(("filesystem",), "must be ext4 or ext4-el6: it holds the root")
        most, forbidden = _LABELS[self.type]
        if len(self.label) > most:
            yield Problem(("label",), f"must have at most {most} characters for {self.type}")
        if set(self.label) & set(forbidden):
            yield Problem(("label",), f"must hold no {forbidden} for {self.type}")
        yield from _mounted_early(self.mount)
