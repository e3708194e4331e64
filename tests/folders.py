"""Folders of tests that make disks.  A run of all makes tens of GiB of them, so what has passed goes as soon as it can.

After a failure all stays, to be looked at.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def passing(request: pytest.FixtureRequest, path: Path) -> Iterator[Path]:
    """*path*, removed at the end if no test has failed until then."""
    yield path
    if not request.session.testsfailed:
        shutil.rmtree(path, ignore_errors=True)  # what cannot be removed is pytest's to remove


@contextmanager
def shared(request: pytest.FixtureRequest, name: str) -> Iterator[Path]:
    """A new one, for a fixture of a class or module."""
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    with passing(request, factory.mktemp(name)) as path:
        yield path
