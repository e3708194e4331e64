"""The partition table, by sfdisk: well kept, and deterministic once every place and id is given."""

import re
from typing import Final

from knitter.command import command
from knitter.disk.geometry import Layout, Slice
from knitter.disk.image import Image
from knitter.recipe.lvm import Lvm
from knitter.recipe.packages import Architecture
from knitter.recipe.partitions import BiosBoot, Esp, Filesystem, Swap

_LONGEST_NAME: Final = 36
"""Of a GPT partition, in UTF-16 units."""
_ROOT_TYPES: Final = {
    "x86_64": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    "arm64": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
}
"""https://uapi-group.org/specifications/specs/discoverable_partitions_specification/"""
_TYPES: Final = {
    "bios-boot": "21686148-6449-6E6F-744E-656564454649",
    "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "swap": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
}


def write_table(image: Image, layout: Layout, architecture: Architecture) -> None:
    """Write the table of *layout* into *image*, which is empty and has the disk's size."""
    argv = ("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", image.path)
    image.run(command(*argv, stdin=table_script(layout, architecture)))


def table_script(layout: Layout, architecture: Architecture) -> str:
    """What sfdisk reads.

    On msdos the root is marked bootable, or /boot if the root is a volume: some BIOSes start no disk without a mark.
    """
    if layout.label == "msdos":
        head = ["label: dos", f"label-id: 0x{layout.disk_id:08x}"]
        marked = layout.holding("/boot" if layout.root.group else "/").number
        lines = [_msdos_line(one) + (", bootable" if one.number == marked else "") for one in layout.slices]
    else:
        head = ["label: gpt", f"label-id: {layout.uuid}"]
        lines = [_gpt_line(one, architecture) for one in layout.slices]
    return "\n".join([*head, "unit: sectors", "", *lines]) + "\n"


def _gpt_line(one: Slice, architecture: Architecture) -> str:
    kind, name = _gpt_type(one, architecture)
    name = re.sub(r"[^A-Za-z0-9/._-]", "_", name)[:_LONGEST_NAME]
    return f'start={one.first_sector}, size={one.sectors}, type={kind}, uuid={one.guid}, name="{name}"'


def _gpt_type(one: Slice, architecture: Architecture) -> tuple[str, str]:
    """Type and name of a partition in a GPT."""
    match one.partition:
        case Filesystem(mount="/"):
            return _ROOT_TYPES[architecture], "root"
        case Filesystem(type="vfat", mount=mount):
            return "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", mount[1:]
        case Filesystem(mount=mount):
            return "0FC63DAF-8483-4772-8E79-3D69D8477DE4", mount[1:]
        case Lvm(group=group):
            return "E6D6D379-F507-44C2-A23C-238F2A3DF928", group
        case BiosBoot(kind=kind) | Esp(kind=kind) | Swap(kind=kind):
            return _TYPES[kind], kind


def _msdos_line(one: Slice) -> str:
    return f"start={one.first_sector}, size={one.sectors}, type={_msdos_type(one)}"


def _msdos_type(one: Slice) -> str:
    match one.partition:
        case Esp():
            return "ef"
        case Swap():
            return "82"
        case Lvm():
            return "8e"
        case Filesystem(type="vfat"):
            return "c"
        case Filesystem() | BiosBoot():
            return "83"
