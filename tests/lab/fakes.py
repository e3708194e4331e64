"""A lab whose machines are a few lines of Python: `python -m tests.lab.fakes DIRECTORY [--port N]`.

User data is what such a machine does: `fail` on power-on, `poweroff` once it is on, `hang on` to its disks,
`slow` to power on.  Its console tells what happened to it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from knitter.errors import KnitterError
from knitter.lab.__main__ import main
from knitter.lab.blocks import copy_sparse
from knitter.lab.machines import Architecture, Disk, Spec

DELAY = 0.15
"""Seconds that a step takes."""


class Shelf:
    def __init__(self, _: Path) -> None:
        pass

    def check(self, architecture: Architecture) -> None:
        if architecture == "arm64":
            raise KnitterError("there are no arm64 machines on the shelf")

    def machine(self, spec: Spec, ended: Callable[[], None]) -> "Fake":
        return Fake(spec, ended)


class Fake:
    def __init__(self, spec: Spec, ended: Callable[[], None]) -> None:
        self._spec = spec
        self._ended = ended
        self._off = threading.Event()
        self._console: list[str] = []

    def power_on(self) -> None:
        time.sleep(1.0 if self._spec.user_data == b"slow" else DELAY)
        if self._spec.user_data == b"fail":
            raise KnitterError("it does not start")
        disks = ", ".join(f"{disk.device}={disk.serial}@{disk.slot}" for disk in self._spec.disks)
        self._say(f"on: {self._spec.firmware} {self._spec.imds} {self._spec.address} {disks}")
        self._say(f"key: {self._spec.public_key} tags: {self._spec.tags}")
        if self._spec.user_data == b"poweroff":
            threading.Timer(DELAY, self._ended).start()

    def power_off(self, *, gently: bool) -> None:
        self._off.set()
        time.sleep(DELAY)
        self._say("off, gently" if gently else "off")

    def reboot(self) -> None:
        self._say("reboot")

    def attach(self, disk: Disk) -> None:
        time.sleep(DELAY)
        self._say(f"plugged {disk.serial}@{disk.slot}")

    def detach(self, disk: Disk) -> None:
        if self._spec.user_data == b"hang on":
            self._off.wait()
            raise KnitterError("it went off")
        time.sleep(DELAY)
        self._say(f"unplugged {disk.serial}@{disk.slot}")

    def copy(self, disk: Disk, target: Path) -> Iterator[float]:
        yield 0.0
        time.sleep(DELAY)
        if disk.format != "raw":
            raise KnitterError("the shelf knows raw files only")
        yield from copy_sparse(disk.path, target)

    def console(self) -> bytes:
        return "\n".join(self._console).encode()

    def _say(self, line: str) -> None:
        self._console.append(line)


if __name__ == "__main__":
    main(Shelf)
