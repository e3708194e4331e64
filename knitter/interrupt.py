"""The way out: one flag that every long wait and every worker thread looks at.

Ctrl-C reaches only the main thread.  Whatever runs elsewhere, or sleeps, learns of it here.
"""

import threading
from typing import Final

from knitter.errors import KnitterError

_stopping: Final = threading.Event()


class Interrupted(KnitterError):  # noqa: N818 (as KeyboardInterrupt)
    """The user asked knitter to stop."""

    def __init__(self) -> None:
        super().__init__("interrupted", hint="run the same command again to continue")


def stop() -> None:
    """Ask everything to stop."""
    _stopping.set()


def check() -> None:
    """Raise Interrupted if everything is to stop."""
    if _stopping.is_set():
        raise Interrupted


def sleep(seconds: float) -> None:
    """Sleep for *seconds*.  Raises Interrupted as soon as everything is to stop."""
    if _stopping.wait(seconds):
        raise Interrupted
