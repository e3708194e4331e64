"""A proxy between knitter and the lab that kills knitter at a chosen request, before or after the lab has heard it."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from tests.loopback import Handler, Loopback


@dataclass(frozen=True)
class Moment:
    """When to kill: at the first request that matches, such as `PUT .*/blocks/` or `Action=RegisterImage`."""

    pattern: str
    when: Literal["before", "after"]


@dataclass
class Tap(Loopback):
    """Forwards everything to *endpoint*."""

    endpoint: str
    moment: Moment | None = None
    victim: int = 0
    heard: list[str] = field(default_factory=list)
    """Method, path and body of each request."""
    struck: threading.Event = field(default_factory=threading.Event)

    def kill(self, script: str, *arguments: str, moment: Moment) -> None:
        """Run *script* (its first argument is our URL) and kill it at *moment*; fails if that never comes."""
        self.moment = moment
        self.struck.clear()
        argv: Sequence[str] = [sys.executable, "-c", script, self.url, *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True) as process:
            self.victim = process.pid
            _, stderr = process.communicate()
        assert self.struck.is_set(), stderr
        assert process.returncode == -signal.SIGKILL, stderr

    def strike(self, request: str, when: str) -> bool:
        """Kill the victim if this is the moment."""
        moment = self.moment
        if moment is None or moment.when != when or not re.search(moment.pattern, request):
            return False
        self.struck.set()
        os.kill(self.victim, signal.SIGKILL)
        return True


class _Handler(Handler):
    owner: Tap

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        request = f"{self.command} {self.path} {body[:2000].decode(errors='replace') if self.command == 'POST' else ''}"
        self.owner.heard.append(request)
        if self.owner.strike(request, "before"):
            self.close_connection = True
            return
        status, headers, answer = self._ask(body)
        if self.owner.strike(request, "after"):
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {"connection", "transfer-encoding", "content-length", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        lab = http.client.HTTPConnection(urlsplit(self.owner.endpoint).netloc)
        try:
            lab.request(self.command, self.path, body, dict(self.headers.items()))
            response = lab.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            lab.close()

    do_PUT = do_POST = do_GET = _forward  # noqa: N815


Tap.handler = _Handler
