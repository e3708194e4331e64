"""How a guest's requests reach its metadata service: privately, and leaving nothing behind.

guest -> QEMU (guestfwd) -> relay, which passes the connection on through an abstract unix socket -> knitter.  Such a
socket has no file, so it ends with knitter; only processes of the same user are heard.
"""

import os
import secrets
import shlex
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final

from knitter.vm.metadata import Service

_RELAY: Final = Path(__file__).with_name("relay.py")
_PEER: Final = struct.Struct("3i")
"""struct ucred: pid, uid, gid."""


@contextmanager
def lease(service: Service) -> Iterator[str]:
    """Serve *service* until the block ends.  Gives the command that QEMU's guestfwd is to start."""
    name = f"knitter-metadata-{secrets.token_hex(16)}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen(64)
        server = threading.Thread(target=_serve, args=(listener, service), daemon=True)
        server.start()
        try:
            yield shlex.join([sys.executable, "-I", "-S", str(_RELAY), name])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()


def _serve(listener: socket.socket, service: Service) -> None:
    while True:
        try:
            relay, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_receive, args=(relay, service), daemon=True).start()


def _receive(relay: socket.socket, service: Service) -> None:
    """Take the guest's connection from *relay* and answer what comes on it."""
    with relay:
        relay.settimeout(10)
        _, uid, _ = _PEER.unpack(relay.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        if uid != os.geteuid():
            return
        with suppress(OSError):
            _, descriptors, _, _ = socket.recv_fds(relay, 1, 1)
            for descriptor in descriptors:
                with socket.socket(fileno=descriptor) as guest:
                    _Conversation(guest, service)


class _Conversation(BaseHTTPRequestHandler):
    """HTTP on the guest's connection, as many requests as it likes."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "EC2ws", ""
    timeout = 30

    def __init__(self, guest: socket.socket, service: Service) -> None:
        self._service = service
        super().__init__(guest, "", None)  # type: ignore[arg-type]  # there is no server behind it

    def handle_one_request(self) -> None:
        """Read and answer one; the base class would look for a method per verb."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self._answer()

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self._service.answer(self.command, self.path, headers)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Nothing: the service keeps the record."""
