"""A shape on loopback, for the fixtures `el6` and `el9`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.file_server import FileServer
from tests.synthetic import Distribution, Shape, ensure


@dataclass(frozen=True, slots=True)
class Served:
    """A distribution and the server that stands for its mirrors."""

    distribution: Distribution
    server: FileServer

    @property
    def url(self) -> str:
        """Of what `Shape.repositories` and `Shape.key` give paths below."""
        return self.server.url


@contextmanager
def served(shape: Shape) -> Iterator[Served]:
    """*shape*, until the block ends."""
    distribution = ensure(shape)
    with FileServer(distribution.www) as server:
        yield Served(distribution, server)
