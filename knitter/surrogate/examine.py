"""Whether a device may be written.  Runs on the surrogate, sent along with `program`: Python 3.9's library only."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

BUSY = 45
"""Seconds to wait for a device that the program of an earlier connection still has open: it ends after 30 idle ones."""
EDGE = 1024 * 1024
"""Bytes at both ends of a device where partition tables and file systems have their marks."""
SIGNATURES = (
    # where, mark, whose it is
    (510, b"\x55\xaa", "a partition table (MBR)"),
    (512, b"EFI PART", "a partition table (GPT)"),
    (1080, b"\x53\xef", "an ext file system"),
    (0, b"XFSB", "an XFS file system"),
    (0, b"LUKS\xba\xbe", "an encrypted volume (LUKS)"),
    (536, b"LVM2 001", "an LVM volume"),
    (4086, b"SWAPSPACE2", "swap"),
)


class RefusedError(Exception):
    """The device is not to be written."""


def open_when_free(path: str, flags: int) -> int:
    """Open *path*, waiting for an earlier program to let go of it."""
    deadline = time.monotonic() + BUSY
    while True:
        try:
            return os.open(path, flags)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            if time.monotonic() > deadline:
                raise RefusedError("is in use") from error
        time.sleep(0.2)


def check_unused(path: str, proc: Path = Path("/proc"), sysfs: Path = Path("/sys")) -> None:
    """Raise RefusedError if *path*, or a partition of it, is mounted, is swap, or part of another device."""
    status = Path(path).stat()
    if not stat.S_ISBLK(status.st_mode):
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("is no block device")
        return
    number = number_of(status.st_rdev)
    disk = sysfs / "dev/block" / number
    parts = [disk, *(mark.parent for mark in disk.glob("*/partition"))]
    holders = sorted(holder.name for part in parts for holder in part.glob("holders/*"))
    if holders:
        raise RefusedError("is part of " + ", ".join(holders))
    check_mounts({number, *((part / "dev").read_text().strip() for part in parts[1:])}, proc)


def check_mounts(numbers: set[str], proc: Path) -> None:
    """Raise RefusedError if one of the devices *numbers*, such as `259:1`, is mounted or swap."""
    for line in (proc / "self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[2] in numbers:
            raise RefusedError(f"is mounted at {fields[4]}")
    for line in (proc / "swaps").read_text().splitlines()[1:]:
        swap = Path(line.split()[0])
        if swap.exists() and number_of(swap.stat().st_rdev) in numbers:
            raise RefusedError("is used as swap")


def number_of(device: int) -> str:
    """As the kernel's files write it."""
    return f"{os.major(device)}:{os.minor(device)}"


def check_content(descriptor: int, size: int, *, fresh: bool) -> None:
    """Raise RefusedError unless the device has *size* bytes and, if it must be *fresh*, nothing at its ends."""
    found = os.lseek(descriptor, 0, os.SEEK_END)
    if found != size:
        raise RefusedError(f"has {found} bytes, not {size}")
    if not fresh:
        return
    head = os.pread(descriptor, EDGE, 0)
    tail = os.pread(descriptor, EDGE, max(0, size - EDGE))
    for where, mark, name in SIGNATURES:
        if head[where : where + len(mark)] == mark:
            raise RefusedError("is not fresh: it holds " + name)
    if any(head) or any(tail):
        raise RefusedError("is not fresh: it is not all zeroes")
