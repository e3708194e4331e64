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
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from knitter.aws.session import Cloud

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
class Sink:
    """Blocks by index, how often each was put, and the Authorization headers seen."""

    script: Script = lambda *_: None
    delay: float = 0.0
    """Seconds before each answer."""
    blocks: dict[int, bytes] = field(default_factory=dict)
    puts: Counter[int] = field(default_factory=Counter)
    at: list[float] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        sink = self

        class Handler(_Handler):
            pass

        Handler.sink = sink
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def cloud(self) -> Cloud:
        return Cloud("lab", "us-east-1", endpoint=self.url, keys=KEYS)

    @property
    def total(self) -> int:
        return sum(self.puts.values())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sink: Sink

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        match = re.fullmatch(rf"/snapshots/{SNAPSHOT}/blocks/(\d+)", self.path)
        assert match, self.path
        index = int(match[1])
        with self.sink.guard:
            self.sink.puts[index] += 1
            self.sink.at.append(time.monotonic())
            self.sink.headers = {name.lower(): value for name, value in self.headers.items()}
            fault = self.sink.script(index, self.sink.puts[index])
        time.sleep(self.sink.delay)
        self._fail(fault) if fault else self._store(index, body)

    def _store(self, index: int, body: bytes) -> None:
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if checksum != self.headers["x-amz-checksum"]:
            self._fail(Fault(400, "ValidationException", "checksum", "INVALID_BLOCK"))
            return
        self.sink.blocks[index] = body
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

    def handle(self) -> None:
        with suppress(OSError):  # the client may go away
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
