"""The disk while it is being made: a plain file on a machine."""

from dataclasses import dataclass
from pathlib import Path

from knitter.command import Command, command
from knitter.disk.geometry import Slice
from knitter.errors import KnitterError
from knitter.machine import Output
from knitter.machine.namespace import Namespace
from knitter.units import human_size


@dataclass(frozen=True, slots=True)
class Image:
    """A file of the disk's size, sparse, at *path* of *machine*."""

    machine: Namespace
    path: Path
    epoch: int
    """Seconds since 1970: the time of whatever is written."""
    log: Path

    @property
    def outside(self) -> Path:
        """Where knitter itself opens it."""
        return self.machine.outside(self.path)

    def run(self, command: Command) -> Output:
        """Run *command* where the file is.  Raises CommandError."""
        return self.machine.run(command, log=self.log)

    def tree_size(self, source: Path) -> int:
        """Bytes that the files below the directory *source* take, in whole pages."""
        return int(self.run(command("du", "--summarize", "--block-size=1", source)).text.split()[0])


def no_room(one: Slice, need: int, details: str = "") -> KnitterError:
    """The error of a file system too small for its files, which take *need* bytes."""
    sizes = f"its files take {human_size(need)}; {one.name} has {human_size(one.size)}"
    return KnitterError(
        f"the file system for {one.mount} is too small",
        details=f"{sizes}\n{details}".strip(),
        hint=f"make the {one.name.split()[0]}, or disk.size, larger in recipe.toml",
    )
