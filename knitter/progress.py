"""How far work has come: stages say it, the reporter shows it.

Any code may call `say`; without a listener nothing happens.  The stage is known from the context (`task`), so nobody
hands a reporter around.  A thread started inside a stage does not inherit it: let the stage's own thread speak.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One word on a running task.  `done` of `total` in `unit`: "B" for bytes, else a plural noun."""

    task: str
    text: str
    done: int | None = None
    total: int | None = None
    unit: str = ""
    reason: str = ""
    """Why the task runs: said once, first."""
    stays: bool = False
    """A line for the user to keep, not how far the work is."""


_task: ContextVar[str] = ContextVar("task", default="")
_listeners: list[Callable[[Progress], None]] = []


def listen(listener: Callable[[Progress], None]) -> Callable[[], None]:
    """Send every word to *listener*, which must be quick and thread-safe.  Returns what ends it."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def say(text: str, *, done: int | None = None, total: int | None = None, unit: str = "", reason: str = "") -> None:
    """Tell the listeners what the current task is at."""
    _tell(Progress(_task.get(), text, done, total, unit, reason))


def note(text: str) -> None:
    """Tell the listeners what the user shall read when there is time for it, such as a command."""
    _tell(Progress(_task.get(), text, stays=True))


def _tell(word: Progress) -> None:
    for listener in tuple(_listeners):
        listener(word)


@contextmanager
def task(name: str) -> Iterator[None]:
    """Everything said inside is about the task *name*, such as `disk:debian-12`."""
    token = _task.set(name)
    try:
        yield
    finally:
        _task.reset(token)
