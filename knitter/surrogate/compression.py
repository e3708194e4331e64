"""Whether a block is compressed before it is sent: only if that is quicker, as measured on the way."""

import time
import zlib
from typing import Final

from knitter.surrogate.program import RAW, ZLIB
from knitter.units import BLOCK, KIB, MIB

LEVEL: Final = 1
"""zlib's quickest: what a slow network wants to be rid of are zeroes and text."""
SAMPLE_EVERY: Final = 16
"""Blocks between two measurements of how much compression costs and saves."""
FAST: Final = 150.0 * MIB
"""Bytes a second that zlib does not reach: on such a network nothing is tried."""
SAMPLE: Final = 32 * KIB
"""Bytes of a block that such a measurement takes: where nothing is gained, little is lost by asking."""
_WEIGHT: Final = 0.2
"""Of a new measurement against all earlier ones."""


def pays(*, pace: float, ratio: float, seconds: float) -> bool:
    """Whether compressing a block to *ratio* of its size in *seconds* is quicker than sending the rest of it.

    pace: seconds that the network takes for a byte.
    """
    return (1 - ratio) * BLOCK * pace > seconds


class Compression:
    """Decides block by block, from what the last ones took."""

    def __init__(self) -> None:
        self._pace = 0.0  # the network is fast until it proves slow
        self._ratio, self._seconds = 1.0, 0.0
        self._blocks = 0

    def sent(self, size: int, seconds: float) -> None:
        """*size* bytes took the network *seconds*."""
        self._pace += _WEIGHT * (seconds / size - self._pace)

    def encode(self, block: memoryview) -> tuple[int, bytes | memoryview]:
        """Codec and payload of *block*."""
        self._blocks += 1
        if self._blocks % SAMPLE_EVERY == 0 and self._pace > 1 / FAST:
            self._squeeze(block[:SAMPLE])
        if not pays(pace=self._pace, ratio=self._ratio, seconds=self._seconds):
            return RAW, block
        packed = self._squeeze(block)
        return (ZLIB, packed) if len(packed) < BLOCK else (RAW, block)

    def _squeeze(self, piece: memoryview) -> bytes:
        """*piece* compressed; what that took and gave is remembered as if of a whole block."""
        start = time.monotonic()
        packed = zlib.compress(piece, LEVEL)
        share = len(piece) / BLOCK
        self._seconds += _WEIGHT * ((time.monotonic() - start) / share - self._seconds)
        self._ratio += _WEIGHT * (len(packed) / len(piece) - self._ratio)
        return packed
