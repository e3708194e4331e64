"""A lab and a connection to it; stopped at the end."""

from collections.abc import Iterator

import pytest

from knitter.aws.session import Cloud
from knitter.lab import service
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("lab")
    try:
        yield service.ensure(directory).endpoint
    finally:
        service.stop(directory)


@pytest.fixture
def cloud(endpoint: str) -> Cloud:
    """As a new run would connect."""
    return Cloud("lab", "eu-central-1", endpoint=endpoint, keys=(ACCESS_KEY, SECRET_KEY))
