"""Which tests stay together when several run side by side, and in which order.

Tests of a file share its fixtures, those of files that use the desk on which debian-12 is built share that.  What takes
minutes begins first, so that the processors end together.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

_LONG: Final = ("boot", "lab")
"""Markers, the longest tests' first."""
_SHARED: Final = re.compile(r"\b(debian|el6_desk|el9_desk): Desk\b")
"""Desks of tests/conftest.py, which several files use."""


class Scheduling(LoadScopeScheduling):
    """By group; xdist's own, by its marks, gives up with pytest 9: it renames tests, which that does not allow."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.partition("::")[0])


@cache
def group(path: str) -> str:
    """The name of what the tests in the file *path* share."""
    found = _SHARED.search(Path(__file__).parent.parent.joinpath(path).read_text())
    return found[1] if found else path


def arrange(items: list[pytest.Item]) -> None:
    """Sort *items*: groups with long tests first, the largest of these before all."""
    ranks = dict[str, int]()
    for item in items:
        name = _group(item)
        ranks[name] = min(ranks.get(name, len(_LONG)), _rank(item))
    items.sort(key=lambda item: (ranks[_group(item)], _group(item) != "debian"))


def _group(item: pytest.Item) -> str:
    return group(item.nodeid.partition("::")[0])


def _rank(item: pytest.Item) -> int:
    markers = {marker.name for marker in item.iter_markers()}
    return next((number for number, name in enumerate(_LONG) if name in markers), len(_LONG))
