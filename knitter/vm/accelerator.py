"""KVM, if it works; else QEMU's own translation (TCG), which works everywhere and is some ten times slower.

/dev/kvm may open and lie: on some nested hosts a guest then hangs, or crawls.  So KVM must first pass a trial: a boot
sector that counts and then ends QEMU.  The result is kept until the host boots anew or has another QEMU.
"""

import os
import platform
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ValidationError

from knitter import receipt
from knitter.command import command
from knitter.errors import KnitterError
from knitter.machine import tools
from knitter.machine.local import Local

Name = Literal["kvm", "tcg"]
Wanted = Literal["auto", "kvm", "tcg"]
Architecture = Literal["x86_64", "arm64"]

TRIAL_SECONDS: Final = 8.0
"""A working KVM takes 0.3 s, most of it QEMU's start."""
ROUNDS: Final = 50_000_000
"""Of the counting loop: 0.03 s for a processor, minutes for a KVM that emulates each instruction."""
PASSED: Final = 0x10
QEMU: Final[dict[Architecture, str]] = {"x86_64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What runs a guest's instructions, and why that one."""

    name: Name
    reason: str

    def arguments(self, architecture: Architecture) -> tuple[str, ...]:
        """QEMU's arguments."""
        if self.name == "kvm":
            return ("-accel", "kvm", "-cpu", "host")
        # Faithful pointer authentication takes half of the time when it is translated.
        return ("-accel", "tcg", "-cpu", "max,pauth-impdef=on" if architecture == "arm64" else "max")


class _Trial(BaseModel):
    """The result of a trial, and the host it is true of."""

    host: str
    works: bool
    reason: str


def choose(wanted: Wanted, *, architecture: Architecture = "x86_64", cache: Path) -> Accelerator:
    """The accelerator for guests of *architecture*.

    cache: a directory that keeps the result of the trial, shared by all builds.
    Raises KnitterError if KVM is *wanted* and does not work, or QEMU is missing.
    """
    if wanted == "tcg":
        return Accelerator("tcg", "the settings say so")
    obstacle = _obstacle(architecture) or _tried(architecture, cache)
    if not obstacle:
        return Accelerator("kvm", "it passed a trial")
    if wanted == "kvm":
        raise KnitterError(
            "KVM does not work here",
            details=obstacle,
            hint="set accelerator = auto in .doit.cfg (guests then run slower without it), or give this host a "
            "/dev/kvm that works: load kvm_intel or kvm_amd, allow nested virtualisation, join the group kvm",
        )
    return Accelerator("tcg", obstacle)


def _obstacle(architecture: Architecture) -> str:
    """Why a trial would be in vain; "" if it would not."""
    host = platform.machine().replace("aarch64", "arm64")
    if host != architecture:
        return f"the guest is {architecture}, this host is {host}"
    device = Path("/dev/kvm")
    if not device.exists():
        return "there is no /dev/kvm"
    return "" if os.access(device, os.R_OK | os.W_OK) else "this user may not open /dev/kvm"


def _tried(architecture: Architecture, cache: Path) -> str:
    """Why KVM does not work; "" if it does."""
    path, host = cache / "kvm-trial.json", _host(architecture)
    known = _read(path)
    if known is None or known.host != host:
        reason = trial("kvm", architecture=architecture)
        known = _Trial(host=host, works=not reason, reason=reason)
        receipt.write_atomically(path, known.model_dump_json().encode())
    return known.reason


def _host(architecture: Architecture) -> str:
    version = Local().run(command(QEMU[architecture], "--version")).text.splitlines()[0]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{platform.release()} {boot} {version}"


def _read(path: Path) -> _Trial | None:
    try:
        return _Trial.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def trial(name: Name, *, architecture: Architecture = "x86_64", seconds: float = TRIAL_SECONDS) -> str:
    """Run the payload under the accelerator *name*.  Gives why it failed; "" if it passed."""
    tools.require([QEMU[architecture]])
    with os.fdopen(os.memfd_create("trial"), "wb", buffering=0) as file:
        file.write(PAYLOADS[architecture]())
        payload = f"/dev/fd/{file.fileno()}"
        guest = Local().start(
            command(QEMU[architecture], *_machine(architecture, name, payload)), keep=(file.fileno(),)
        )
        try:
            code = guest.wait(seconds)
        except TimeoutError:
            return f"/dev/kvm opens, but a guest of a few instructions did not end within {seconds:g} s"
        finally:
            guest.stop()
    return "" if code == _PASSED_CODES[architecture] else f"a guest failed: {guest.tail or f'exit code {code}'}"


def _machine(architecture: Architecture, name: Name, payload: str) -> tuple[str, ...]:
    common = ("-nodefaults", "-display", "none", "-m", "64", "-no-reboot", "-accel", name)
    if architecture == "arm64":
        cpu = "host" if name == "kvm" else "max"
        return (*common, "-machine", "virt,gic-version=max", "-cpu", cpu, "-kernel", payload)
    disk = ("-drive", f"file={payload},format=raw,if=ide")
    return (*common, "-machine", "pc", *disk, "-device", "isa-debug-exit,iobase=0xf4,iosize=1")


def _boot_sector() -> bytes:
    """x86, 16 bit, at 0x7c00: count ROUNDS down, write PASSED to isa-debug-exit, which ends QEMU."""
    code = b"".join(
        (
            b"\x66\xb9" + struct.pack("<I", ROUNDS),  # mov ecx, ROUNDS
            b"\x66\x49",  # dec ecx
            b"\x75\xfc",  # jnz to the dec
            b"\xb0" + bytes([PASSED]),  # mov al, PASSED
            b"\xe6\xf4",  # out 0xf4, al
            b"\xf4",  # hlt
        )
    )
    return code.ljust(510, b"\0") + b"\x55\xaa"


def _image() -> bytes:
    """arm64: count ROUNDS down, ask the firmware (PSCI) for SYSTEM_OFF."""
    words = (
        0x52800000 | (ROUNDS & 0xFFFF) << 5 | 1,  # movz w1, ROUNDS, low half
        0x72A00000 | (ROUNDS >> 16) << 5 | 1,  # movk w1, ROUNDS, high half
        0x71000421,  # subs w1, w1, 1
        0x54FFFFE1,  # b.ne to the subs
        0x52800100,  # movz w0, 0x0008
        0x72B08000,  # movk w0, 0x8400, lsl 16: PSCI SYSTEM_OFF
        0xD4000002,  # hvc 0
        0x14000000,  # b .
    )
    return struct.pack(f"<{len(words)}I", *words)


PAYLOADS: Final = {"x86_64": _boot_sector, "arm64": _image}
_PASSED_CODES: Final = {"x86_64": PASSED << 1 | 1, "arm64": 0}
"""isa-debug-exit ends QEMU with twice the value plus one."""
