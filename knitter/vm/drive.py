"""A guest's disk, as EC2 shows an EBS volume: NVMe with the volume's id as its serial; plugged in at will.

For systems that know it better, virtio with the same serial, which stays where it was plugged at power-on.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from knitter.command import command
from knitter.errors import KnitterError
from knitter.machine.local import Local
from knitter.recipe.boot import Bus
from knitter.vm.monitor import Monitor

COPYING: Final = ".copying"
"""Suffix of a file that exists while a disk is copied."""
ASK_AGAIN: Final = 5.0
"""Seconds until a guest is asked once more to let go of a disk: while it boots, it does not hear."""
_PERIOD: Final = 0.05
"""Seconds between two looks at a job."""


@dataclass(frozen=True, slots=True)
class Drive:
    """One disk.  What the guest flushes, or writes without its cache, is in the file: nothing waits inside QEMU.

    The host's own cache is never flushed: a volume need not survive a loss of power here.
    """

    name: str
    """Unique in the guest; letters, digits, dashes, at most 20."""
    path: Path
    format: Literal["raw", "qcow2"]
    serial: str
    """At most 20 characters, all that NVMe has room for."""
    slot: int
    """The number of its PCI Express slot, from 1; of an NVMe disk."""
    bus: Bus = "nvme"

    def nodes(self) -> tuple[dict[str, Any], ...]:
        """QEMU's block nodes, in order of their making."""
        cache = {"cache": {"direct": False, "no-flush": True}}
        file = {"driver": "file", "node-name": f"file-{self.name}", "filename": str(self.path), "discard": "unmap"}
        return (
            file | cache,
            {"driver": self.format, "node-name": self.name, "file": file["node-name"], "discard": "unmap"} | cache,
        )

    def device(self) -> dict[str, Any]:
        """QEMU's device."""
        identity = {"id": f"{self.bus}-{self.name}", "drive": self.name, "serial": self.serial}
        match self.bus:
            case "nvme":
                return {"driver": "nvme", **identity, "bus": f"slot{self.slot}"}
            case "virtio":  # not in a slot: there it would be virtio 1.0, which kernels before 4.0 do not know
                return {"driver": "virtio-blk-pci", **identity}


def plug(monitor: Monitor, drive: Drive) -> None:
    """Put *drive* into its slot while the guest runs.  Raises KnitterError."""
    for node in drive.nodes():
        monitor.execute("blockdev-add", **node)
    try:
        monitor.execute("device_add", **drive.device())
    except KnitterError:
        _drop(monitor, drive)
        raise


def unplug(monitor: Monitor, drive: Drive) -> None:
    """Ask the guest to let go of *drive*, and return when it has.  Raises KnitterError if the guest ends before."""
    device = drive.device()["id"]
    asked = 0.0
    while not monitor.happened("DEVICE_DELETED", device=device):
        if time.monotonic() - asked > ASK_AGAIN:
            monitor.execute_loosely("device_del", id=device)
            asked = time.monotonic()
        time.sleep(_PERIOD)
    _drop(monitor, drive)


def _drop(monitor: Monitor, drive: Drive) -> None:
    for node in reversed(drive.nodes()):
        monitor.execute("blockdev-del", **{"node-name": node["node-name"]})


def copy(monitor: Monitor, drive: Drive, target: Path) -> Iterator[float]:
    """Copy to *target*, a sparse raw file that this makes, what is on *drive* when the first value comes.

    The values are shares of 1.  The guest runs on.  Raises KnitterError.
    """
    # QEMU would write out the zeroes of a raw file: first into one that knows better.
    between = target.with_suffix(COPYING)
    try:
        size = str(_size(monitor, drive))
        Local().run(command("qemu-img", "create", "-q", "-f", "qcow2", between, size))
        yield from _back_up(monitor, drive, between)
        Local().run(command("qemu-img", "convert", "-q", "-f", "qcow2", "-O", "raw", between, target))
    finally:
        between.unlink(missing_ok=True)


def _size(monitor: Monitor, drive: Drive) -> int:
    nodes = monitor.execute("query-named-block-nodes", flat=True)
    return int(next(one["image"]["virtual-size"] for one in nodes if one["node-name"] == drive.name))


def _back_up(monitor: Monitor, drive: Drive, target: Path) -> Iterator[float]:
    node, job = f"copy-{target.stem}"[:31], f"job-{target.stem}"
    file = {"driver": "file", "filename": str(target)}
    monitor.execute("blockdev-add", **{"driver": "qcow2", "node-name": node, "file": file})
    try:
        kept = {"job-id": job, "auto-dismiss": False}
        monitor.execute("blockdev-backup", device=drive.name, target=node, sync="full", **kept)
        yield 0.0
        yield from _follow(monitor, job)
    finally:
        monitor.execute_loosely("blockdev-del", **{"node-name": node})


def _follow(monitor: Monitor, job: str) -> Iterator[float]:
    while True:
        found = next(one for one in monitor.execute("query-jobs") if one["id"] == job)
        if found["status"] == "concluded":
            break
        yield found["current-progress"] / max(1, found["total-progress"])
        time.sleep(_PERIOD)
    monitor.execute("job-dismiss", id=job)
    if error := found.get("error"):
        raise KnitterError("QEMU could not copy a volume", details=error)
