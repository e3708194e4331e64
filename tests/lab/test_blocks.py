import hashlib
import os
from pathlib import Path

import pytest

from knitter.lab.blocks import DIGEST, SIZE, Blocks


@pytest.fixture
def blocks(tmp_path: Path) -> Blocks:
    return Blocks(tmp_path)


def put(blocks: Blocks, name: str, index: int, data: bytes) -> bytes:
    digest = hashlib.sha256(data).digest()
    blocks.put(name, index, data)
    blocks.record(name, index, digest)
    return digest


def test_blocks_lie_at_their_offset_in_a_sparse_file(blocks: Blocks) -> None:
    blocks.create("snap-1", size=1 << 30)
    data = os.urandom(SIZE)
    digest = put(blocks, "snap-1", 100, data)
    blocks.complete("snap-1")
    raw = blocks.raw("snap-1")
    assert raw.stat().st_size == 1 << 30
    assert raw.stat().st_blocks * 512 < 4 * SIZE
    assert blocks.read("snap-1", 100) == data
    assert list(blocks.digests("snap-1")) == [(100, digest)]
    assert blocks.digest("snap-1", 100) == digest
    assert blocks.digest("snap-1", 99) == blocks.digest("snap-1", 2000) == b""


def test_digests_ascend_from_the_start_asked_for(blocks: Blocks) -> None:
    blocks.create("snap-1", size=1 << 34)
    wanted = {index: put(blocks, "snap-1", index, os.urandom(8)) for index in (30000, 5, 4, 128, 127, 129, 0)}
    blocks.complete("snap-1")
    assert list(blocks.digests("snap-1")) == sorted(wanted.items())
    assert [index for index, _ in blocks.digests("snap-1", 127)] == [127, 128, 129, 30000]


def test_a_block_put_twice_counts_once_with_its_last_content(blocks: Blocks) -> None:
    blocks.create("snap-1", size=1 << 30)
    put(blocks, "snap-1", 1, b"first")
    last = [put(blocks, "snap-1", 1, b"last"), put(blocks, "snap-1", 2, b"other")]
    assert blocks.puts("snap-1") == (2, hashlib.sha256(b"".join(last)).digest())


def test_a_child_begins_as_its_parent_and_outlives_it(blocks: Blocks) -> None:
    blocks.create("snap-1", size=1 << 30)
    old = {index: put(blocks, "snap-1", index, os.urandom(SIZE)) for index in (0, 9)}
    blocks.complete("snap-1")
    blocks.create("snap-2", size=2 << 30, parent="snap-1")
    blocks.delete("snap-1")
    new = put(blocks, "snap-2", 9, os.urandom(SIZE))
    assert blocks.puts("snap-2")[0] == 1
    blocks.complete("snap-2")
    assert list(blocks.digests("snap-2")) == [(0, old[0]), (9, new)]
    assert hashlib.sha256(blocks.read("snap-2", 0)).digest() == old[0]
    assert blocks.raw("snap-2").stat().st_size == 2 << 30


def test_completing_again_changes_nothing(blocks: Blocks) -> None:
    blocks.create("snap-1", size=1 << 30)
    put(blocks, "snap-1", 0, b"x")
    blocks.complete("snap-1")
    before = list(blocks.digests("snap-1"))
    blocks.complete("snap-1")
    assert list(blocks.digests("snap-1")) == before


def test_what_a_killed_lab_left_half_made_is_removed(blocks: Blocks) -> None:
    blocks.create("snap-1", size=1 << 30)
    blocks.create("snap-2", size=1 << 30)
    blocks.clean({"snap-2"})
    assert sorted(path.name for path in blocks.directory.iterdir()) == ["snap-2.puts", "snap-2.raw"]


def test_listing_an_almost_empty_huge_volume_reads_no_holes(blocks: Blocks) -> None:
    blocks.create("snap-1", size=1 << 40)
    digest = put(blocks, "snap-1", (1 << 40) // SIZE - 1, b"end")
    blocks.complete("snap-1")
    assert list(blocks.digests("snap-1")) == [((1 << 40) // SIZE - 1, digest)]
    assert len(digest) == DIGEST
