"""What a recipe may need of the host that builds it, besides tools.  Each is asked by a child process that tries it."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from knitter.command import command
from knitter.errors import KnitterError
from knitter.machine.local import Local
from knitter.recipe.model import Need

_NO_CORE: Final = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
"""The child may well be killed for it, and its memory is of no interest."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that a host has or has not."""

    trial: str
    """Python text; the host has it if that ends with exit code 0."""
    lacking: str
    """What is the matter without it; follows `this host`."""
    hint: str


KNOWN: Final[Mapping[Need, Requirement]] = {
    "vsyscall": Requirement(
        # time(), which the kernel shows each process at this address, or does not: arch/x86/entry/vsyscall in Linux
        "import ctypes\n"
        "time = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(0xFFFFFFFFFF600400)\n"
        "raise SystemExit(time(None) <= 0)\n",
        "has no vsyscall page: programs of EL 6 and its glibc 2.12 are killed when they ask the time",
        "put vsyscall=xonly on its kernel command line and reboot, or build in a guest or an instance whose kernel was "
        "started with that",
    ),
}


def require(needs: Iterable[Need], *, known: Mapping[Need, Requirement] = KNOWN) -> None:
    """Raise KnitterError naming the first of *needs* that this host has not."""
    for need in needs:
        wanted = known[need]
        if fault := find_fault(wanted.trial):
            brief = f"this host {wanted.lacking}"
            raise KnitterError(
                brief, details=f'the recipe says needs = ["{need}"]; the trial: {fault}', hint=wanted.hint
            )


def find_fault(trial: str) -> str:
    """How a child that runs *trial*, Python text, failed; "" if it did not."""
    done = Local().run(command(sys.executable, "-I", "-S", "-c", _NO_CORE + trial), check=False, timeout=60)
    if done.code < 0:
        return f"a child process was killed by signal {-done.code}"
    return f"a child process ended with exit code {done.code}" if done.code else ""
