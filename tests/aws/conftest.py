"""A connection to the lab that tests share."""

import pytest

from knitter.aws.session import Cloud
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY


@pytest.fixture
def cloud(endpoint: str) -> Cloud:
    """As a new run would connect."""
    return Cloud("lab", "eu-central-1", endpoint=endpoint, keys=(ACCESS_KEY, SECRET_KEY))
