"""What passes while a command runs over SSH to its end: stdin there, stdout and stderr back."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from knitter import interrupt
from knitter.machine.journal import Journal
from knitter.machine.wire import POLL

if TYPE_CHECKING:
    import paramiko


def exchange(
    channel: "paramiko.Channel",
    stdin: bytes,
    journal: Journal,
    on_line: Callable[[str], None] | None,
    deadline: float | None,
) -> bytes:
    """Feed stdin, follow stderr, return stdout; ends with the command, or short of that at the deadline."""
    chunks: list[bytes] = []
    pumps = [
        _thread(lambda: _feed(channel, stdin)),
        _thread(lambda: chunks.extend(iter(lambda: channel.recv(65536), b""))),
        _thread(lambda: journal.read(channel.makefile_stderr("rb"), on_line)),
        _thread(channel.status_event.wait),
    ]
    for pump in pumps:
        while pump.is_alive() and (deadline is None or time.monotonic() < deadline):
            interrupt.check()
            pump.join(POLL)
    return b"".join(chunks)


def _thread(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def _feed(channel: "paramiko.Channel", stdin: bytes) -> None:
    with suppress(OSError):  # it ended without reading all: its exit code tells
        channel.sendall(stdin)
        channel.shutdown_write()
