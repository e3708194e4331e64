"""The texts that GRUB and update-grub read, written so that both come to the same menu.

/etc/default/grub.d/50-knitter.cfg   the recipe's arguments, for every later update-grub in the running image
/boot/grub/grub.cfg                  what GRUB reads now; update-grub replaces it
load.cfg and its like                where GRUB's core finds the rest: by the id of the file system, not by disk number
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from knitter.disk.geometry import Layout

DEFAULTS: Final = "/etc/default/grub.d/50-knitter.cfg"
MENU: Final = "/boot/grub/grub.cfg"
ENVIRONMENT: Final = "/boot/grub/grubenv"
_SERIAL: Final = re.compile(r"console=ttyS(\d+)(?:,(\d+))?")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel in /boot."""

    version: str
    image: str
    """File name, such as `vmlinuz-6.1.0-40-cloud-amd64`."""
    initrd: str
    """File name of its initramfs."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where /boot is, as GRUB sees it."""

    filesystem_id: str
    directory: str
    """Of /boot inside its file system: `/boot`, or empty if it is a file system of its own."""

    @property
    def prefix(self) -> str:
        """GRUB's own directory."""
        return f"{self.directory}/grub"


def place_of_boot(layout: Layout) -> Place:
    """Where /boot lies on the disk of *layout*."""
    holder = layout.holding("/boot")
    return Place(holder.source_id, "" if holder.mount == "/boot" else "/boot")


def defaults_text(arguments: str) -> str:
    """Settings for update-grub.  A file of its own: /etc/default/grub belongs to a package."""
    serial = _serial_command(arguments)
    lines = [
        "# Written by knitter from the section [boot] of the recipe.",
        "GRUB_TIMEOUT=0",
        'GRUB_CMDLINE_LINUX_DEFAULT=""',
        f'GRUB_CMDLINE_LINUX="{arguments}"',
        f'GRUB_TERMINAL="{_terminals(serial)}"',
        *([f'GRUB_SERIAL_COMMAND="{serial}"'] if serial else []),
        "GRUB_DISABLE_OS_PROBER=true",
    ]
    return "\n".join(lines) + "\n"


def menu_text(place: Place, kernels: Iterable[Kernel], *, title: str, root_id: str, arguments: str) -> str:
    """The menu: the first of *kernels* is started at once, the others can be chosen."""
    serial = _serial_command(arguments)
    head = [
        "# Written by knitter; update-grub replaces it with its like.",
        "if [ -s $prefix/grubenv ]; then load_env; fi",
        "set default=0",
        "set timeout=0",
        *([serial] if serial else []),
        f"terminal_input {_terminals(serial)}",
        f"terminal_output {_terminals(serial)}",
        f"search --no-floppy --fs-uuid --set=root {place.filesystem_id}",
    ]
    entries = [_entry(place, kernel, title, f"root=UUID={root_id} ro {arguments}".strip()) for kernel in kernels]
    return "\n".join([*head, *entries]) + "\n"


def load_text(place: Place) -> str:
    """What GRUB's core does first."""
    return f"search.fs_uuid {place.filesystem_id} root\nset prefix=($root)'{place.prefix}'\n"


def stub_text(place: Place) -> str:
    """What a signed GRUB, whose core nobody may change, reads on the EFI system partition."""
    return load_text(place) + "configfile $prefix/grub.cfg\n"


def environment_block() -> bytes:
    """An empty environment block: 1,024 bytes, always, since GRUB writes into it in place."""
    return b"# GRUB Environment Block\n".ljust(1024, b"#")


def version_order(version: str) -> list[tuple[int, int | str]]:
    """Sorts versions as people count: 6.1.9 before 6.1.10."""
    return [(1, int(part)) if part.isdigit() else (0, part) for part in re.findall(r"\d+|\D+", version)]


def _entry(place: Place, kernel: Kernel, title: str, arguments: str) -> str:
    return (
        f"menuentry '{title}, with Linux {kernel.version}' {{\n"
        f"\tlinux {place.directory}/{kernel.image} {arguments}\n"
        f"\tinitrd {place.directory}/{kernel.initrd}\n"
        "}"
    )


def _serial_command(arguments: str) -> str:
    """GRUB's command for the last serial console of *arguments*; empty if there is none."""
    found = _SERIAL.findall(arguments)
    if not found:
        return ""
    unit, speed = found[-1]
    return f"serial --unit={unit} --speed={speed or 9600}"


def _terminals(serial: str) -> str:
    return "serial console" if serial else "console"
