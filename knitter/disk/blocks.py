"""disk.blocks: index and SHA-256 of each block of 512 KiB that is not all zeroes.

Text, so that two lists can be compared with diff; indices ascend:

    knitter blocks 1
    size 8589934592
    0 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    2 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752

A last block that the disk's end cuts short is hashed with zeroes up to its full length, as EBS stores it.  Equal lists
mean equal disks, of the same size; so the SHA-256 of this file stands for the content of disk.raw.
"""

import errno
import hashlib
import os
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from knitter.errors import KnitterError
from knitter.progress import say
from knitter.units import BLOCK

_TITLE: Final = b"knitter blocks 1\n"
_DIGEST: Final = 32
_BATCH: Final = 64
"""Blocks handed to the threads at once: between batches it tells how far it is."""
_THREADS: Final = 2
"""Reading, hashing and writing release the interpreter; more threads than that wait for memory."""
_ZEROES: Final = bytes(BLOCK)


@dataclass(frozen=True)
class Blocks:
    """What a disk.blocks says; 36 bytes of memory for each block."""

    size: int
    """Of the disk, in bytes."""
    digest: str
    """sha256 of the file, which stands for the disk's whole content."""
    indexes: "array[int]" = field(repr=False)
    digests: bytes = field(repr=False)

    def __len__(self) -> int:
        return len(self.indexes)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Index and SHA-256 of each block, ascending."""
        for position, index in enumerate(self.indexes):
            yield index, self.digests[position * _DIGEST : (position + 1) * _DIGEST]


def read(path: Path) -> Blocks:
    """The list at *path*.  Raises KnitterError if it is none."""
    try:
        with path.open("rb") as file:
            return _parse(file)
    except (OSError, ValueError) as error:
        raise KnitterError(
            f"{path} is not a list of blocks", details=str(error), hint="remove it, and doit disk makes it anew"
        ) from None


def _parse(file: BinaryIO) -> Blocks:
    title, size = file.readline(), file.readline()
    if title != _TITLE or not size.startswith(b"size "):
        raise ValueError(f"it begins with {title!r}")
    hashed, indexes, digests = hashlib.sha256(title + size), array("Q"), bytearray()
    for line in file:
        hashed.update(line)
        index, digest = line.split()
        indexes.append(int(index))
        digests += bytes.fromhex(digest.decode())
    return Blocks(int(size[5:]), hashed.hexdigest(), indexes, bytes(digests))


def write(source: Path, target: Path, *, copy: Path | None = None) -> str:
    """Write the list of the disk *source* to *target*, and the disk itself, sparse, to *copy*; the list's SHA-256.

    Holes and blocks of zeroes stay holes.  Memory does not depend on the disk's size.  Raises OSError.
    """
    hashed = hashlib.sha256()
    with ExitStack() as files:
        disk = files.enter_context(source.open("rb")).fileno()
        out = files.enter_context(copy.open("wb")).fileno() if copy else None
        text = files.enter_context(target.open("wb"))
        size = os.fstat(disk).st_size
        if out is not None:
            os.truncate(out, size)
        for line in _lines(disk, size, out):
            hashed.update(line)
            text.write(line)
    return hashed.hexdigest()


def data_blocks(disk: int, size: int) -> Iterator[int]:
    """Indexes of the blocks of the open file *disk* that are not all hole, ascending."""
    after, end = -1, 0
    while end < size:
        try:
            start = os.lseek(disk, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but hole up to the end
                return
            raise
        end = os.lseek(disk, start, os.SEEK_HOLE)
        first = max(start // BLOCK, after + 1)
        after = (end - 1) // BLOCK
        yield from range(first, after + 1)


def _lines(disk: int, size: int, copy: int | None) -> Iterator[bytes]:
    yield _TITLE + f"size {size}\n".encode()
    indexes = data_blocks(disk, size)
    with ThreadPoolExecutor(_THREADS) as pool:
        while batch := list(islice(indexes, _BATCH)):
            say("writing the disk", done=batch[-1] * BLOCK, total=size, unit="B")
            for index, digest in zip(batch, pool.map(partial(_take, disk, copy), batch), strict=True):
                if digest:
                    yield f"{index} {digest}\n".encode()


def _take(disk: int, copy: int | None, index: int) -> str:
    """Copy one block; its SHA-256, or nothing if it is all zeroes."""
    data = os.pread(disk, BLOCK, index * BLOCK)
    if data == _ZEROES[: len(data)]:
        return ""
    if copy is not None and os.pwrite(copy, data, index * BLOCK) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return hashlib.sha256(data.ljust(BLOCK, b"\0")).hexdigest()
