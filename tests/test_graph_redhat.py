"""The graph's table for a recipe of the RPM family."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.graph import Rows
from tests.ground import settled
from tests.synthetic import EL9
from tests.synthetic.served import served


@pytest.mark.boot
class TestRedhat(Rows):
    parent = "almalinux-9"

    @classmethod
    @contextmanager
    def ground(cls, root: Path, cache: Path) -> Iterator[Desk]:
        with served(EL9) as one, settled(one, cls.parent, root, cache, boot_check="no") as desk:
            yield desk
