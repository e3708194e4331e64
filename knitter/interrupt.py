"""The way out: one flag that every long wait and every worker thread looks at.

Ctrl-C reaches only the main thread.  Whatever runs elsewhere, or sleeps, learns of it here.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from knitter.errors import KnitterError

_stopping: Final = threading.Event()
_cleaning: Final = threading.local()


class Interrupted(KnitterError):  # noqa: N818 (as KeyboardInterrupt)
    """The user asked knitter to stop."""

    def __init__(self) -> None:
        super().__init__("interrupted", hint="run the same command again to continue")


def stop() -> None:
    """Ask everything to stop."""
    _stopping.set()


def check() -> None:
    """Raise Interrupted if everything is to stop."""
    if _stopping.is_set() and not _is_cleaning():
        raise Interrupted


def sleep(seconds: float) -> None:
    """Sleep for *seconds*.  Raises Interrupted as soon as everything is to stop."""
    if _is_cleaning():
        time.sleep(seconds)
    elif _stopping.wait(seconds):
        raise Interrupted


@contextmanager
def cleaning() -> Iterator[None]:
    """Inside, in this thread, nothing is Interrupted: what must not be left behind is being removed."""
    before = _is_cleaning()
    _cleaning.on = True
    try:
        yield
    finally:
        _cleaning.on = before


def _is_cleaning() -> bool:
    return getattr(_cleaning, "on", False)
