"""A lab for the stages that end in a cloud."""

from pathlib import Path

import pytest

from tests.stages.small import Desk


@pytest.fixture
def desk(tmp_path: Path, endpoint: str) -> Desk:
    """With a disk that no other test has."""
    desk = Desk(tmp_path, endpoint)
    desk.make_disk()
    return desk
