"""Runs on the surrogate: writes the blocks that come on stdin to a device, and acknowledges what it read back.

Python 3.9's standard library only; its text is sent along behind that of `examine`, nothing stays behind.  Arguments:
device, its size in bytes, `fresh` or `resumed`.  On stdin frames as FRAME says, each followed by its payload; the last
is of length 0 and index 0.  On stdout, line by line:

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
import zlib
from pathlib import Path
from typing import BinaryIO

from knitter.surrogate.examine import RefusedError, check_content, check_unused, open_when_free

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
SECTOR = 4096
"""Bytes; what O_DIRECT wants at most as alignment."""
BLKFLSBUF = 0x1261
F_SETPIPE_SZ = 1031


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
        check_content(device.plain, device.size, fresh=state == "fresh")
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
