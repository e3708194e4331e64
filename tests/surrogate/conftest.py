"""A real SSH server, and a small proxy before it that can break connections."""

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from knitter.disk import blocks
from knitter.machine.ssh import Ssh, connect
from knitter.units import BLOCK
from tests.machine.conftest import Server, server

__all__ = ["server"]


@pytest.fixture
def login(server: Server) -> Callable[[], Ssh]:
    return lambda: as_user(connect(server.endpoint, server.key))


def as_user(machine: Ssh) -> Ssh:
    if os.geteuid():
        machine._sudo = ()  # the tests' user need not be an administrator
    return machine


def make_disk(path: Path, size: int, used: list[int], *, seed: int = 1) -> blocks.Blocks:
    """A sparse disk with noise and text in the blocks *used*, and its list."""
    noise = random.Random(seed)
    with path.open("wb") as file:
        file.truncate(size)
        for number in used:
            file.seek(number * BLOCK)
            length = min(BLOCK, size - number * BLOCK)
            file.write(noise.randbytes(length) if number % 2 else (b"text %d\n" % number * BLOCK)[:length])
    blocks.write(path, path.with_suffix(".blocks"))
    return blocks.read(path.with_suffix(".blocks"))


def make_volume(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


class Cutter:
    """A TCP proxy on loopback that hangs up after so many bytes, connection by connection."""

    def __init__(self, port: int, limits: list[int], pace: float = 0.0) -> None:
        self._target = port
        self._limits = iter(limits)
        self._pace = pace
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.port = self._listener.getsockname()[1]
        self.cuts = 0
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for wire in self._sockets:
            hang_up(wire)
        for thread in self._threads:
            thread.join()
        for wire in (self._listener, *self._sockets):
            wire.close()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [near, far]
            for source, sink, limit in ((near, far, next(self._limits, None)), (far, near, None)):
                thread = threading.Thread(target=self._copy, args=(source, sink, limit))
                self._threads.append(thread)
                thread.start()

    def _copy(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        try:
            while data := source.recv(65536 if limit is None else min(65536, limit)):
                sink.sendall(data)
                time.sleep(self._pace * len(data))
                if limit is not None:
                    limit -= len(data)
                    if limit <= 0:
                        self.cuts += 1
                        break
        except OSError:
            pass
        hang_up(source)
        hang_up(sink)


def hang_up(wire: socket.socket) -> None:
    with suppress(OSError):  # the other thread was first
        wire.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutter(server: Server, limits: list[int], pace: float = 0.0) -> Iterator[tuple[Cutter, Callable[[], Ssh]]]:
    """The proxy, and how to log in through it."""
    between = Cutter(server.endpoint.port, limits, pace)
    endpoint = replace(server.endpoint, port=between.port)
    try:
        yield between, lambda: as_user(connect(endpoint, server.key))
    finally:
        between.close()
