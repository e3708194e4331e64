"""The host's rpm, without the host's configuration, and what it says of signatures.  Pure.

Left out are /etc/rpm, /etc/rpmrc, and the user's .rpmmacros and .rpmrc; the database is the one that is named.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitter.command import Argument, Command, command

_OWN: Final = ("--macros=/usr/lib/rpm/macros", "--rcfile=/usr/lib/rpm/rpmrc")

_SIGNED: Final = re.compile(r"[Ss]ignature, key ID ([0-9a-f]+): OK$")
_STRANGER: Final = re.compile(r"[Ss]ignature, key ID ([0-9a-f]+): NOKEY$")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one RPM file."""

    path: Path
    what: str
    """Follows the package's name."""
    details: str
    """As rpmkeys printed it."""


def plan(program: str, *words: Argument, database: Path) -> Command:
    """*program* of rpm with a private database and home.

    database: an existing directory, in whose path no % may be: rpm expands it now once and now twice.
    """
    return command(program, *_OWN, f"--define=_dbpath {database}", *words, env={"HOME": str(database)})


def plan_import(keys: Path, database: Path) -> Command:
    """Take armored *keys* into *database*."""
    return plan("rpmkeys", "--import", keys, database=database)


def plan_check(files: Sequence[Path], database: Path) -> Command:
    """Verify digests and signatures of *files*, of which each must have both; see `findings`."""
    level = "--define=_pkgverify_level all"
    return plan("rpmkeys", level, "--checksig", "--verbose", "--", *files, database=database)


def findings(printed: str, files: Sequence[Path]) -> list[Finding]:
    """What `plan_check` *printed* against each of *files*; a file that it does not call good is bad."""
    said: dict[str, list[str]] = {str(path): [] for path in files}
    current: list[str] = []
    for line in printed.splitlines():
        if line.removesuffix(":") in said:
            current = said[line.removesuffix(":")]
        else:
            current.append(line.strip())
    return [Finding(path, what, "\n".join(said[str(path)])) for path in files if (what := _judge(said[str(path)]))]


def _judge(lines: Sequence[str]) -> str:
    if any(line.endswith(": BAD") or ": BAD " in line for line in lines):
        return "is not what was signed: its signature or a digest is bad"
    if strangers := [found[1] for line in lines if (found := _STRANGER.search(line))]:
        return f"is signed with key {strangers[0].upper()}, which packages.keys does not name"
    if not lines:
        return "is no RPM, or a broken one"
    if not any(_SIGNED.search(line) for line in lines):
        return "is not signed"
    odd = [line for line in lines if not line.endswith((": OK", ": NOTFOUND"))]
    return "cannot be verified" if odd else ""
