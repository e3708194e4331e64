"""Swap space in place: its one page, written here, since mkswap takes no offset before util-linux 2.40."""

import struct
from pathlib import Path
from typing import Final

from knitter.disk.geometry import Slice

_PAGE: Final = 4096
"""Bytes.  A kernel with other pages (some of arm64) refuses it; the images that EC2 starts have these."""


def make(disk: Path, one: Slice) -> None:
    """Make *one* a swap space.  Layout: union swap_header in the kernel's include/linux/swap.h."""
    header = struct.pack("<III16s16s", 1, one.size // _PAGE - 1, 0, one.uuid.bytes, b"")
    page = b"\0" * 1024 + header
    with disk.open("r+b") as file:
        file.seek(one.offset)
        file.write(page.ljust(_PAGE - 10, b"\0") + b"SWAPSPACE2")
