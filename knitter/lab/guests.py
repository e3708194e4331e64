"""The lab's instances as QEMU guests.  Each has a thread that owns it: the kernel ends QEMU when that thread ends."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from knitter.errors import KnitterError
from knitter.lab.machines import SLOTS, SSH_PORT, Architecture, Disk, Spec
from knitter.machine import tools
from knitter.vm import accelerator, drive, qemu
from knitter.vm.drive import Drive
from knitter.vm.firmware import find_uefi
from knitter.vm.metadata import Instance

CONSOLE: Final = 64 * 1024
"""Bytes of the serial console that are told: the last ones."""
SHUTDOWN_LIMIT: Final = 60.0
"""Seconds a guest has to shut down when it is asked to."""


class Guests:
    """Makes guests; their files lie below *directory*, the lab's."""

    def __init__(self, directory: Path) -> None:
        self._cache = directory
        self._directory = directory / "guests"
        self._guard = threading.Lock()
        shutil.rmtree(self._directory, ignore_errors=True)  # those of a lab before

    def check(self, architecture: Architecture) -> None:
        """Raises KnitterError if QEMU for *architecture*, or its firmware, is missing."""
        tools.require([accelerator.QEMU[architecture], "qemu-img"])
        if architecture == "arm64":
            find_uefi(architecture)

    def machine(self, spec: Spec, ended: Callable[[], None]) -> "Guest":
        """A guest, off."""
        with self._guard:  # one trial of KVM, not several side by side
            chosen = accelerator.choose("auto", architecture=spec.architecture, cache=self._cache)
        return Guest(spec, chosen, self._directory / spec.id, ended)


class Guest:
    """One guest."""

    def __init__(self, spec: Spec, chosen: accelerator.Accelerator, directory: Path, ended: Callable[[], None]) -> None:
        self._spec = spec
        self._hardware = plan_hardware(spec, chosen)
        self._directory = directory
        self._ended = ended
        self._guest: qemu.Guest | None = None
        self._failure: BaseException | None = None
        self._asked = False
        self._ready = threading.Event()
        self._owner = threading.Thread(target=self._live, name=spec.id, daemon=True)

    def power_on(self) -> None:
        """Start QEMU; the guest then boots by itself.  Raises KnitterError."""
        self._owner.start()
        self._ready.wait()
        if self._failure:
            raise self._failure

    def _live(self) -> None:
        spec, directory = self._spec, self._directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with qemu.power_on(
                self._hardware,
                plan_instance(spec),
                tuple(plan_drive(disk) for disk in spec.disks),
                forward=(spec.address, SSH_PORT),
                directory=directory,
                console=directory / "console.log",
                log=directory / "qemu.log",
            ) as self._guest:
                self._ready.set()
                self._guest.wait()
        except (KnitterError, OSError) as error:
            self._failure = error if isinstance(error, KnitterError) else KnitterError(str(error))
        finally:
            self._ready.set()
        if not self._asked and self._failure is None:
            self._ended()

    def power_off(self, *, gently: bool) -> None:
        """Press the button, if *gently*; cut the power."""
        self._asked = True
        if gently and self._guest:
            self._guest.monitor.execute_loosely("system_powerdown")
            self._owner.join(SHUTDOWN_LIMIT)
        if self._guest:
            self._guest.stop()
        if self._owner.is_alive():
            self._owner.join()

    def reboot(self) -> None:
        """Reset."""
        self._on.monitor.execute("system_reset")

    def attach(self, disk: Disk) -> None:
        """Plug *disk* in."""
        drive.plug(self._on.monitor, plan_drive(disk))

    def detach(self, disk: Disk) -> None:
        """Unplug *disk*; one that the guest does not let go of stays until the power is cut."""
        drive.unplug(self._on.monitor, plan_drive(disk))

    def copy(self, disk: Disk, target: Path) -> Iterator[float]:
        """Copy what is on *disk* now."""
        return drive.copy(self._on.monitor, plan_drive(disk), target)

    def console(self) -> bytes:
        """The end of the serial console."""
        with suppress(FileNotFoundError), (self._directory / "console.log").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - CONSOLE))
            return file.read()
        return b""

    @property
    def _on(self) -> qemu.Guest:
        if self._guest is None:
            raise KnitterError(f"{self._spec.id} is not on")
        return self._guest


def plan_drive(disk: Disk) -> Drive:
    """*disk* as QEMU is told of it."""
    return Drive(disk.serial, disk.path, disk.format, disk.serial, disk.slot)


def plan_hardware(spec: Spec, chosen: accelerator.Accelerator) -> qemu.Hardware:
    """The machine that *spec* asks for."""
    return qemu.Hardware(spec.firmware, chosen, spec.architecture, spec.memory, spec.cpus, slots=SLOTS)


def plan_instance(spec: Spec) -> Instance:
    """What the guest is told about itself."""
    return Instance(
        user_data=spec.user_data,
        public_key=spec.public_key,
        imds=spec.imds,
        architecture=spec.architecture,
        root_device=spec.root_device,
        region=spec.region,
        id=spec.id,
        image=spec.image,
        account=spec.account,
        instance_type=spec.type,
        availability_zone=spec.zone,
        life_cycle="spot" if spec.spot else "on-demand",
        tags=spec.tags,
    )
