"""Blocks are compressed where that is quicker, and only there."""

import os
import zlib

from knitter.surrogate.compression import SAMPLE_EVERY, Compression, pays
from knitter.surrogate.program import RAW, ZLIB
from knitter.units import BLOCK, MIB

TEXT = memoryview((b"the same line over and over\n" * BLOCK)[:BLOCK])


def codecs(block: memoryview, *, rate: float, count: int = 4 * SAMPLE_EVERY) -> list[int]:
    """What becomes of *count* blocks on a network that takes *rate* bytes a second."""
    compression, found = Compression(), []
    for _ in range(count):
        codec, payload = compression.encode(block)
        assert (zlib.decompress(payload) if codec == ZLIB else payload) == block
        compression.sent(len(payload), len(payload) / rate)
        found.append(codec)
    return found


def test_what_pays() -> None:
    assert pays(pace=1 / MIB, ratio=0.5, seconds=0.01)
    assert not pays(pace=1 / (1000 * MIB), ratio=0.5, seconds=0.01)
    assert not pays(pace=1 / MIB, ratio=1.0, seconds=0.0)


def test_a_slow_network_gets_compressed_text() -> None:
    found = codecs(TEXT, rate=MIB)
    assert found[-SAMPLE_EVERY:] == [ZLIB] * SAMPLE_EVERY
    assert RAW in found  # it was measured first


def test_a_slow_network_gets_noise_as_it_is() -> None:
    assert set(codecs(memoryview(os.urandom(BLOCK)), rate=MIB)) == {RAW}


def test_a_fast_network_gets_all_as_it_is() -> None:
    assert set(codecs(TEXT, rate=1000 * MIB)) == {RAW}
