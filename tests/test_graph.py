"""The graph's table for a recipe of the Debian family."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.graph import Rows


@pytest.mark.boot
class TestDebian(Rows):
    parent = "debian-12"

    @classmethod
    @contextmanager
    def ground(cls, root: Path, cache: Path) -> Iterator[Desk]:
        desk = Desk(root, cache, {"boot_check": "no"})
        yield desk
        desk.stop_lab()
