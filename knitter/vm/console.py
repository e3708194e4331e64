"""What a guest wrote on its serial console: the end of it in plain text, and the signs that it will never boot."""

import re
from pathlib import Path
from typing import Final

_WINDOW: Final = 65536
"""Bytes at the end that are looked at."""
_CONTROL: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_()][0-9A-B]?|[^\t\x20-\x7e\u00a0-\uffff]"
)
"""Escape sequences, and what else does not print."""
SIGNS: Final[tuple[tuple[str, str], ...]] = (
    # (what stands on the console, what it means)
    (r"Kernel panic - not syncing", "the kernel panicked"),
    (r"No bootable device", "the BIOS found nothing to boot"),
    (r"BdsDxe: No bootable option or device was found", "the UEFI firmware found nothing to boot"),
    (r"UEFI Interactive Shell|^Shell>", "the UEFI firmware found nothing to boot"),
    (r"^grub rescue>", "GRUB did not find its files"),
    (r"^grub>", "GRUB found no menu"),
    (r"^GRUB (Hard Disk|Geom|Read) Error|^Error \d+(:|$)", "GRUB legacy did not find its files"),
    (r"^\(initramfs\)", "the initramfs did not find the root file system"),
    (
        r"^dracut Warning: (Boot has failed|Could not boot)|^dracut:/#",
        "the initramfs did not find the root file system",
    ),
    (r"You are in emergency mode", "the system went into emergency mode"),
)


def read(path: Path, count: int) -> list[str]:
    """The last *count* lines at *path* that say something, without control characters."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _WINDOW))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    lines = (plain(line) for line in re.split(r"\r*\n|\r", text))
    return [line for line in lines if line][-count:]


def plain(line: str) -> str:
    """*line* without escape sequences and control characters."""
    return _CONTROL.sub("", line).rstrip()


def find_sign(lines: list[str]) -> str | None:
    """What went wrong for good, if *lines* tell."""
    for line in lines:
        for pattern, meaning in SIGNS:
            if re.search(pattern, line):
                return meaning
    return None
