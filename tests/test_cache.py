"""The cache of files by content."""

import hashlib
import os
from pathlib import Path

import pytest

from knitter.cache import Cache
from knitter.errors import KnitterError

CONTENT = b"content"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path / "cache")
    made.open()
    return made


def put(cache: Cache) -> Path:
    cache.partial(SHA256).write_bytes(CONTENT)
    return cache.put(cache.partial(SHA256), SHA256)


def test_find(cache: Cache) -> None:
    assert cache.find(SHA256, len(CONTENT)) is None
    path = put(cache)
    assert path == cache.directory / "sha256" / SHA256[:2] / SHA256
    assert cache.find(SHA256, len(CONTENT)) == path
    assert cache.find(SHA256, len(CONTENT) + 1) is None
    assert path.stat().st_mode & 0o222 == 0


def test_put_twice(cache: Cache) -> None:
    put(cache)
    assert put(cache).read_bytes() == CONTENT


def test_verified(cache: Cache) -> None:
    path = put(cache)
    assert cache.verified(SHA256) == path


def test_damaged_file_is_told_and_removed(cache: Cache) -> None:
    path = put(cache)
    path.chmod(0o644)
    path.write_bytes(b"konkent")
    with pytest.raises(KnitterError, match="was damaged, and is removed") as caught:
        cache.verified(SHA256)
    assert "run again" in caught.value.hint
    assert cache.find(SHA256, len(CONTENT)) is None


def test_missing_file_cannot_be_verified(cache: Cache) -> None:
    with pytest.raises(KnitterError, match="cannot be read"):
        cache.verified(SHA256)


def test_space_that_is_not_there(cache: Cache) -> None:
    cache.require_space(0)
    with pytest.raises(KnitterError, match=f"no space left in the cache {cache.directory}") as caught:
        cache.require_space(2**70)
    assert "cache_directory" in caught.value.hint


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(KnitterError, match="cannot write in the cache"):
        Cache(tmp_path / "file/cache").open()


def test_prune(cache: Cache) -> None:
    old, new = (cache.path(digit * 64) for digit in "ab")
    for path, time in ((old, 1000), (new, 2000)):
        path.parent.mkdir()
        path.touch()
        os.utime(path, (time, time))
    cache.prune(before=1500)
    assert (old.exists(), new.exists()) == (False, True)
