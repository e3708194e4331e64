"""QEMU guests with the machine EC2's Nitro shows: NVMe disks, serial console, instance metadata.

`power_on` takes disks as they are; `lease` never writes the disk it boots: changes go to an overlay beside it, which is
dropped.  A guest ends with the thread that leased it, however that ends.
"""

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from knitter.command import command
from knitter.machine import tools
from knitter.machine.local import Local, Running
from knitter.recipe.boot import Bus
from knitter.vm import channel
from knitter.vm.accelerator import QEMU, Accelerator
from knitter.vm.drive import Drive
from knitter.vm.firmware import Architecture, find_uefi
from knitter.vm.metadata import ADDRESS, GUEST_ADDRESS, MAC, SUBNET, Instance, Service
from knitter.vm.monitor import Monitor

Firmware = Literal["bios", "uefi"]

SERIAL: Final = "vol0123456789abcdef0"
"""As EBS gives it: the volume's id without the dash, 20 characters, all that NVMe and virtio have room for."""
SLOTS: Final = 4
"""PCI Express slots, if nobody asks for more: the root volume's, and empty ones for hot-plug."""
_SYSTEM: Final = "ec2a1b2c-d3e4-4f50-8a9b-0c1d2e3f4a5b"
"""System UUID; EC2's begin with ec2, by which cloud-init knows it."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """The machine."""

    firmware: Firmware
    accelerator: Accelerator
    architecture: Architecture = "x86_64"
    memory: int = 1024**3
    """Bytes."""
    cpus: int = 2
    disk: Bus = "nvme"
    """Of the disk that `lease` boots."""
    slots: int = SLOTS


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the machine is plugged into: files, descriptors, commands."""

    drives: tuple[Drive, ...]
    """The first one boots."""
    console: Path
    """The serial port is written here."""
    monitor: int
    """Descriptor of a connected socket for QMP."""
    metadata: str
    """Command that carries one connection to the metadata service."""
    code: Path | None = None
    """UEFI firmware; None for BIOS."""
    variables: Path | None = None
    """Its variables, this guest's own copy."""
    forward: tuple[str, int] = ("127.0.0.1", 0)
    """Address and port of the host that lead to the guest's port 22; 0: any port that is free."""


class Guest:
    """A running guest."""

    def __init__(self, process: Running, monitor: Monitor, service: Service, console: Path) -> None:
        self._process = process
        self.monitor = monitor
        self.service = service
        self.console = console
        self.ssh_port = monitor.forwarded_port()
        """Of the address that is forwarded to the guest's port 22."""

    @property
    def code(self) -> int | None:
        """QEMU's exit code; None while the guest runs.  0: the guest powered off."""
        return self._process.code

    @property
    def complaint(self) -> str:
        """What QEMU itself had to say."""
        return self._process.tail

    def wait(self) -> int:
        """QEMU's exit code, once the guest is off."""
        return self._process.wait()

    def stop(self) -> None:
        """Cut the power.  Safe to repeat and from any thread."""
        self._process.stop()


@contextmanager
def lease(
    hardware: Hardware, instance: Instance, *, disk: Path, size: int, directory: Path, console: Path, log: Path
) -> Iterator[Guest]:
    """Power on a guest that boots *disk*, and cut its power when the block ends.

    disk: raw, never written.
    size: bytes of the volume the guest sees, at least the disk's.
    directory: for its own files while it runs; it must be empty of them.
    console: its serial console is written here as it comes.
    Raises KnitterError if QEMU or its firmware is missing or does not start.
    """
    tools.require([QEMU[hardware.architecture], "qemu-img"])
    with ExitStack() as stack:
        overlay = _overlay(disk, size, directory, log)
        stack.callback(overlay.unlink)
        drives = (Drive("root", overlay, "qcow2", SERIAL, slot=1, bus=hardware.disk),)
        powered = power_on(hardware, instance, drives, directory=directory, console=console, log=log)
        yield stack.enter_context(powered)


@contextmanager
def power_on(
    hardware: Hardware,
    instance: Instance,
    drives: tuple[Drive, ...],
    *,
    forward: tuple[str, int] = ("127.0.0.1", 0),
    directory: Path,
    console: Path,
    log: Path,
) -> Iterator[Guest]:
    """Power on a guest that boots the first of *drives* and writes to all of them; see `lease` and `Wiring`."""
    tools.require([QEMU[hardware.architecture]])
    with ExitStack() as stack:
        service = Service(instance)
        ours, theirs = socket.socketpair()
        stack.callback(ours.close)
        stack.callback(theirs.close)
        code, variables = _firmware(hardware, directory, stack)
        metadata = stack.enter_context(channel.lease(service))
        wiring = Wiring(drives, console, theirs.fileno(), metadata, code, variables, forward)
        console.parent.mkdir(parents=True, exist_ok=True)
        console.write_bytes(b"")
        argv = plan_arguments(hardware, instance, wiring)
        process = Local().start(command(QEMU[hardware.architecture], *argv), log=log, keep=(theirs.fileno(),))
        stack.callback(process.stop)
        theirs.close()  # so that the monitor sees when QEMU is gone
        yield Guest(process, Monitor(ours, process), service, console)


