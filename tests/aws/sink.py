"""A scripted endpoint for PutSnapshotBlock on a real socket: keeps what is put, and fails as it is told."""

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from knitter.aws.session import Cloud
from tests.loopback import Handler, Loopback

SNAPSHOT = "snap-0123456789abcdef0"
KEYS = ("AKIDEXAMPLE", "secret")


@dataclass(frozen=True)
class Fault:
    """What is done instead of storing the block."""

    status: int = 0
    """0: the connection is reset without an answer."""
    code: str = ""
    message: str = ""
    reason: str = ""


Script = Callable[[int, int], Fault | None]
"""(block index, number of this put of it, from 1) -> what goes wrong."""


@dataclass
class Sink(Loopback):
    """Blocks by index, how often each was put, and the Authorization headers seen."""

    script: Script = lambda *_: None
    delay: float = 0.0
    """Seconds before each answer."""
    blocks: dict[int, bytes] = field(default_factory=dict)
    puts: Counter[int] = field(default_factory=Counter)
    at: list[float] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def cloud(self) -> Cloud:
        return Cloud("lab", "us-east-1", endpoint=self.url, keys=KEYS)

    @property
    def total(self) -> int:
        return sum(self.puts.values())


class _Handler(Handler):
    owner: Sink

    def do_PUT(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers["content-length"]))
        match = re.fullmatch(rf"/snapshots/{SNAPSHOT}/blocks/(\d+)", self.path)
        assert match, self.path
        index = int(match[1])
        with self.owner.guard:
            self.owner.puts[index] += 1
            self.owner.at.append(time.monotonic())
            self.owner.headers = {name.lower(): value for name, value in self.headers.items()}
            fault = self.owner.script(index, self.owner.puts[index])
        time.sleep(self.owner.delay)
        self._fail(fault) if fault else self._store(index, body)

    def _store(self, index: int, body: bytes) -> None:
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if checksum != self.headers["x-amz-checksum"]:
            self._fail(Fault(400, "ValidationException", "checksum", "INVALID_BLOCK"))
            return
        self.owner.blocks[index] = body
        self._answer(201, {}, {"x-amz-Checksum": checksum, "x-amz-Checksum-Algorithm": "SHA256"})

    def _fail(self, fault: Fault) -> None:
        if not fault.status:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        told = {"message": fault.message} | ({"Reason": fault.reason} if fault.reason else {})
        self._answer(fault.status, told, {"x-amzn-ErrorType": fault.code, "x-amzn-RequestId": "request-1"})

    def _answer(self, status: int, told: dict[str, str], headers: dict[str, str]) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


Sink.handler = _Handler
