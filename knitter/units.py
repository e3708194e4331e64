"""Sizes and durations: how they are written, and the few that the world fixes."""

import re
from typing import Final

SECTOR: Final = 512
KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
TIB: Final = 1024 * GIB
BLOCK: Final = 512 * KIB
"""Bytes in a block of the EBS direct APIs."""

_SIZES: Final = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": TIB}
_DURATIONS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_QUANTITY: Final = re.compile(r"(\d+)\s*([A-Za-z]+)")


def parse_size(text: str) -> int:
    """Bytes of a size such as `8GiB`.  Raises ValueError."""
    return _parse(text, _SIZES, "a size such as 8GiB or 512MiB")


def parse_duration(text: str) -> int:
    """Seconds of a duration such as `24h`.  Raises ValueError."""
    return _parse(text, _DURATIONS, "a duration such as 90s, 30min, 24h or 7d")


def format_size(size: int) -> str:
    """The shortest exact form: 8589934592 -> `8GiB`; 1000 -> `1000B`."""
    for unit, factor in reversed(_SIZES.items()):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return "0B"


def human_size(size: float) -> str:
    """A size to read, not to parse: `1.3 GiB`."""
    for unit, factor in reversed(_SIZES.items()):
        if size >= factor:
            return f"{size / factor:.1f} {unit}" if factor > 1 else f"{int(size)} B"
    return "0 B"


def _parse(text: str, units: dict[str, int], expected: str) -> int:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r} is not {expected}; units: {', '.join(units)}")
    return int(match[1]) * units[match[2]]
