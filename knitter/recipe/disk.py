"""The disk section: partitions and what is in them."""

from typing import Annotated, Literal

from pydantic import Field

from knitter.recipe.base import Section, Size


class _Partition(Section):
    size: Size | Literal["rest"]
    """Such as `64MiB`, or `rest` for all that is left; one partition at most."""


class BiosBoot(_Partition):
    """Where GRUB's core image lives on a GPT disk that boots through BIOS."""

    kind: Literal["bios-boot"]
    size: Size | Literal["rest"] = 1024 * 1024


class Esp(_Partition):
    """The EFI system partition, vfat."""

    kind: Literal["esp"]
    size: Size | Literal["rest"] = 64 * 1024 * 1024
    mount: str = "/boot/efi"
    """Where the running system mounts it."""
    options: str = "umask=0077"
    """Mount options."""


class Swap(_Partition):
    """Swap space."""

    kind: Literal["swap"]


class Filesystem(_Partition):
    """A partition with a file system: the root, or data."""

    kind: Literal["filesystem"] = "filesystem"
    filesystem: Literal["ext4", "vfat"] = "ext4"
    mount: str
    """Absolute path; `/` is the root and must be there once."""
    options: str = "defaults"
    """Mount options."""
    label: str = ""
    """File system label; none by default."""


Partition = Annotated[BiosBoot | Esp | Swap | Filesystem, Field(discriminator="kind")]


class Disk(Section):
    """How the disk is cut."""

    size: Size = 8 * 1024**3
    """Whole disk, in whole GiB: an EBS volume has no other sizes."""
    label: Literal["gpt", "msdos"] = "gpt"
    """Partition table."""
    partitions: tuple[Partition, ...] = (
        BiosBoot(kind="bios-boot"),
        Esp(kind="esp"),
        Filesystem(size="rest", mount="/"),
    )
    """In the order they lie on the disk."""
