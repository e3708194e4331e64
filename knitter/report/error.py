"""Errors on their way to the user.

doit 0.37 keeps only the traceback's text of an exception an action raised (BaseFail in its exceptions.py), so a
KnitterError is handed over inside the failure the action returns: see `refusing`.  While dodo.py loads there is no
reporter; doit prints an InvalidDodoFile as `ERROR: text`, without a traceback, and exits with 3: see `loading`.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from doit.exceptions import BaseFail, InvalidDodoFile, TaskFailed

from knitter.errors import KnitterError
from knitter.files import is_full
from knitter.report.look import PLAIN, Look, clean, look_of, writable
from knitter.report.text import indented

P = ParamSpec("P")
T = TypeVar("T")


def render(error: KnitterError, *, look: Look = PLAIN, where: str = "") -> str:
    """*error* as the user reads it: brief, details indented, hint.  *where*, if given, comes first: a task's name."""
    before = f"{look.paint(where, 'bold')}: " if where else ""
    parts = [before + look.paint(clean(error.brief), "bold red")]
    if error.details.strip():
        parts.append(indented(clean(error.details).strip("\n"), 4))
    if error.hint:
        sign = look.signs.hint
        hint = indented(clean(error.hint).strip(), 3 + len(sign)).lstrip()
        parts.append(f"  {look.paint(sign, 'bold')} {hint}")
    return "\n".join(parts)


class Refusal(TaskFailed):  # type: ignore[misc]
    """doit's word for a KnitterError; other reporters (`doit -r json`) get it rendered."""

    def __init__(self, error: KnitterError) -> None:
        super().__init__(render(error))
        self.error = error


def refusing(action: Callable[P, T]) -> Callable[P, T | Refusal]:
    """*action*, for doit: a KnitterError becomes the failure it returns, and so does a full disk.

    Other exceptions stay: those are bugs.
    """

    @wraps(action)  # doit looks at the signature to pass parameters
    def act(*args: P.args, **kwargs: P.kwargs) -> T | Refusal:
        try:
            return action(*args, **kwargs)
        except KnitterError as error:
            return Refusal(error)
        except OSError as error:
            if not is_full(error):
                raise
            return Refusal(KnitterError("no space left", details=str(error), hint="make room, and run it again"))

    return act


@contextmanager
def loading() -> Iterator[None]:
    """Wrap what dodo.py and the task creators do: a KnitterError ends doit with its text and exit code 3."""
    try:
        yield
    except KnitterError as error:
        text = render(error, look=look_of(sys.stderr))
        raise InvalidDodoFile(writable(text, sys.stderr)) from None


def creating(creator: Callable[[], Iterator[dict[str, Any]]]) -> Callable[[], Iterator[dict[str, Any]]]:
    """A generator of tasks (`task_build`) in which a KnitterError is treated as `loading` does."""

    @wraps(creator)
    def create() -> Iterator[dict[str, Any]]:
        with loading():
            yield from creator()

    return create


def explain(fail: BaseFail, *, task: str, log: Path | None, show_trace: bool) -> KnitterError:
    """What to tell of doit's *fail* of *task*; a bug's traceback goes beside the log, unless it is to be shown."""
    if isinstance(fail, Refusal):
        return _with_log(fail.error, log)
    if not fail.traceback:
        return KnitterError(f"{task} failed", details=fail.message)
    return _bug("".join(fail.traceback), None if show_trace else log)


def near(path: Path) -> str:
    """*path* as short as it can be said from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _with_log(error: KnitterError, log: Path | None) -> KnitterError:
    if log is None or not log.is_file() or not log.stat().st_size or log.name in error.details:
        return error
    details = f"{error.details.rstrip()}\nlog: {near(log)}".strip()
    return KnitterError(error.brief, details=details, hint=error.hint)


def _bug(trace: str, log: Path | None) -> KnitterError:
    brief = f"a bug in knitter: {trace.strip().splitlines()[-1]}"
    if log is None:
        return KnitterError(brief, details=trace)
    crash = log.with_suffix(".crash")
    try:
        crash.parent.mkdir(parents=True, exist_ok=True)
        crash.write_text(trace)
    except OSError:
        return KnitterError(brief, details=trace)
    return KnitterError(brief, details=f"traceback: {near(crash)}", hint="please report it, with that file")
