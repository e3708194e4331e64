"""The seam between the lab and what runs its instances: QEMU guests (`guests`), or whatever a test puts there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from knitter.lab.records import Volume

SSH_PORT: Final = 2222
"""Of an instance's address; 22 may be taken by the host's own server, and takes privilege."""
SLOTS: Final = 12
"""Volumes an instance can have."""

Architecture = Literal["x86_64", "arm64"]


@dataclass(frozen=True, slots=True)
class Disk:
    """A volume as a machine sees it."""

    volume: str
    path: Path
    format: Literal["raw", "qcow2"]
    serial: str
    """The volume's id without its dash."""
    device: str
    """As AWS's API names it, such as /dev/sdf."""
    slot: int
    """From 1; the root volume's is 1."""


@dataclass(frozen=True, slots=True)
class Spec:
    """All that a machine is, each time it is powered on."""

    id: str
    type: str
    architecture: Architecture
    firmware: Literal["bios", "uefi"]
    memory: int
    """Bytes."""
    cpus: int
    address: str
    """127.x.y.z, of this instance alone; SSH is reached at its port `SSH_PORT`."""
    image: str
    account: str
    region: str
    zone: str
    imds: Literal["v1.0", "v2.0", "disabled"]
    user_data: bytes
    public_key: str
    """One authorized_keys line; "" if KeyName was not given."""
    spot: bool
    tags: tuple[tuple[str, str], ...] | None
    """For instance metadata; None if they are not enabled there."""
    root_device: str
    disks: tuple[Disk, ...]
    """The root volume first."""


class Machine(Protocol):
    """One machine, powered on once.  Every method raises KnitterError; all may be called from any thread."""

    def power_on(self) -> None:
        """Return when it is on; its system need not have started."""

    def power_off(self, *, gently: bool) -> None:
        """Return when it is off.  *gently*: ask its system first.  Safe to repeat."""

    def reboot(self) -> None:
        """Start its system anew."""

    def attach(self, disk: Disk) -> None:
        """Plug *disk* in."""

    def detach(self, disk: Disk) -> None:
        """Return when its system has let go of *disk*."""

    def copy(self, disk: Disk, target: Path) -> Iterator[float]:
        """Copy to *target*, a raw file, what was on *disk* when the first value came.  Gives shares of 1 done."""

    def console(self) -> bytes:
        """What stands on its serial console, at most the last 64 KiB."""


class Machines(Protocol):
    """Where machines come from."""

    def check(self, architecture: Architecture) -> None:
        """Raises KnitterError if no machine of *architecture* can run here."""

    def machine(self, spec: Spec, ended: Callable[[], None]) -> Machine:
        """A new machine, off.  It calls *ended* if, once on, it goes off by itself."""


def plan_disk(volume: Volume, path: Path, slot: int) -> Disk:
    """*volume*, which is attached, in *slot*."""
    assert volume.attachment is not None
    return Disk(volume.id, path, volume.format, volume.serial, volume.attachment.device, slot)
