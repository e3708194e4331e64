"""Files of a directory over HTTP on loopback, from a server that can be made to misbehave."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote


class FileServer:
    """Serves *directory*, once it is `up`; a context manager too."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.requests: list[tuple[str, str]] = []
        """(path, Range header or "") of each request, in order."""
        self.cut: dict[str, int] = {}
        """Path -> bytes after which the connection dies, once."""
        self.status: dict[str, list[int]] = {}
        """Path -> what it answers at first, instead of the file."""
        self.ranges = True
        """Whether it honours Range."""
        self.before: Callable[[str], object] = lambda _: None
        """Called with the path of each request before it is answered."""
        self._http: _Http | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.down()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        """Serve, at the same port as before."""
        self._http = _Http(("127.0.0.1", self._port), self)
        self._port = self._http.server_address[1]

    def down(self) -> None:
        """Answer no more."""
        if self._http:
            self._http.stop()
            self._http = None


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], files: FileServer) -> None:
        super().__init__(address, _Handler)
        self.files = files
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is none."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    server: _Http

    def do_GET(self) -> None:
        files, span = self.server.files, self.headers.get("Range", "")
        files.requests.append((self.path, span))
        files.before(self.path)
        path = files.directory / unquote(self.path).lstrip("/")
        if waiting := files.status.get(self.path):
            self.send_error(waiting.pop(0))
        elif not path.is_file():
            self.send_error(404)
        else:
            start = int(span.removeprefix("bytes=").rstrip("-")) if span and files.ranges else 0
            self._send(path.read_bytes(), start, cut=files.cut.pop(self.path, None))

    def _send(self, data: bytes, start: int, *, cut: int | None) -> None:
        if start >= len(data) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:cut])

    def log_message(self, *arguments: object) -> None:
        """Say nothing: `requests` has it."""
