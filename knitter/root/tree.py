"""Where a root tree is made."""

from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitter.command import Command
from knitter.distro import bootstrap
from knitter.distro.chroot import inside
from knitter.distro.redhat import install
from knitter.errors import CommandError, KnitterError
from knitter.machine import Machine, Output

_KNOWN: Final = {
    "No space left on device": (
        "no space left",
        "make room in the build directory, or in memory; scratch in .doit.cfg says where trees are made",
    ),
    "mknod failed - Operation not permitted": (
        "a package holds device nodes, which only root may make",
        "run doit as root for this recipe",
    ),
}
"""What a command that failed may have said -> what happened, and what to do."""


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

    def run(self, what: str, command: Command, *, on_line: Callable[[str], None] | None = None) -> str:
        """Run beside the tree; what it printed.

        what: as an error names it: `packing the root tree`.  on_line: see Machine.run; it may call `say`.
        """
        context = copy_context()  # of the stage: the machine calls from a thread of its own
        follow = (lambda line: context.run(on_line, line)) if on_line else None
        output = self.machine.run(command, log=self.log, on_line=follow, check=False)
        if output.code:
            raise self._failure(what, output)
        return output.text

    def inside(self, what: str, command: Command, *, script: Path | None = None) -> str:
        """Run in the tree, without a network; what it printed.  script: a file of the host, there /run/script."""
        return self.run(what, inside(self.path, command, epoch=self.epoch, script=script))

    def _failure(self, what: str, output: Output) -> KnitterError:
        details = f"{output.stderr}\nlog: {self.log}"
        for said, (happened, hint) in _KNOWN.items():
            if said in output.stderr:
                return KnitterError(f"{what}: {happened}", details=details, hint=hint)
        package = bootstrap.failed_package(output.stderr) or install.failed_package(output.stderr)
        brief = f"{what} failed with exit code {output.code}" + (f": package {package}" if package else "")
        return CommandError(brief, code=output.code, details=details)
