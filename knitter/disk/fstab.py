"""/etc/fstab: what is mounted where, by the ids of the file systems."""

from typing import Final

from knitter.disk.geometry import Layout, Slice
from knitter.recipe.partitions import Esp, Filesystem, Swap

PATH: Final = "/etc/fstab"
SYSINIT: Final = "/etc/rc.d/rc.sysinit"
"""Whoever has it, as EL 6 does, has an init that mounts the kernel's own file systems because they are in the file."""
_KERNEL: Final = """\
proc /proc proc defaults 0 0
sysfs /sys sysfs defaults 0 0
devpts /dev/pts devpts gid=5,mode=620 0 0
tmpfs /dev/shm tmpfs defaults 0 0
"""


def text(layout: Layout, *, sysinit: bool = False) -> str:
    """The file: mount points above others first, then swap.  sysinit: whether SYSINIT is there."""
    ordered = sorted(layout.parts, key=lambda one: (isinstance(one.partition, Swap), one.mount))
    return (_KERNEL if sysinit else "") + "".join(f"{line}\n" for one in ordered if (line := _line(one)))


def _line(one: Slice) -> str:
    """Source, mount point, type, options, dump, and when it is checked: the root first.

    vfat is not checked at boot: its fsck is in a package that few images have.
    """
    match one.partition:
        case Filesystem(type="ext4", mount=mount, options=options):
            return f"UUID={one.source_id} {mount} ext4 {options} 0 {1 if mount == '/' else 2}"
        case Filesystem(mount=mount, options=options) | Esp(mount=mount, options=options):
            return f"UUID={one.source_id} {mount} vfat {options} 0 0"
        case Swap():
            return f"UUID={one.source_id} none swap sw 0 0"
        case _:
            return ""
