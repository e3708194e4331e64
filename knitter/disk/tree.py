"""The unpacked root: questions to it, and files put into it.

Always by programs of its own, in a chroot: a link in the tree must never lead out to this host.
"""

import base64
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitter.command import command, script
from knitter.machine import Machine

# With coreutils alone: not every root has tar.
_PUT: Final = """
umask 022
put() {
    mkdir -p "${1%/*}"
    rm -f "$1"
    base64 -d > "$1"
}
"""
_PUT_ONE: Final = """
put {path} <<'END'
{data}END
"""

# $1: a directory that may be missing, $2: where it goes
_TAKE: Final = """
mkdir -p "$1"
mv "$1" "$2"
mkdir -m 0755 "$1"
"""


@dataclass(frozen=True, slots=True)
class Tree:
    """A root file system under *path* of a machine where commands run as root."""

    machine: Machine
    path: Path
    epoch: int
    """Seconds since 1970: what `settle` gives to every file put into it."""
    log: Path

    def run(self, *argv: str, stdin: bytes | str = b"") -> bytes:
        """Run a program of the tree; its stdout.  Raises CommandError."""
        return self.machine.run(command("chroot", self.path, *argv, stdin=stdin), log=self.log).stdout

    def run_script(self, text: str, *argv: str) -> str:
        """Run shell text in the tree, stopping at the first failure; its stdout."""
        return self.run("sh", "-eu", "-s", "-", *argv, stdin=text).decode()

    def read(self, path: str) -> bytes:
        """The bytes of a file.  Raises CommandError."""
        return self.run("cat", path)

    def find(self, *patterns: str) -> list[str]:
        """The absolute paths that match the shell *patterns*, sorted."""
        text = f'for one in {" ".join(patterns)}; do if [ -e "$one" ]; then echo "$one"; fi; done'
        return sorted(self.run_script(text).splitlines())

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write *files*, by absolute path, as root's with mode 0644.  Missing directories are made, links replaced."""
        texts = (_PUT_ONE.format(path=shlex.quote(path), data=_encoded(data)) for path, data in sorted(files.items()))
        self.run_script(_PUT + "".join(texts))

    def take(self, path: str, target: Path) -> Path:
        """Move the directory *path* out of the tree to *target*, and leave an empty one in its place."""
        inside = self.run("readlink", "-m", path).decode().rstrip("\n")  # without links, so safe outside the chroot
        self.machine.run(script(_TAKE, f"{self.path}{inside}", target), log=self.log)
        return target

    def settle(self, *directories: Path) -> None:
        """Give whatever below *directories* is younger than the epoch the epoch as its time."""
        argv = ("-newermt", f"@{self.epoch}", "-exec", "touch", "--no-dereference", f"--date=@{self.epoch}", "{}", "+")
        self.machine.run(command("find", *directories, *argv), log=self.log)


def _encoded(data: bytes) -> str:
    return base64.encodebytes(data).decode()
