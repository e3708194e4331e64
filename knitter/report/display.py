"""Where the words of a run go while it runs: a live table on a terminal, plain lines elsewhere.

Both are called from several threads at once.
"""

import atexit
import sys
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from knitter.report.look import Look, clean, is_live, look_of, write
from knitter.report.rows import rows
from knitter.report.run import Running
from knitter.units import human_size

if TYPE_CHECKING:
    from rich.live import Live as RichLive
    from rich.text import Text

_PATIENCE: Final = 10.0
"""Seconds between two plain lines about one stage."""
_LEAST: Final = 0.1
"""What more of the whole must be done for a new plain line."""
_MARGIN: Final = 2
"""Columns left free at the right: the terminal echoes ^C there, and must not begin a new line for it."""


class Display(Protocol):
    """What the reporter needs of it."""

    def heard(self, stage: Running, now: float) -> None:
        """*stage* said something."""

    def print(self, text: str) -> None:
        """Write a line that stays."""

    def close(self) -> None:
        """Show nothing that moves any more."""


def display_on(stream: TextIO, running: Callable[[], Sequence[Running]]) -> Display:
    """The display that suits *stream*; *running* gives the stages at work, whenever asked."""
    return Live(stream, running) if is_live(stream) else Lines(stream)


class Lines:
    """Plain lines, few of them: a start with its reason, then at most one every 10 s per stage, and only for news."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._look = look_of(stream)
        self._last: dict[str, tuple[float, Running]] = {}
        self._lock = Lock()

    def heard(self, stage: Running, now: float) -> None:
        """Print it, if it is time and news."""
        with self._lock:
            when, before = self._last.get(stage.task, (stage.started, Running(stage.task, stage.started)))
            starts = bool(stage.reason) and not before.reason
            if not starts and (now - when < _PATIENCE or not _is_news(before, stage)):
                return
            self._last[stage.task] = (now, stage)
        sign = self._look.signs.starts
        self.print(f"{sign} {stage.task}  {stage.reason if starts else _words(stage, now)}".rstrip())

    def print(self, text: str) -> None:
        """Write a line."""
        with self._lock:
            write(self._stream, text)

    def close(self) -> None:
        """Nothing moves here."""


class Live:
    """A table of the running stages at the bottom of the terminal; everything printed scrolls above it."""

    def __init__(self, stream: TextIO, running: Callable[[], Sequence[Running]]) -> None:
        self._stream = stream
        self._running = running
        self._look = look_of(stream)
        self._live: RichLive | None = None
        self._closed = False
        self._lock = Lock()

    def heard(self, stage: Running, now: float) -> None:
        """The table asks for itself; the first word starts it."""
        with self._lock:
            if self._live is None and not self._closed:  # after Ctrl-C the threads of doit run on for a moment
                self._live = self._start()
                atexit.register(self.close)  # the cursor comes back even if doit itself breaks

    def print(self, text: str) -> None:
        """Write a line above the table."""
        from rich.text import Text  # noqa: PLC0415 keeps `doit list` fast

        if self._live:
            self._live.console.print(Text.from_ansi(text), soft_wrap=True, highlight=False)
        else:
            write(self._stream, text)

    def close(self) -> None:
        """Take the table away and give the cursor back."""
        with self._lock:
            self._closed = True
            live, self._live = self._live, None
        if live:
            live.stop()

    def _start(self) -> "RichLive":
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live as RichLive  # noqa: PLC0415

        console = Console(file=self._stream, force_terminal=True, no_color=not self._look.colour)
        live = RichLive(
            console=console,
            get_renderable=lambda: self._table(console.width, console.height),
            refresh_per_second=8,
            transient=True,
            redirect_stdout=self._stream is sys.stdout,
            redirect_stderr=sys.stderr.isatty(),
        )
        live.start()
        return live

    def _table(self, width: int, height: int) -> "Text":
        from rich.text import Text  # noqa: PLC0415

        look = Look(self._look.colour, self._look.signs, width - _MARGIN)
        table = rows(self._running(), time.monotonic(), look=look, most=max(height - 2, 1))
        lines = [Text.assemble(*[(text, style if look.colour else "") for text, style in row]) for row in table]
        joined = Text("\n", no_wrap=True, overflow="crop").join(lines)
        joined.no_wrap, joined.overflow = True, "crop"
        return joined


def _is_news(before: Running, now: Running) -> bool:
    if now.text != before.text:
        return True
    old, new = before.share(), now.share()
    return now.done != before.done if old is None or new is None else new - old >= _LEAST


def _words(stage: Running, now: float) -> str:
    share, rate = stage.share(), stage.rate(now)
    amount = human_size(stage.done) if stage.unit == "B" and stage.done is not None else ""
    said = [
        clean(stage.text),
        "" if share is None else f"{int(share * 100)} %",
        amount,
        f"{human_size(rate)}/s" if rate and stage.unit == "B" else "",
    ]
    return "  ".join(word for word in said if word)
