"""Where a root tree is made."""

from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitter.command import Command
from knitter.distro.bootstrap import failed_package
from knitter.distro.chroot import inside
from knitter.errors import CommandError, KnitterError
from knitter.machine import Machine

_NO_SPACE: Final = "No space left on device"


@dataclass(frozen=True)
class Tree:
    """A tree of foreign owners, which only commands of its machine may touch."""

    machine: Machine
    place: Path
    """An empty directory on the machine; the tree is in it, beside what making it needs."""
    epoch: int
    """SOURCE_DATE_EPOCH: seconds since 1970."""
    log: Path

    @property
    def path(self) -> Path:
        """The tree's root."""
        return self.place / "tree"

    def run(self, command: Command, *, on_line: Callable[[str], None] | None = None) -> str:
        """Run beside the tree; what it printed.  *on_line*: see Machine.run; it may call `say`."""
        context = copy_context()  # of the stage: the machine calls from a thread of its own
        follow = (lambda line: context.run(on_line, line)) if on_line else None
        try:
            return self.machine.run(command, log=self.log, on_line=follow).text
        except CommandError as error:
            raise _explained(error) from None

    def inside(self, command: Command, *, run: Path | None = None) -> str:
        """Run in the tree, without a network; what it printed.  run: a file of the host, brought in as /run/script."""
        return self.run(inside(self.path, command, epoch=self.epoch, run=run))


def _explained(error: CommandError) -> KnitterError:
    if _NO_SPACE in error.details:
        return KnitterError(
            "no space left while the root tree was made",
            details=error.details,
            hint="make room in the build directory; or set scratch = disk in .doit.cfg, if it was memory that ran out",
        )
    if package := failed_package(error.details):
        return CommandError(
            f"the package {package} could not be installed", code=error.code, details=error.details, hint=error.hint
        )
    return error
