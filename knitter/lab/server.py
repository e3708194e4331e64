"""HTTP: one port for every service.  The block API is answered here, at speed; the rest is moto's.

werkzeug parses each request into objects for about 1 ms; a PutSnapshotBlock, thousands of which make one image, is read
from the socket straight into a buffer instead.
"""

import hashlib
import io
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

from knitter.lab import signature, wire
from knitter.lab.direct import Direct
from knitter.lab.errors import ApiError
from knitter.lab.front import Front
from knitter.lab.tally import Tally, name_block_action
from knitter.lab.wire import Request, Response

_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a request's body: StartSnapshot and PutSnapshotBlock stay far below."""


class Server(ThreadedWSGIServer):
    """A thread per connection; block requests keep theirs open."""

    def __init__(
        self, port: int, direct: Direct, account: Callable[[str], str], tally: Tally, wanted: Callable[[], bool]
    ) -> None:
        """Listen on *port*, or on any if it is taken.

        account: of an access key.  wanted: asked twice a second; once it is False, serving ends.
        """
        self.direct = direct
        self.wanted = wanted
        self.tally = tally
        self.account = account
        with _bound(port) as listener:
            application = Front(DomainDispatcherApplication(create_backend_app), tally)
            super().__init__("127.0.0.1", 0, application, Handler, fd=listener.fileno())

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def service_actions(self) -> None:
        """Called by `serve_forever`, for which `shutdown` would wait if this did not begin it elsewhere."""
        super().service_actions()
        if not self.wanted():
            threading.Thread(target=self.shutdown).start()


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


class Handler(MotoRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _buffer = bytearray()

    def handle_one_request(self) -> None:
        """Read one request; the block API's by hand."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif b" /snapshots" in self.raw_requestline:
            self._answer_direct()
        elif self.parse_request():
            self.run_wsgi()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Only failures: a build makes thousands of requests."""
        if str(code) >= "500":
            super().log_request(code, size)

    def _answer_direct(self) -> None:
        method, target, _ = self.raw_requestline.decode("latin-1").split(" ", 2)
        headers = self._headers()
        self.server.tally.count(name_block_action(method, target.partition("?")[0]), headers.get("user-agent", ""))
        self.close_connection = headers.get("connection", "").lower() == "close"
        try:
            body = self._body(headers)
            request = self._request(method, target, headers, body)
            response = self.server.direct.answer(request)
        except ApiError as error:
            response = wire.refused(error)
        self._send(response)

    def _headers(self) -> dict[str, str]:
        headers = {}
        while (line := self.rfile.readline(65537)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _body(self, headers: dict[str, str]) -> memoryview:
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit() or int(length) > _LIMIT:
            self.close_connection = True  # what follows cannot be told from the next request
            raise ApiError("ValidationException", "the body's Content-Length is missing or too large", status=413)
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(self._buffer) < int(length):
            self._buffer = bytearray(int(length))
        body = memoryview(self._buffer)[: int(length)]
        assert isinstance(self.rfile, io.BufferedReader)
        ahead = min(len(self.rfile.peek()), len(body)) if body else 0
        self.rfile.readinto(body[:ahead])
        # The rest in one call: each call gives up the interpreter's lock, and 64 connections queue for it.
        rest = self.connection.recv_into(body[ahead:], 0, socket.MSG_WAITALL) if ahead < len(body) else 0
        if ahead + rest < len(body):
            raise ConnectionError("the client went away in the middle of a request")
        return body

    def _request(self, method: str, target: str, headers: dict[str, str], body: memoryview) -> Request:
        digest = hashlib.sha256(body).digest()  # once, for the signature and for the block's checksum
        scope = signature.check(method, target, headers, digest.hex())
        path, _, query = target.partition("?")
        return Request(
            method=method,
            path=unquote(path),
            query=dict(parse_qsl(query)),
            headers=headers,
            body=body,
            digest=digest,
            account=self.server.account(scope.key),
            region=scope.region,
        )

    def _send(self, response: Response) -> None:
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines += [f"Content-Length: {len(response.body)}", "", ""]
        if self.close_connection:
            lines.insert(1, "Connection: close")
        self.wfile.write("\r\n".join(lines).encode("latin-1") + response.body)
