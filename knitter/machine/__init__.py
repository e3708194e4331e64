"""Where commands run.  The only room that starts processes or speaks SSH.

Machine      run a Command, get its Output; knows nothing of its own lifetime
local        this host
namespace    root inside a private namespace of this host, with a scratch directory that cannot be left behind
ssh          another host
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from knitter.command import Command


@dataclass(frozen=True, slots=True)
class Output:
    """What a command left: exit code, all of stdout, and the end of stderr."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Stdout as text, without the last newline."""
        return self.stdout.decode(errors="replace").rstrip("\n")


class Machine(Protocol):
    """A place where commands run."""

    @property
    def name(self) -> str:
        """As errors name it: `this host`, `admin@192.0.2.7`."""

    def run(
        self,
        command: Command,
        *,
        log: Path | None = None,
        check: bool = True,
        timeout: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        """Run *command* to its end.

        log: the command line, its stderr and its exit code are appended to this file.
        check: raise CommandError when the exit code is not 0.
        timeout: seconds after which the command is killed and CommandError raised.
        on_line: called with each line of stderr as it comes, from a thread of the machine's own.
        """
