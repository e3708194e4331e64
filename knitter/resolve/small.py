"""Small files of which no hash is known: what is wanted of them is verified in other ways."""

import time
from typing import Final

from knitter import interrupt
from knitter.errors import KnitterError
from knitter.fetch import NotOnMirrorError, mirrored
from knitter.resolve.place import Place
from knitter.transport import REACH, GoneError, TransientError, Transport

_ATTEMPTS: Final = 3
_PAUSE: Final = 0.5
"""Seconds before the second attempt; doubled before the third."""


def read(url: str, place: Place, *, limit: int) -> bytes:
    """The file at *url*, or at the site's mirror of it.

    limit: bytes; a larger one is taken for something else.
    Raises KnitterError; NotOnMirrorError if the mirror has no such file.
    """
    transport, there = Transport(1), mirrored(url, place.mirrors)
    for attempt in range(_ATTEMPTS):
        interrupt.check()
        try:
            return _read(transport, there, limit)
        except GoneError as error:
            raise NotOnMirrorError(f"the mirror does not have {there}", details=str(error), hint=REACH) from None
        except TransientError as error:
            if attempt == _ATTEMPTS - 1:
                raise KnitterError(f"{there} cannot be fetched", details=str(error), hint=REACH) from None
        time.sleep(_PAUSE * 2**attempt)
    raise AssertionError


def _read(transport: Transport, url: str, limit: int) -> bytes:
    data = bytearray()
    with transport.open(url, start=0) as answer:
        for chunk in answer.chunks:
            data += chunk
            if len(data) > limit:
                raise KnitterError(f"{url} is refused: larger than {limit} bytes", hint="check the URL in the recipe")
    return bytes(data)
