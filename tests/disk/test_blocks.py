import hashlib
import random
from pathlib import Path

import pytest

from knitter.disk import blocks
from knitter.errors import KnitterError
from knitter.units import BLOCK, GIB, KIB

Piece = tuple[int, bytes]


def sparse(path: Path, size: int, *pieces: Piece) -> Path:
    """A file of *size* bytes with these (offset, bytes) in it and holes elsewhere."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)
    return path


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


NOISE = random.Random(1).randbytes(BLOCK)


@pytest.mark.parametrize(
    ("size", "pieces", "indexes"),
    [
        (4 * BLOCK, [], []),
        (4 * BLOCK, [(BLOCK, bytes(BLOCK))], []),
        (4 * BLOCK, [(0, NOISE), (2 * BLOCK, bytes(BLOCK)), (3 * BLOCK, NOISE)], [0, 3]),
        (4 * BLOCK, [(BLOCK - 1, b"xx")], [0, 1]),
        (4 * BLOCK, [(BLOCK + 1, b"x"), (BLOCK + 256 * KIB, b"y")], [1]),
        (4 * BLOCK + 1000, [(4 * BLOCK + 999, b"x")], [4]),
        (200 * GIB, [(199 * GIB, b"x")], [199 * GIB // BLOCK]),
        (300 * BLOCK, [(0, NOISE * 300)], list(range(300))),
    ],
    ids=["hole", "zeroes", "holes between", "across a border", "two in one", "short last", "huge", "many"],
)
def test_only_blocks_that_are_not_zero_are_listed_and_copied(
    tmp_path: Path, size: int, pieces: list[Piece], indexes: list[int]
) -> None:
    disk = sparse(tmp_path / "disk", size, *pieces)
    digest = blocks.write(disk, tmp_path / "list", copy=tmp_path / "copy")
    found = blocks.read(tmp_path / "list")
    assert (found.size, found.digest, len(found)) == (size, digest, len(indexes))
    assert [index for index, _ in found] == indexes
    with disk.open("rb") as original, (tmp_path / "copy").open("rb") as copy:
        for index, sha in found:
            original.seek(index * BLOCK)
            copy.seek(index * BLOCK)
            data = original.read(BLOCK)
            assert copy.read(BLOCK) == data
            assert sha == sha256(data.ljust(BLOCK, b"\0"))
    assert (tmp_path / "copy").stat().st_size == size
    assert (tmp_path / "copy").stat().st_blocks * 512 <= len(indexes) * BLOCK


def test_the_same_content_gives_the_same_list_whatever_is_hole(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.write_bytes(bytes(BLOCK) + NOISE + bytes(BLOCK))
    holes = sparse(tmp_path / "holes", 3 * BLOCK, (BLOCK, NOISE))
    assert blocks.write(full, tmp_path / "a") == blocks.write(holes, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("size", "pieces"),
    [(3 * BLOCK, [(0, NOISE)]), (2 * BLOCK, [(BLOCK, NOISE)]), (2 * BLOCK, [(0, NOISE[:-1])])],
    ids=["size", "place", "content"],
)
def test_another_disk_gives_another_digest(tmp_path: Path, size: int, pieces: list[Piece]) -> None:
    one = sparse(tmp_path / "one", 2 * BLOCK, (0, NOISE))
    other = sparse(tmp_path / "other", size, *pieces)
    assert blocks.write(one, tmp_path / "a") != blocks.write(other, tmp_path / "b")


def test_the_format_is_golden(tmp_path: Path) -> None:
    disk = sparse(tmp_path / "disk", 3 * BLOCK, (2 * BLOCK, b"knitter"))
    blocks.write(disk, tmp_path / "list")
    digest = hashlib.sha256(b"knitter".ljust(BLOCK, b"\0")).hexdigest()
    assert (tmp_path / "list").read_text() == f"knitter blocks 1\nsize 1572864\n2 {digest}\n"


@pytest.mark.parametrize(
    "text", ["", "something else\n", "knitter blocks 2\nsize 1\n", "knitter blocks 1\nsize 1\n0 zz\n"]
)
def test_what_is_no_list_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(KnitterError, match="is not a list of blocks"):
        blocks.read(tmp_path / "list")
