"""Log in to a guest, or an instance, and run its checks."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from knitter.command import script
from knitter.errors import KnitterError
from knitter.machine import Output
from knitter.machine.ssh import Ssh
from knitter.progress import say
from knitter.recipe.boot import Bus, HostKey, Probe
from knitter.recipe.model import Recipe
from knitter.vm import login, qemu
from knitter.vm.checks import ABOUT, Place, plan_checks
from knitter.vm.qemu import Firmware

LOGGED_IN: Final[dict[HostKey, str]] = {
    "given": "SSH answers with the host key it was given",
    "own": "SSH answers with a host key of its own",
}
"""The check that logging in makes."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a guest showed."""

    passed: tuple[str, ...]
    """Names of the checks; all of them."""
    kernel: str
    """Release, such as `6.1.0-28-cloud-amd64`."""
    system: str
    """As it calls itself in /etc/os-release, or in what there was before that."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the ways in which a disk must boot."""

    firmware: Firmware
    disk: Bus = "nvme"

    def __str__(self) -> str:
        """Such as `bios`, or `bios-virtio`."""
        return self.firmware if self.disk == "nvme" else f"{self.firmware}-{self.disk}"


class Watch(Protocol):
    """Looks after a system while it is waited for."""

    name: str

    def __call__(self) -> None:
        """Tell how far it is.  Raises KnitterError if it is lost."""

    def failure(self, brief: str, *, details: str = "", hint: str = "") -> KnitterError:
        """The error *brief*, with what is known of the system."""


def inspect(guest: qemu.Guest, recipe: Recipe, variant: Variant, secrets: login.Secrets, *, log: Path) -> Findings:
    """Check *guest*, which was just powered on.  Raises KnitterError naming the check, or what was waited for."""
    deadline = time.monotonic() + recipe.check.timeout
    watch = login.Watch(guest, name=f"{recipe.name} ({variant})", log=log)
    place = Place(disks=(variant.disk,))
    endpoint = login.plan_endpoint(guest, recipe.check.user, secrets)
    with login.lease(endpoint, secrets.user, watch=watch, seconds=recipe.check.timeout) as machine:
        probes = plan_checks(recipe, variant.firmware, now=time.time(), place=place)
        return run_checks(machine, probes, watch, host_key=recipe.check.host_key, log=log, deadline=deadline)


def run_checks(
    machine: Ssh, probes: tuple[Probe, ...], watch: Watch, *, host_key: HostKey, log: Path, deadline: float
) -> Findings:
    """Run *probes* on *machine*, one after the other.  deadline: of time.monotonic().  Raises KnitterError.

    host_key: how *machine* came by its own.
    """
    for number, probe in enumerate(probes):
        say(f"{watch.name}: {probe.name}", done=number, total=len(probes), unit="checks")
        _check(machine, probe, watch, log=log, deadline=deadline)
    kernel, system = machine.run(script(ABOUT), log=log, timeout=60).text.splitlines()
    return Findings((LOGGED_IN[host_key], *(probe.name for probe in probes)), kernel, system)


def _check(machine: Ssh, probe: Probe, watch: Watch, *, log: Path, deadline: float) -> None:
    try:
        done = machine.run(script(probe.run), log=log, check=False, timeout=max(1.0, deadline - time.monotonic()))
    except KnitterError as error:
        watch()  # it may have died of the check
        raise watch.failure(f"{watch.name} failed: {probe.name}: {error.brief}", details=error.details) from error
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{probe.name}: {find_fault(probe, done) or 'passed'}\n{done.text}\n")
    if fault := find_fault(probe, done):
        raise watch.failure(
            f"{watch.name} failed: {probe.name}",
            details=_describe(probe, done, fault),
            hint="correct the image, or the check",
        )


def find_fault(probe: Probe, done: Output) -> str:
    """What is wrong with the outcome of *probe*; "" if it passed."""
    if done.code:
        return f"exit code {done.code}"
    return "" if re.search(probe.expect, _said(done), re.MULTILINE) else f"expected in its output: {probe.expect}"


def _said(done: Output) -> str:
    return "\n".join(filter(None, (done.text, done.stderr)))


def _describe(probe: Probe, done: Output, fault: str) -> str:
    run = "\n".join(f"  {line}" for line in probe.run.strip().splitlines())
    output = "\n".join(f"  {line}" for line in _said(done).splitlines()[-20:]) or "  (nothing)"
    return f"{fault}\nrun:\n{run}\noutput:\n{output}"
