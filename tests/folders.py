"""Folders of several tests.  A run of all makes tens of GiB of disks, so what has passed goes as soon as it can."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def shared(request: pytest.FixtureRequest, name: str) -> Iterator[Path]:
    """For a fixture of a class or module.  After a failure it stays, to be looked at, as pytest's `tmp_path` does."""
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    path = factory.mktemp(name)
    yield path
    if not request.session.testsfailed:
        shutil.rmtree(path)