def _overlay(disk: Path, size: int, directory: Path, log: Path) -> Path:
    path = directory / "overlay.qcow2"
    backing = ("-b", disk.resolve(), "-F", "raw")
    Local().run(command("qemu-img", "create", "-q", "-f", "qcow2", *backing, path, size), log=log)
    return path


def _firmware(hardware: Hardware, directory: Path, stack: ExitStack) -> tuple[Path | None, Path | None]:
    if hardware.firmware == "bios":
        return None, None
    code, template = find_uefi(hardware.architecture)
    variables = directory / "uefi-variables.fd"
    shutil.copyfile(template, variables)
    stack.callback(variables.unlink)
    return code, variables


def plan_arguments(hardware: Hardware, instance: Instance, wiring: Wiring) -> tuple[str, ...]:
    """QEMU's arguments."""
    return (
        *("-nodefaults", "-display", "none", "-no-user-config", "-name", "knitter"),
        *hardware.accelerator.arguments(hardware.architecture),
        *_MACHINES[hardware.architecture],
        *("-smp", str(hardware.cpus), "-m", f"{hardware.memory // 1024**2}M", "-rtc", "base=utc"),
        *_smbios(instance),
        *_flash(wiring),
        *_console(wiring),
        *_slots(hardware.slots),
        *_drives(wiring),
        *_network(wiring, silent=instance.imds == "none"),
    )


_MACHINES: Final[dict[Architecture, tuple[str, ...]]] = {
    # Without graphics SeaBIOS speaks on the serial port: "No bootable device" is worth seeing.
    "x86_64": ("-machine", "q35,graphics=off"),
    "arm64": ("-machine", "virt,gic-version=max"),
}


def _smbios(instance: Instance) -> Iterator[str]:
    maker = "manufacturer=Amazon EC2"
    yield from ("-smbios", f"type=1,{maker},product={instance.type},serial={_SYSTEM},uuid={_SYSTEM}")
    yield from ("-smbios", f"type=2,{maker},asset={instance.id}")
    yield from ("-smbios", f"type=3,{maker},asset=Amazon EC2")


def _flash(wiring: Wiring) -> Iterator[str]:
    if wiring.code and wiring.variables:
        yield from ("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_quote(wiring.code)}")
        yield from ("-drive", f"if=pflash,unit=1,format=raw,file={_quote(wiring.variables)}")


def _console(wiring: Wiring) -> Iterator[str]:
    yield from ("-chardev", f"file,id=console,path={_quote(wiring.console)}", "-serial", "chardev:console")
    yield from ("-chardev", f"socket,id=monitor,fd={wiring.monitor}", "-mon", "chardev=monitor,mode=control")


def _slots(count: int) -> Iterator[str]:
    for number in range(1, count + 1):
        yield from ("-device", f"pcie-root-port,id=slot{number},bus=pcie.0,chassis={number}")


def _drives(wiring: Wiring) -> Iterator[str]:
    for number, drive in enumerate(wiring.drives):
        for node in drive.nodes():
            yield from ("-blockdev", json.dumps(node))
        device = drive.device() | ({"bootindex": 0} if number == 0 else {})
        driver = device.pop("driver")
        yield from ("-device", ",".join([driver, *(f"{name}={value}" for name, value in device.items())]))


def _network(wiring: Wiring, *, silent: bool) -> Iterator[str]:
    """silent: nobody is at the metadata service's address."""
    net = SUBNET.rpartition(".")[0]
    options = (
        # As in EC2's default VPC: an IPv6 route that leads nowhere costs cloud-init 50 s (it asks fd00:ec2::254).
        "ipv6=off",
        f"net={SUBNET},host={net}.2,dns={net}.3,dhcpstart={GUEST_ADDRESS}",
        f"hostfwd=tcp:{wiring.forward[0]}:{wiring.forward[1]}-:22",
        *([] if silent else [f"guestfwd=tcp:{ADDRESS}:80-cmd:{_quote(wiring.metadata)}"]),
    )
    yield from ("-netdev", f"user,id=net,{','.join(options)}")
    yield from ("-device", f"virtio-net-pci,netdev=net,mac={MAC},romfile=")


def _quote(value: Path | str) -> str:
    """*value* as QEMU's option lists want it: a comma is doubled."""
    return str(value).replace(",", ",,")
