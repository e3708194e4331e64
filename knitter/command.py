"""A command as a value: what to run, not how or where.  Machines run it (knitter.machine)."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Argument = str | Path | int


@dataclass(frozen=True, slots=True)
class Command:
    """One program and its arguments.  Never a shell string: a script goes to a shell's stdin."""

    argv: tuple[str, ...]
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the machine's own environment."""
    cwd: Path | None = None
    secrets: tuple[str, ...] = ()
    """Texts never shown: replaced by `***` wherever the command is printed."""

    def __str__(self) -> str:
        return self.redact(shlex.join(self.argv))

    def redact(self, text: str) -> str:
        """*text* without this command's secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def command(
    *argv: Argument,
    stdin: bytes | str = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    secrets: tuple[str, ...] = (),
) -> Command:
    """The command of these arguments."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return Command(tuple(map(str, argv)), data, dict(env or {}), cwd, secrets)


def script(text: str, *argv: Argument, env: Mapping[str, str] | None = None) -> Command:
    """*text* run by sh from stdin, stopping at the first failure; *argv* become $1, $2, ..."""
    return command("sh", "-eu", "-s", "-", *argv, stdin=text, env=env)
