"""What an SSH connection runs over: a TCP connection, or a program that carries it (OpenSSH calls it ProxyCommand)."""

import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from knitter import interrupt
from knitter.command import Command, command
from knitter.machine.local import Local, Running

POLL: Final = 0.5
"""Seconds between looks at deadlines and interruptions."""
PATIENCE: Final = 60.0
"""Seconds for one step of the handshake, and for a silent network; a guest without KVM is slow."""

_LAST_WORDS: Final = 0.5
"""Seconds that a proxy command has to end after the connection did."""


class Wire:
    """A connected socket, and the program behind it if there is one."""

    def __init__(self, address: str, port: int, proxy: tuple[str, ...]) -> None:
        """Connect, or start *proxy*.  Raises OSError, and KnitterError if this host has no such program.

        The program ends with `close`, or with the thread that started it.
        """
        self._proxy: Running | None = None
        self._command = command(*proxy)
        if proxy:
            self.socket, self._proxy = _start(self._command)
        else:
            self.socket = socket.create_connection((address, port), timeout=PATIENCE)
            _watch(self.socket)

    def wait_greeting(self, meanwhile: Callable[[], None], seconds: float) -> None:
        """Wait for the server's first byte, or its refusal.  QEMU takes connections long before its guest does."""
        start = time.monotonic()
        while not select.select([self.socket], [], [], POLL)[0]:
            interrupt.check()
            meanwhile()
            if time.monotonic() - start > seconds:
                raise TimeoutError("connected, but no SSH server speaks")

    def close(self) -> None:
        """Hang up.  Safe to repeat."""
        self.socket.close()
        if self._proxy:
            self._proxy.stop()

    def last_words(self) -> str:
        """Hang up; what the program said on stderr, and how it ended."""
        if not self._proxy:
            self.close()
            return ""
        ended = ""
        with suppress(TimeoutError):  # if it did not hang up, there is no exit code to tell
            ended = f" ended with exit code {self._proxy.wait(_LAST_WORDS)}"
        self.close()
        self._proxy.wait()  # its stderr is read to the end then
        return f"$ {self._command}{ended}\n{self._proxy.tail}".rstrip()


def _start(proxy: Command) -> tuple[socket.socket, Running]:
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            return ours, Local().start(proxy, stdin=theirs.fileno(), stdout=theirs.fileno())
        except BaseException:
            ours.close()
            raise


def _watch(wire: socket.socket) -> None:
    """Let the kernel notice a host that vanished without a word."""
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PATIENCE * 1000))
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
