"""A lab for the stages that end in a cloud."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from knitter.lab import service
from tests.stages.small import Desk


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("lab")
    try:
        yield service.ensure(directory).endpoint
    finally:
        service.stop(directory)


@pytest.fixture
def desk(tmp_path: Path, endpoint: str) -> Desk:
    """With a disk that no other test has."""
    desk = Desk(tmp_path, endpoint)
    desk.make_disk()
    return desk
