"""How text may look where it goes: colour, signs, width.  Pure but for `look_of`, which asks the stream.

NO_COLOR is honoured (https://no-color.org); a stream that is no terminal gets no colour.  Signs are ASCII where the
stream's encoding or an explicit C locale says so: Python writes UTF-8 even under LC_ALL=C (PEP 540).
"""

import contextlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TextIO

from knitter.files import is_full

Style = Literal["", "bold", "dim", "red", "green", "yellow", "bold red"]

_CODES: Final[dict[Style, str]] = {
    "": "", "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "bold red": "1;31",
}  # fmt: skip
_CONTROL: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Signs:
    """The few signs that are not letters."""

    done: str = "✓"
    failed: str = "✗"
    starts: str = "▸"
    hint: str = "→"
    more: str = "…"
    full: str = "━"
    empty: str = "┄"


ASCII: Final = Signs(done="+", failed="!", starts=">", hint="->", more="...", full="#", empty=".")


@dataclass(frozen=True)
class Look:
    """What one stream can show."""

    colour: bool = False
    signs: Signs = Signs()
    width: int = 80

    def paint(self, text: str, style: Style) -> str:
        """*text* in *style*, if there is colour."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colour and style and text else text

    def fit(self, text: str, room: int) -> str:
        """*text* cut to *room* columns."""
        more = self.signs.more
        return text if len(text) <= room else text[: max(room - len(more), 0)] + more[: max(room, 0)]


PLAIN: Final = Look()


def look_of(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Look:
    """The look of *stream*; off a terminal a line has 80 columns."""
    terminal = is_terminal(stream, environ)
    return Look(
        colour=terminal and not environ.get("NO_COLOR"),
        signs=Signs() if _shows_unicode(stream, environ) else ASCII,
        width=shutil.get_terminal_size().columns if terminal else 80,
    )


def is_terminal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether *stream* is a terminal that understands escapes."""
    return stream.isatty() and environ.get("TERM", "dumb") not in {"dumb", "unknown", ""}


def is_live(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody watches: a terminal, and not a CI's (which sets CI)."""
    return is_terminal(stream, environ) and environ.get("CI", "").lower() in {"", "0", "false"}


def clean(text: str) -> str:
    """*text* without what would move a terminal's cursor or change its colours: it may come from a guest's console."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def writable(text: str, stream: TextIO) -> str:
    """*text* with what *stream* cannot encode replaced."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def write(stream: TextIO, text: str) -> None:
    """Write *text* and a line's end, at once.

    A reader that went away (`| head`), or a disk without room for a log, is no reason to stop the work.
    """
    try:
        stream.write(writable(text, stream) + "\n")
        stream.flush()
    except OSError as error:
        if not (isinstance(error, BrokenPipeError) or is_full(error)):
            raise
        _discard(stream)


def _discard(stream: TextIO) -> None:
    """Let what *stream* still holds go nowhere, else Python complains when it exits (its docs: signal, on SIGPIPE)."""
    with contextlib.suppress(OSError), Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def _shows_unicode(stream: TextIO, environ: Mapping[str, str]) -> bool:
    locale = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    try:
        "".join(vars(Signs()).values()).encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return locale not in {"C", "POSIX"}
