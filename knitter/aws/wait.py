"""Waiting for the cloud: one function, one deadline, progress, and a way out."""

import time
from collections.abc import Callable, Collection
from typing import Final, TypeVar

from knitter import interrupt
from knitter.aws.explain import explained
from knitter.errors import CloudError

T = TypeVar("T")

FIRST_PAUSE: Final = 0.1
LAST_PAUSE: Final = 15.0
"""Seconds between two looks: grows from the first to the last, so that the lab is quick and AWS is not bothered."""
SETTLING: Final = 60.0
"""Seconds in which what was just made may not be known everywhere in AWS (eventual consistency)."""


def wait_for(what: str, look: Callable[[], T | None], *, limit: float, hint: str = "") -> T:
    """What *look* finds, once it is not None.

    limit: seconds; generous, for giving up deletes nothing.  Raises CloudError when they are over, Interrupted when the
    user wants to stop.
    """
    deadline = time.monotonic() + limit
    pause = FIRST_PAUSE
    while (found := look()) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise CloudError(f"{what}: still waiting after {limit / 60:.0f} min", code="Timeout", hint=hint)
        interrupt.sleep(min(pause, left))
        pause = min(pause * 1.5, LAST_PAUSE)
    return found


def wait_known(doing: str, ask: Callable[[], T], *, codes: Collection[str], limit: float = SETTLING) -> T:
    """What *ask* answers; asked again, *limit* seconds long, while AWS refuses with one of *codes*.

    Such as NotFound of what was just made, or a state that will pass.  Raises the CloudError of the last refusal.
    """
    deadline = time.monotonic() + limit

    def look() -> tuple[T] | None:
        try:
            with explained(doing):
                return (ask(),)
        except CloudError as refused:
            if refused.code not in codes or time.monotonic() > deadline:
                raise
            return None

    return wait_for(doing, look, limit=2 * limit)[0]
