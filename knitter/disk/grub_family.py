"""What families of distributions do differently with GRUB 2; each has a module that fills this in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from knitter.disk.grub_config import Menu
from knitter.disk.tree import Tree


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of firmware on one architecture, as GRUB knows it."""

    platform: str
    efi: str = ""
    """UEFI's name of the architecture, as in BOOTX64.EFI; empty: BIOS."""


@dataclass(frozen=True, slots=True)
class Family:
    """Names, and what is put into the tree besides what all families need."""

    folder: str
    """GRUB's own, in /boot."""
    makers: tuple[str, ...]
    """Where grub-mkimage may be."""
    packages: Mapping[str, str]
    """Platform, or `maker` -> the package that brings its modules, or grub-mkimage."""
    texts: Callable[[Tree, Menu], dict[str, bytes]]
    """By absolute path: the menu, and what later kernel updates in the running image go by."""
    has_signed: Callable[[Tree, str, Target], bool]
    """Whether the image has GRUB as the distribution signed it.  The text is the mount point of the ESP."""
    put_signed: Callable[[Tree, str, Target, Menu], None]
    """Put it where the firmware of any machine finds it."""
    signed_loads_modules: bool
    """Whether it loads modules from /boot, or has all it needs."""
