"""The guests of the stage `boot`: power on, log in, inspect; or keep one on for the user."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Final

from pydantic import JsonValue

from knitter import interrupt
from knitter.errors import KnitterError
from knitter.machine.ssh_config import write_files
from knitter.progress import say
from knitter.recipe.model import Recipe
from knitter.stages.build import Build
from knitter.stages.disk import RAW, Disk
from knitter.stages.stage import Work
from knitter.units import GIB
from knitter.vm import accelerator, login, qemu
from knitter.vm.inspection import Findings, Variant, inspect
from knitter.vm.metadata import Instance
from knitter.vm.qemu import Firmware, Hardware

CORES_FOR_TWO: Final = 4
"""From so many on, two ways of booting are tried side by side."""


def console_path(build: Build, variant: Variant) -> Path:
    """Where the serial console of the guest that boots like that is written, as it comes."""
    return build.directory / "logs" / f"console-{variant}.log"


def plan_firmwares(recipe: Recipe) -> tuple[Firmware, ...]:
    """Which ones the disk must boot from."""
    match recipe.boot.firmware:
        case "both":
            return ("bios", "uefi") if recipe.packages.architecture == "x86_64" else ("uefi",)
        case one:
            return (one,)


def plan_variants(recipe: Recipe) -> tuple[Variant, ...]:
    """In which ways the disk must boot."""
    return tuple(Variant(firmware, disk) for firmware in plan_firmwares(recipe) for disk in recipe.check.disks)


def plan_volume(recipe: Recipe) -> int:
    """Bytes of the guest's volume: a quarter more than the AMI's, so that the root has room to grow into."""
    size = max(recipe.disk.size, recipe.ami.volume.size or 0)
    return size + max(1, size // GIB // 4) * GIB


def inspect_all(build: Build, work: Work) -> dict[Variant, Findings]:
    """Boot in each way and look.  Raises KnitterError at the first thing that is not as it should be."""
    say("choosing how guests run")
    chosen = _accelerator(build)
    variants = plan_variants(build.recipe)
    if len(variants) == 1 or len(os.sched_getaffinity(0)) < CORES_FOR_TWO:
        return {variant: _inspect(build, work, variant, chosen) for variant in variants}
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(copy_context().run, _inspect, build, work, one, chosen) for one in variants]
        try:
            return {variant: future.result() for variant, future in zip(variants, futures, strict=True)}
        except KeyboardInterrupt:
            interrupt.stop()  # it came to this thread alone
            raise


def _inspect(build: Build, work: Work, variant: Variant, chosen: accelerator.Accelerator) -> Findings:
    directory = work.directory / str(variant)
    directory.mkdir()
    secrets = login.new_secrets(build.recipe.check)
    console = console_path(build, variant)
    with _power_on(build, variant, chosen, secrets, directory=directory, console=console, log=work.log) as guest:
        return inspect(guest, build.recipe, variant, secrets, log=work.log)


@contextmanager
def _power_on(
    build: Build,
    variant: Variant,
    chosen: accelerator.Accelerator,
    secrets: login.Secrets,
    *,
    directory: Path,
    console: Path,
    log: Path,
) -> Iterator[qemu.Guest]:
    recipe = build.recipe
    instance = Instance(
        user_data=login.plan_user_data(secrets.host),
        public_key=f"{secrets.user.public} knitter",
        imds=recipe.ami.imds,
        architecture=recipe.packages.architecture,
        root_device=recipe.ami.root_device,
        region=build.settings.region,
        id=f"i-0{token_hex(8)}",  # of its own, as each instance has: by it cloud-init knows a first boot
    )
    hardware = Hardware(variant.firmware, chosen, recipe.packages.architecture, recipe.check.memory, disk=variant.disk)
    with qemu.lease(
        hardware,
        instance,
        disk=Disk().folder(build) / RAW,
        size=plan_volume(recipe),
        directory=directory,
        console=console,
        log=log,
    ) as guest:
        yield guest


def _accelerator(build: Build) -> accelerator.Accelerator:
    return accelerator.choose(
        build.settings.accelerator,
        architecture=build.recipe.packages.architecture,
        cache=build.settings.cache_directory,
    )


def facts(build: Build, variant: Variant, findings: Findings) -> JsonValue:
    """What the receipt tells of one way of booting."""
    return {
        "checks": list(findings.passed),
        "kernel": findings.kernel,
        "system": findings.system,
        "console": str(console_path(build, variant).relative_to(build.directory)),
    }


@dataclass(frozen=True)
class Session:
    """A guest that stays on for the user."""

    ssh_command: str
    """Logs in; its key and the pinned host key lie in files that end with the guest."""
    console: Path
    """`tail -f` shows the guest's serial console."""
    firmware: Firmware
    accelerator: accelerator.Accelerator
    guest: qemu.Guest

    def wait(self) -> None:
        """Return when the guest powers off.  Ctrl-C ends the wait, too."""
        while self.guest.code is None:
            interrupt.sleep(0.5)


@contextmanager
def keep(build: Build, *, firmware: Firmware | None = None) -> Iterator[Session]:
    """Boot the disk for the user to look at; what the guest writes is dropped.  The guest ends with the block.

    firmware: the recipe's first one if None.
    Raises KnitterError if it does not boot, or another one of this recipe is kept open already.
    """
    variant = plan_variants(build.recipe)[0]
    variant = replace(variant, firmware=firmware or variant.firmware)
    chosen, secrets, logs = _accelerator(build), login.new_secrets(build.recipe.check), build.directory / "logs"
    console, log = logs / "console-keep.log", logs / "keep.log"
    with (
        _keep_directory(build) as directory,
        _power_on(build, variant, chosen, secrets, directory=directory, console=console, log=log) as guest,
    ):
        endpoint = login.plan_endpoint(guest, build.recipe.check.user, secrets)
        watch = login.Watch(guest, name=build.recipe.name, log=log)
        with login.lease(endpoint, secrets.user, watch=watch, seconds=build.recipe.check.timeout) as machine:
            endpoint = replace(endpoint, host_key=machine.host_key)  # it answers, and that is who it is from now on
        command = write_files(directory, build.recipe.name, endpoint, secrets.user)
        yield Session(command, guest.console, variant.firmware, chosen, guest)


@contextmanager
def _keep_directory(build: Build) -> Iterator[Path]:
    """A private directory; one guest of a recipe at a time."""
    Disk().read(build)
    directory = build.directory / ".keep"
    with (build.directory / ".keep.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KnitterError(f"a guest of {build.recipe.name} is kept open already", hint="end that one") from None
        shutil.rmtree(directory, ignore_errors=True)  # what a killed run left
        directory.mkdir(mode=0o700)
        try:
            yield directory
        finally:
            shutil.rmtree(directory)
            (build.directory / ".keep.lock").unlink()
