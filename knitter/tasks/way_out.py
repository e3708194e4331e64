"""The way out: whatever ends doit, no process and no temporary directory of knitter's stays behind.

doit runs stages in daemon threads (-n 4): at Ctrl-C it leaves them where they are, and their `finally` never runs.  So
at exit all waits are told to stop, all processes are ended, and the stages get a moment to clean up.  Last, what the
run made in a cloud is removed: it takes its time, and tells of it.
"""

import atexit
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, NoReturn

from knitter import interrupt
from knitter.machine import local

PATIENCE: Final = 10.0
"""Seconds that stages get to clean up."""
AGAIN: Final = 0.1
"""Seconds after which an interrupt that was lost comes again."""

_working: set[int] = set()
_last: list[Callable[[], None]] = []
_guard: Final = threading.Lock()
_before: Final = sys.unraisablehook


def prepare() -> None:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt, which doit knows, and clean up at exit.  In the main thread.

    What is ignored, as SIGHUP under nohup, stays so.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupt)
    atexit.register(_leave)
    sys.excepthook = _say
    sys.unraisablehook = _repeat


def at_end(action: Callable[[], None]) -> None:
    """Do *action* at exit, when everything else has ended.  It must raise nothing."""
    _last.append(action)


@contextmanager
def working() -> Iterator[None]:
    """Around everything that cleans up after itself: the exit waits for it."""
    token = threading.get_ident()
    with _guard:
        _working.add(token)
    try:
        yield
    finally:
        with _guard:
            _working.discard(token)


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Python's last words, but for an interrupt: the user knows where it came from."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _repeat(lost: "sys.UnraisableHookArgs") -> None:
    """Interrupt once more: Python drops what is raised in a callback, such as each import has (seen: 1 of 125)."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        number = signal.Signals.__members__.get(str(lost.exc_value), signal.SIGINT)
        again = threading.Timer(AGAIN, signal.pthread_kill, [threading.main_thread().ident, number])
        again.daemon = True
        again.start()
    else:
        _before(lost)


def _interrupt(number: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _leave() -> None:
    interrupt.stop()
    deadline = time.monotonic() + PATIENCE
    local.stop_all()
    while _working and time.monotonic() < deadline:
        time.sleep(0.02)
        local.stop_all()
    for action in _last:
        action()
