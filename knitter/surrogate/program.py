"""Runs on the surrogate: writes the blocks that come on stdin to a device, and acknowledges what it read back.

Python 3.9's standard library only; its text is sent along, nothing stays behind.  Arguments: device, its size in bytes,
`fresh` or `resumed`.  On stdin frames as FRAME says, each followed by its payload; the last is of length 0 and index 0.
On stdout, line by line:

    ready               the device is what it should be; frames may come
    ok 17               block 17 is on the device: read back past the page cache, its SHA-256 is right
    bad 17              it is not; the end
    refused WHY         the device is not to be written; the end
    failed WHY          the device cannot be written; the end
    done                everything is on the device, flushed; the end
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import queue
import signal
import stat
import struct
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import BinaryIO

BLOCK = 512 * 1024
FRAME = struct.Struct(">QBI32s")
"""Index of the block, codec, length of the payload, SHA-256 of the block (filled up with zeroes to its full length)."""
RAW, ZLIB = 0, 1
WORKERS = 4
"""Threads that write: what one waits for, another uses."""
BUFFERS = 8
"""Blocks in memory, at most."""
IDLE = 30
"""Seconds without a whole frame after which knitter is taken for gone: a broken connection may go unnoticed here."""
BUSY = IDLE + 15
"""Seconds to wait for a device that the program of an earlier connection still has open."""
SECTOR = 4096
"""Bytes; what O_DIRECT wants at most as alignment."""
EDGE = 1024 * 1024
"""Bytes at both ends of a device where partition tables and file systems have their marks."""
BLKFLSBUF = 0x1261
F_SETPIPE_SZ = 1031
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


class Device:
    """An open device, or a file in its place."""

    def __init__(self, path: str, size: int) -> None:
        self.size = size
        self.block = stat.S_ISBLK(Path(path).stat().st_mode)
        exclusive = os.O_EXCL if self.block else 0
        self.plain = open_when_free(path, os.O_RDWR | os.O_CLOEXEC | exclusive)
        try:
            # Claimed by `plain`; whoever claims a device may open it again.
            self.direct = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self.direct = -1

    def write(self, view: memoryview, offset: int) -> None:
        """Write; *view* is aligned to pages."""
        descriptor = self._descriptor(view)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def read(self, view: memoryview, offset: int) -> None:
        """Read what the device has, not what the page cache remembers."""
        descriptor = self._descriptor(view)
        if descriptor == self.plain:
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, offset, len(view), os.POSIX_FADV_DONTNEED)
        while view:
            got = os.preadv(descriptor, [view], offset)
            if not got:
                raise OSError(errno.EIO, "the device ended early")
            view, offset = view[got:], offset + got

    def flush(self) -> None:
        """Everything written reaches the device, and its own memory."""
        os.fsync(self.plain)
        if self.block:
            fcntl.ioctl(self.plain, BLKFLSBUF)

    def _descriptor(self, view: memoryview) -> int:
        return self.plain if self.direct < 0 or len(view) % SECTOR else self.direct


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


def check_content(device: Device, *, fresh: bool) -> None:
    """Raise RefusedError unless the device has its size and, if it must be *fresh*, nothing at its ends."""
    size = os.lseek(device.plain, 0, os.SEEK_END)
    if size != device.size:
        raise RefusedError(f"has {size} bytes, not {device.size}")
    if not fresh:
        return
    head = os.pread(device.plain, EDGE, 0)
    tail = os.pread(device.plain, EDGE, max(0, size - EDGE))
    for where, mark, name in SIGNATURES:
        if head[where : where + len(mark)] == mark:
            raise RefusedError("is not fresh: it holds " + name)
    if any(head) or any(tail):
        raise RefusedError("is not fresh: it is not all zeroes")


class Writer:
    """What the threads share."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.free: queue.Queue[mmap.mmap] = queue.Queue()
        self.full: queue.Queue[tuple[int, mmap.mmap, bytes] | None] = queue.Queue()
        self.speaking = threading.Lock()
        for _ in range(BUFFERS):
            self.free.put(mmap.mmap(-1, BLOCK))

    def say(self, text: str) -> None:
        """One line on stdout."""
        with self.speaking:
            os.write(1, f"{text}\n".encode())

    def end(self, text: str, code: int) -> None:
        """Say the last word; nothing more happens."""
        try:
            self.say(text)
        finally:
            os._exit(code)

    def run(self, stream: BinaryIO) -> None:
        """Everything that *stream* brings is on the device then."""
        self.say("ready")
        crew = [threading.Thread(target=self.work, daemon=True) for _ in range(WORKERS)]
        for thread in crew:
            thread.start()
        self.feed(stream)
        for _ in crew:
            self.full.put(None)
        for thread in crew:
            thread.join()
        self.device.flush()
        self.say("done")

    def feed(self, stream: BinaryIO) -> None:
        """Take frames up to the last.  An end without it is a broken connection."""
        while True:
            buffer = self.free.get()
            signal.alarm(IDLE)
            index, codec, length, digest = FRAME.unpack(take(stream, memoryview(bytearray(FRAME.size))))
            if not length:
                signal.alarm(0)
                return
            if codec not in (RAW, ZLIB) or length > BLOCK:
                raise ValueError("this is no frame")
            if codec == ZLIB:
                buffer[:] = zlib.decompress(take(stream, memoryview(bytearray(length))))
            else:
                take(stream, memoryview(buffer)[:length])
            signal.alarm(0)
            self.full.put((index, buffer, digest))

    def work(self) -> None:
        """One thread: blocks until there are no more."""
        back = memoryview(mmap.mmap(-1, BLOCK))
        try:
            while task := self.full.get():
                self.one(back, *task)
        except Exception as error:  # noqa: BLE001 a thread's error would be nobody's
            self.end(f"failed {reason(error)}", 5)

    def one(self, back: memoryview, index: int, buffer: mmap.mmap, digest: bytes) -> None:
        """Write one block, read it back, acknowledge it."""
        length = min(BLOCK, self.device.size - index * BLOCK)
        if length <= 0:
            raise ValueError(f"block {index} lies behind the end of the device")
        self.device.write(memoryview(buffer)[:length], index * BLOCK)
        self.device.read(back[:length], index * BLOCK)
        found = hashlib.sha256(back[:length])
        found.update(bytes(BLOCK - length))
        if found.digest() != digest:
            self.end(f"bad {index}", 6)
        self.free.put(buffer)
        self.say(f"ok {index}")


def take(stream: BinaryIO, view: memoryview) -> memoryview:
    """Fill *view* from *stream*."""
    if stream.readinto(view) != len(view):  # type: ignore[attr-defined]
        raise EOFError("the connection ended early")
    return view


def reason(error: Exception) -> str:
    """One line that tells of *error*."""
    text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
    return " ".join((text or str(error) or repr(error)).split())


def main(path: str, size: str, state: str) -> None:
    """See above."""
    with contextlib.suppress(OSError):  # no pipe, or a host that grants no more
        fcntl.fcntl(0, F_SETPIPE_SZ, 2 * BLOCK)
    try:
        check_unused(path)
        device = Device(path, int(size))
        check_content(device, fresh=state == "fresh")
    except (RefusedError, OSError) as error:
        print("refused", reason(error), flush=True)
        sys.exit(3)
    writer = Writer(device)
    try:
        writer.run(sys.stdin.buffer)
    except EOFError:
        sys.exit(4)
    except Exception as error:  # noqa: BLE001 its reader wants one line
        writer.end(f"failed {reason(error)}", 5)


if __name__ == "__main__":
    main(*sys.argv[1:])
