"""The nearest right word to a wrong one."""

import difflib
from collections.abc import Iterable


def nearest(found: str, allowed: Iterable[str]) -> str:
    """`did you mean ...?` if something in *allowed* is near to *found*, else the list of what is allowed."""
    names = sorted(allowed)
    close = difflib.get_close_matches(found, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(names)}"
