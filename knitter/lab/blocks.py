"""Snapshots' data: one sparse raw file per snapshot, and its blocks' checksums beside it.

    snap-0123.raw      the disk, as QEMU reads it: block i at byte i * 524288
    snap-0123.sha256   complete: 32 bytes per block, digest of block i at byte i * 32; zeroes where no block is
    snap-0123.puts     pending: the same, of the blocks put so far

The files are the whole truth: nothing of a block is kept in memory, and a killed lab finds them as they were.
"""

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

SIZE: Final = 512 * 1024
"""Bytes of a block: what StartSnapshot answers as BlockSize."""
DIGEST: Final = hashlib.sha256().digest_size
_NONE: Final = bytes(DIGEST)
_ZEROES: Final = bytes(SIZE)
_SUFFIXES: Final = (".raw", ".sha256", ".puts")
_PIECE: Final = 1024 * 1024
_STRETCH: Final = 64 * 1024 * 1024
"""Bytes copied between two words of progress."""

Buffer = bytes | bytearray | memoryview


class Blocks:
    """The block files of one directory.  Thread-safe for different snapshots, and for puts into one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def raw(self, snapshot: str) -> Path:
        """The disk of a snapshot."""
        return self.directory / f"{snapshot}.raw"

    def create(self, snapshot: str, *, size: int, parent: str = "") -> None:
        """An empty disk of *size* bytes, or one beginning as its parent's.  Raises OSError if no file can be so big."""
        raw = self.raw(snapshot)
        if parent:
            _copy(self.raw(parent), raw)
            _copy(self._sums(parent), self._sums(snapshot))
        with raw.open("ab") as file:
            file.truncate(size)
        self._puts(snapshot).touch()

    def put(self, snapshot: str, index: int, data: Buffer) -> None:
        """Write one block; its checksum is recorded by `record` afterwards."""
        _write_at(self.raw(snapshot), data, index * SIZE)

    def record(self, snapshot: str, index: int, digest: bytes) -> None:
        """Block *index* is there, with this digest."""
        _write_at(self._puts(snapshot), digest, index * DIGEST)

    def is_pending(self, snapshot: str) -> bool:
        """It was not completed yet."""
        return self._puts(snapshot).exists()

    def touched(self, snapshot: str) -> float:
        """When the last block was put, or the snapshot started: seconds since 1970."""
        try:
            return self._puts(snapshot).stat().st_mtime
        except FileNotFoundError:  # somebody removed it
            return 0.0

    def puts(self, snapshot: str) -> tuple[int, bytes]:
        """How many blocks were put, and the SHA-256 over their digests in ascending order."""
        total, count = hashlib.sha256(), 0
        for _, digest in _entries(self._puts(snapshot), 0):
            total.update(digest)
            count += 1
        return count, total.digest()

    def complete(self, snapshot: str) -> None:
        """From now on the snapshot has its parent's blocks and, over them, those that were put.  Again: no change."""
        puts, sums = self._puts(snapshot), self._sums(snapshot)
        if not puts.exists():
            return
        if sums.exists():
            for index, digest in _entries(puts, 0):
                _write_at(sums, digest, index * DIGEST)
            puts.unlink()
        else:
            puts.replace(sums)

    def copy(self, source: str, target: str) -> None:
        """*target* becomes a complete snapshot with the same blocks."""
        _copy(self.raw(source), self.raw(target))
        _copy(self._sums(source), self._sums(target))

    def expect(self, snapshot: str) -> None:
        """A pending snapshot whose disk is about to be written as a whole; see `record_all`."""
        self._puts(snapshot).touch()

    def record_all(self, snapshot: str) -> Iterator[float]:
        """Record each block of the disk that is not all zero.  Gives shares of 1 done."""
        with self.raw(snapshot).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            last = -1
            for begin, end in _data(file.fileno(), 0, size):
                for index in range(max(begin // SIZE, last + 1), -(-end // SIZE)):
                    data = os.pread(file.fileno(), SIZE, index * SIZE)
                    if data != _ZEROES:
                        self.record(snapshot, index, hashlib.sha256(data).digest())
                    last = index
                yield end / size

    def digests(self, snapshot: str, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Index and digest of each block of a complete snapshot, ascending, from *start* on."""
        return _entries(self._sums(snapshot), start)

    def digest(self, snapshot: str, index: int) -> bytes:
        """The digest of one block of a complete snapshot; empty if there is none."""
        found = _read_at(self._sums(snapshot), DIGEST, index * DIGEST)
        return b"" if found == _NONE else found

    def read(self, snapshot: str, index: int) -> bytes:
        """One block."""
        return _read_at(self.raw(snapshot), SIZE, index * SIZE)

    def delete(self, snapshot: str) -> None:
        """Free all files of a snapshot."""
        for path in self.directory.glob(f"{snapshot}.*"):
            path.unlink(missing_ok=True)

    def clean(self, known: Collection[str]) -> None:
        """Remove the files of snapshots that are not *known*: the lab was killed while it made or deleted them."""
        for path in self.directory.glob("snap-*"):
            if path.stem not in known or path.suffix not in _SUFFIXES:
                path.unlink()

    def _sums(self, snapshot: str) -> Path:
        return self.directory / f"{snapshot}.sha256"

    def _puts(self, snapshot: str) -> Path:
        return self.directory / f"{snapshot}.puts"


def _write_at(path: Path, data: Buffer, offset: int) -> None:
    # Opened for each write: a file descriptor kept could be another file's by the time a slow thread uses it.
    descriptor = os.open(path, os.O_WRONLY)
    try:
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written
    finally:
        os.close(descriptor)


def _read_at(path: Path, length: int, offset: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)


def _entries(path: Path, start: int) -> Iterator[tuple[int, bytes]]:
    """Index and digest of every block that is there; holes cost nothing, however large the volume."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for begin, end in _data(file.fileno(), start * DIGEST, size):
            for offset in range(begin, end, _PIECE):  # file systems keep holes in units of far more than 32
                yield from _present(os.pread(file.fileno(), min(_PIECE, end - offset), offset), offset // DIGEST)


def _present(data: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    for number in range(len(data) // DIGEST):
        digest = data[number * DIGEST : (number + 1) * DIGEST]
        if digest != _NONE:
            yield first + number, digest


def _copy(source: Path, target: Path) -> None:
    if source.exists():
        for _ in copy_sparse(source, target):
            pass


def copy_sparse(source: Path, target: Path) -> Iterator[float]:
    """Copy the data and keep the holes.  Gives shares of 1 done."""
    with source.open("rb") as reader, target.open("wb") as writer:
        size = os.fstat(reader.fileno()).st_size
        writer.truncate(size)
        for start, end in _data(reader.fileno(), 0, size):
            for offset in range(start, end, _STRETCH):
                _copy_range(reader.fileno(), writer.fileno(), offset, min(end, offset + _STRETCH))
                yield offset / size


def _data(descriptor: int, start: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a sparse file holds data, from *start* on."""
    while start < size:
        try:
            start = os.lseek(descriptor, start, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole follows
            return
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end
        start = end


def _copy_range(reader: int, writer: int, start: int, end: int) -> None:
    while start < end:
        start += os.copy_file_range(reader, writer, end - start, start, start)
