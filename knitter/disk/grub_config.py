"""The texts that GRUB 2 reads, whatever the family of distributions.

grub.cfg               the menu, which the distribution's own tools replace later with its like
load.cfg and its like  where GRUB's core finds the rest: by the id of the file system, not by disk number
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from knitter.disk.geometry import Layout
from knitter.disk.kernels import Kernel
from knitter.recipe.boot import Firmware

_SERIAL: Final = re.compile(r"console=ttyS(\d+)(?:,(\d+))?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where /boot is, as GRUB sees it."""

    filesystem_id: str
    directory: str
    """Of /boot inside its file system: `/boot`, or empty if it is a file system of its own."""
    folder: str = "grub"
    """GRUB's own, in /boot."""

    @property
    def prefix(self) -> str:
        """GRUB's own directory."""
        return f"{self.directory}/{self.folder}"


@dataclass(frozen=True, slots=True)
class Menu:
    """What there is to start, and how."""

    place: Place
    kernels: list[Kernel]
    """The first is started at once, the others can be chosen."""
    title: str
    root: str
    """As root= names it."""
    arguments: str
    firmware: Firmware

    @property
    def command_line(self) -> str:
        """What the kernel is told."""
        return f"root={self.root} ro {self.arguments}".strip()


def place_of_boot(layout: Layout, folder: str) -> Place:
    """Where /boot lies on the disk of *layout*.  folder: GRUB's own in it."""
    holder = layout.holding("/boot")
    return Place(holder.source_id, "" if holder.mount == "/boot" else "/boot", folder)


def menu_text(menu: Menu, note: str) -> str:
    """The menu with all its entries.  note: a comment on who replaces it."""
    return "\n".join([*head(menu, note), *(_entry(menu, kernel) for kernel in menu.kernels)]) + "\n"


def head(menu: Menu, note: str, default: Iterable[str] = ("set default=0",)) -> list[str]:
    """The lines of a menu before its entries.  default: those that choose one."""
    serial = serial_command(menu.arguments)
    return [
        note,
        "if [ -s $prefix/grubenv ]; then load_env; fi",
        *default,
        "set timeout=0",
        *([serial] if serial else []),
        f"terminal_input {terminals(serial)}",
        f"terminal_output {terminals(serial)}",
        f"search --no-floppy --fs-uuid --set=root {menu.place.filesystem_id}",
    ]


def load_text(place: Place) -> str:
    """What GRUB's core does first."""
    return f"search.fs_uuid {place.filesystem_id} root\nset prefix=($root)'{place.prefix}'\n"


def stub_text(place: Place) -> str:
    """What a signed GRUB, whose core nobody may change, reads on the EFI system partition."""
    return load_text(place) + "configfile $prefix/grub.cfg\n"


def environment_block() -> bytes:
    """An empty environment block: 1,024 bytes, always, since GRUB writes into it in place."""
    return b"# GRUB Environment Block\n".ljust(1024, b"#")


def _entry(menu: Menu, kernel: Kernel) -> str:
    return (
        f"menuentry '{menu.title}, with Linux {kernel.version}' {{\n"
        f"\tlinux {menu.place.directory}/{kernel.image} {menu.command_line}\n"
        f"\tinitrd {menu.place.directory}/{kernel.initrd}\n"
        "}"
    )


def serial_command(arguments: str) -> str:
    """GRUB's command for the last serial console of *arguments*; empty if there is none."""
    found = _SERIAL.findall(arguments)
    if not found:
        return ""
    unit, speed = found[-1]
    return f"serial --unit={unit} --speed={speed or 9600}"


def terminals(serial: str) -> str:
    """What GRUB talks to; *serial* as above."""
    return "serial console" if serial else "console"
