"""What each answer to PutSnapshotBlock means, how long to pause, and how fast to go.

Source: Amazon EBS User Guide, "Use the EBS direct APIs", error retries: repeat 5xx, throttling, and the
ValidationException "Failed to read block data"; sign anew after InvalidSignatureException.  A snapshot that was just
started may be unknown for a while (eventual consistency).
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 20.0
"""Seconds, of exponential backoff."""
RECOVERY: Final = 30.0
"""Seconds in which the rate grows from nothing to all of it."""
SLOWEST: Final = 4.0
"""Requests a second below which throttling does not push the rate."""
ONE_WAVE: Final = 1.0
"""Seconds within which throttled answers count as one: they were all sent at the old rate."""


class Verdict(Enum):
    """What to do after an answer."""

    DONE = "the block is stored"
    AGAIN = "the same again, after a pause"
    SLOWER = "the same again, and everything slower"
    NEVER = "asking again would not help"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the EBS direct APIs said."""

    status: int
    """HTTP status; 0: no answer came."""
    code: str = ""
    message: str = ""
    reason: str = ""
    """Of a ValidationException or a RequestThrottledException."""
    request: str = ""
    """The request's id."""


_THROTTLED: Final = frozenset({"ThrottlingException", "RequestThrottledException", "RequestLimitExceeded"})
_TRANSIENT: Final = frozenset(
    {"InternalServerException", "RequestTimeout", "RequestTimeoutException", "InvalidSignatureException"}
)


def verdict(answer: Answer, *, settling: bool) -> Verdict:
    """What *answer* means.  *settling*: the snapshot is so new that parts of AWS may not know it yet."""
    if answer.status in {200, 201}:
        return Verdict.DONE
    if answer.code in _THROTTLED or answer.status in {429, 503}:
        return Verdict.SLOWER
    if answer.status == 0 or answer.status >= 500 or answer.code in _TRANSIENT:
        return Verdict.AGAIN
    if answer.code == "ValidationException":
        unread = answer.reason == "WRITE_REQUEST_TIMEOUT" or "Failed to read block data" in answer.message
        return Verdict.AGAIN if unread else Verdict.NEVER
    return Verdict.AGAIN if answer.status == 404 and settling else Verdict.NEVER


def backoff(failures: int, *, rng: random.Random | None = None) -> float:
    """Seconds to pause after the n-th failure in a row: full jitter over an exponential bound."""
    bound = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 16))
    return (rng or random).uniform(0, bound)


class Pace:
    """Spreads requests of all threads evenly at no more than *rate* a second; halves when throttled, then recovers."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._top = rate
        self._rate = rate
        self._clock = clock
        self._next = self._seen = clock()
        self._throttled = float("-inf")
        self._guard = threading.Lock()

    def reserve(self) -> float:
        """Take the next free moment; seconds to wait until then."""
        with self._guard:
            now = self._recover()
            moment = max(self._next, now)
            self._next = moment + 1 / self._rate
            return moment - now

    def throttled(self) -> None:
        """AWS asked for less."""
        with self._guard:
            now = self._recover()
            if now - self._throttled >= ONE_WAVE:
                self._throttled = now
                self._rate = max(self._rate / 2, min(SLOWEST, self._top))

    @property
    def rate(self) -> float:
        """Requests a second, now."""
        with self._guard:
            self._recover()
            return self._rate

    def _recover(self) -> float:
        now = self._clock()
        self._rate = min(self._top, self._rate + (now - self._seen) * self._top / RECOVERY)
        self._seen = now
        return now
