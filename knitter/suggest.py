"""The nearest right word to a wrong one."""

import difflib
from collections.abc import Iterable
from typing import Final

_LISTED: Final = 20


def closest(found: str, allowed: Iterable[str]) -> str:
    """`did you mean ...?` if something in *allowed* is near to *found*, else nothing."""
    close = difflib.get_close_matches(found, sorted(allowed), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


def closest_of_many(found: str, allowed: Iterable[str]) -> str:
    """As `closest`, for tens of thousands of words: only those of like length and beginning are compared."""
    near = [one for one in allowed if one[:1] == found[:1] and abs(len(one) - len(found)) <= 3]
    close = difflib.get_close_matches(found, near, n=1, cutoff=0.75)
    return f"did you mean {close[0]!r}?" if close else ""


def nearest(found: str, allowed: Iterable[str]) -> str:
    """`did you mean ...?` if something in *allowed* is near to *found*, else the list of what is allowed."""
    names = sorted(allowed)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return closest(found, names) or f"allowed: {', '.join(names[:_LISTED])}{more}"
