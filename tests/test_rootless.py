"""The same lock gives the same disk.raw: in another directory, from another cache, as root and as an ordinary user."""

import shutil
from pathlib import Path

import pytest

from knitter.files import sha256_of
from tests import rootless
from tests.desk import Desk

pytestmark = pytest.mark.boot
NAME = "debian-12"


def disk(desk: Desk) -> Path:
    return desk.build / NAME / "disk.raw"


def test_another_directory_and_an_empty_cache(debian: Desk, tmp_path: Path) -> None:
    """As whoever runs the tests; with the trees on the disk, not in memory."""
    other = Desk(tmp_path / "elsewhere", tmp_path / "cache", {"scratch": "disk"})
    pin(debian, other)
    other.doit(f"disk:{NAME}")
    assert sha256_of(disk(other)) == sha256_of(disk(debian))


def test_an_ordinary_user(debian: Desk) -> None:
    with rootless.folder() as folder, rootless.user() as user:
        other = Desk(folder / "desk", folder / "home/cache")
        pin(debian, other)
        rootless.doit(folder, other, user, f"disk:{NAME}")
        assert disk(other).stat().st_uid != 0
        assert sha256_of(disk(other)) == sha256_of(disk(debian))


def pin(from_desk: Desk, to_desk: Desk) -> None:
    """The same lock for both."""
    shutil.copy(from_desk.build / NAME / "packages.lock", to_desk.root / "recipes" / NAME)
