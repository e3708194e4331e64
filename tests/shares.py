"""Which tests stay together when several run side by side, and in which order.

Tests of a file share its fixtures, those that use the desk on which debian-12 is built share that.  What takes minutes
begins first, so that the processors end together.
"""

from typing import Final

import pytest

_LONG: Final = ("boot", "lab")
"""Markers, the longest tests' first."""


def arrange(items: list[pytest.Item]) -> None:
    """Sort *items* and mark each with its group, for `--dist=loadgroup`."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    ranks = dict[str, int]()
    for item in items:
        ranks[group(item)] = min(ranks.get(group(item), len(_LONG)), _rank(item))
    items.sort(key=lambda item: (ranks[group(item)], group(item) != "debian"))


def group(item: pytest.Item) -> str:
    """The name of what *item* shares."""
    return "debian" if "debian" in getattr(item, "fixturenames", ()) else str(item.path)


def _rank(item: pytest.Item) -> int:
    markers = {marker.name for marker in item.iter_markers()}
    return next((number for number, name in enumerate(_LONG) if name in markers), len(_LONG))
