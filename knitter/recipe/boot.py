"""The boot and check sections: how the image starts, and what it must show then."""

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from knitter.recipe.base import AccountName, Form, Problem, Section, Size, at_least, twice
from knitter.units import GIB, MIB

Firmware = Literal["bios", "uefi", "both"]
Loader = Literal["grub", "grub-legacy"]
Bus = Literal["nvme", "virtio"]
HostKey = Literal["given", "own"]

_MEMORY_SMALLEST: Final = 256 * MIB


class Boot(Section):
    """How the image starts.  Read by `disk`."""

    loader: Loader = "grub"
    """Boot loader: GRUB 2, or GRUB 0.97, which EL 6 has: needs msdos, bios, and /boot on ext4-el6 outside LVM."""
    firmware: Firmware = "both"
    """Which firmware the disk boots from.  uefi and both need gpt and an esp; bios and both on gpt need a bios-boot."""
    arguments: Annotated[
        str,
        Form(
            r"[ A-Za-z0-9!%*+,./:=?@\[\]^_~-]*",
            "one line of letters, digits, spaces and !%*+,./:=?@[]^_~-; the rest means something to GRUB or its shell",
        ),
    ] = "console=tty0 console=ttyS0,115200n8"
    """Kernel command line, besides root=.  EC2's console log is ttyS0."""

    def _problems(self) -> Iterator[Problem]:
        for word in self.arguments.split():
            if word.startswith(("root=", "BOOT_IMAGE=")):
                yield Problem(("arguments",), f"leave out {word}: knitter writes it")


class Probe(Section):
    """A command in the booted guest that must succeed."""

    name: Annotated[str, Form(r"[^\x00-\x1f\x7f]{1,80}", "one line of 1 to 80 characters")]
    """What it shows, in a few words."""
    run: Annotated[str, Form(r"(?s:[^\x00]*[^\x00\s][^\x00]*)", "shell text")]
    """Shell text, run as root; exit code 0 is success."""
    expect: str = ""
    """A regular expression (Python's) that must be found in its output."""

    def _problems(self) -> Iterator[Problem]:
        try:
            re.compile(self.expect)
        except re.error as error:
            yield Problem(("expect",), f"is no regular expression: {error}")


class Check(Section):
    """What the booted guest must show.  Read by `boot`."""

    user: AccountName = "admin"
    """Who logs in over SSH; must become root with sudo, or be root."""
    timeout: Annotated[int, Field(ge=10, le=3600)] = 600
    """Seconds from power-on until every check has passed: 10 to 3600."""
    disks: tuple[Bus, ...] = ("nvme",)
    """How the guest's disk is plugged in, one boot for each: nvme, as on current types, and virtio, as the kernels of
    old images know it better."""
    host_key: HostKey = "given"
    """given: cloud-init installs the SSH host key that it finds in the user data, and SSH must answer with it.  own:
    the image makes its own, and whichever that is, is taken, SHA-1 included."""
    probes: tuple[Probe, ...] = ()
    """Commands of the recipe's own."""
    memory: Size = GIB
    """Of the guest."""

    def _problems(self) -> Iterator[Problem]:
        if not self.disks:
            yield Problem(("disks",), 'must hold at least one, such as "nvme"')
        yield from twice(("disks",), self.disks)
        yield from twice(("probes",), tuple(probe.name for probe in self.probes), "name")
        if self.memory < _MEMORY_SMALLEST:
            yield Problem(("memory",), at_least(_MEMORY_SMALLEST, "a kernel and its initramfs need it"))
