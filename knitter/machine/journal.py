"""What is written down of one command as it runs: its log, the end of its stderr, and the error it may end in."""

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from knitter.command import Command
from knitter.errors import CommandError
from knitter.files import is_full

TAIL_LINES: Final = 20


class Journal:
    """The record of *command* on the machine named *machine*, appended to *log* if there is one."""

    def __init__(self, command: Command, machine: str, log: Path | None) -> None:
        self.command = command
        self._machine = machine
        self._log = log
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._note(f"$ {command}\n")

    @property
    def tail(self) -> str:
        """The last lines of stderr."""
        return "\n".join(self._tail)

    def read(self, stream: Iterable[bytes], on_line: Callable[[str], None] | None = None) -> None:
        """Copy *stream*, the command's stderr, to the log, the tail and *on_line*, line by line."""
        for raw in stream:
            line = self.command.redact(raw.decode(errors="replace").rstrip("\n"))
            self._note(f"{line}\n")
            self._tail.append(line)
            if on_line:
                on_line(line)

    def end(self, code: int, *, check: bool) -> None:
        """Write down the exit code.  Raises CommandError if it is not 0 and *check*."""
        self._note(f"[exit code {code}]\n")
        if check and code:
            raise self.failure(f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}", code)

    def failure(self, reason: str, code: int) -> CommandError:
        """The error of this command."""
        log = f"\nlog: {self._log}" if self._log else ""
        return CommandError(
            f"{self.command.argv[0]} {reason} on {self._machine}",
            code=code,
            details=f"$ {self.command}\n{self.tail}{log}",
        )

    def _note(self, text: str) -> None:
        """A log for which the disk has no room stays short: the work itself goes on, or tells of it."""
        if not self._log:
            return
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except OSError as error:
            if not is_full(error):
                raise
