"""QEMU's monitor protocol (QMP) over a socket that both ends were born with.

https://www.qemu.org/docs/master/interop/qmp-spec.html
"""

import json
import re
import socket
import threading
from collections import deque
from contextlib import suppress
from typing import Any, Final

from knitter.errors import KnitterError
from knitter.machine.local import Running

PATIENCE: Final = 60.0
"""Seconds for an answer; QEMU starts in one when the host is idle."""
_FORWARD: Final = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)")


class Monitor:
    """Commands to one QEMU.  Thread-safe."""

    def __init__(self, wire: socket.socket, process: Running) -> None:
        wire.settimeout(PATIENCE)
        self._lines = wire.makefile("rwb")
        self._process = process
        self._guard = threading.Lock()
        self._events: deque[dict[str, Any]] = deque(maxlen=100)
        self._read()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, name: str, **arguments: Any) -> Any:
        """What the command *name* returns.  Raises KnitterError if QEMU refuses it or is gone."""
        with self._guard:
            try:
                self._lines.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
                self._lines.flush()
            except OSError:
                raise self._ended() from None
            while "event" in (answer := self._read()):
                self._events.append(answer)
        if "error" in answer:
            raise KnitterError(f"QEMU refused {name}", details=answer["error"]["desc"])
        return answer["return"]

    def execute_loosely(self, name: str, **arguments: Any) -> None:
        """Do the command *name*, or nothing if QEMU refuses it or is gone."""
        with suppress(KnitterError):
            self.execute(name, **arguments)

    def happened(self, event: str, **data: Any) -> bool:
        """Whether an event with these data came; it is told of once.  Raises KnitterError if QEMU is gone."""
        self.execute("query-status")  # events come before the answer
        with self._guard:
            for one in self._events:
                if one["event"] == event and data.items() <= one.get("data", {}).items():
                    self._events.remove(one)
                    return True
        return False

    def forwarded_port(self) -> int:
        """The port of the host that QEMU chose for hostfwd."""
        text = self.execute("human-monitor-command", **{"command-line": "info usernet"})
        match = _FORWARD.search(text)
        if match is None:
            raise KnitterError("QEMU forwards no port to its guest", details=text)
        return int(match[1])

    def _read(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError:
            line = b""
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> KnitterError:
        self._process.stop()
        return KnitterError("QEMU did not start, or ended", details=self._process.tail)
