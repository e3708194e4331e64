"""A command on another host that is written to while it runs, as fast as the network takes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

from knitter import interrupt
from knitter.errors import KnitterError
from knitter.units import KIB

if TYPE_CHECKING:
    import paramiko

    from knitter.machine.packets import Packets

POLL: Final = 0.5
"""Seconds between looks at interruptions while the other side takes nothing."""
PIECE: Final = 32 * KIB
"""Bytes in one packet: what OpenSSH takes."""
_NO_STATUS: Final = -1
"""paramiko's exit status of a command that gave none: a signal ended it, or the connection is lost."""
_TAIL: Final = 4 * KIB
"""Bytes of stderr that are kept."""


class Stream:
    """One running command.  For one thread; opens none of its own."""

    def __init__(
        self,
        channel: "paramiko.Channel",
        packets: "Packets",
        alive: Callable[[], bool],
        lost: Callable[[str], KnitterError],
    ) -> None:
        """alive: asked when the channel closed, whether the connection lives.  lost: the error if not."""
        self._channel = channel
        self._packets = packets
        self._alive = alive
        self._lost = lost
        self._stdout = self._stderr = b""

    @property
    def tail(self) -> str:
        """The end of stderr, as far as it was read."""
        return self._stderr.decode(errors="replace").strip()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of *data*, waiting for the command to take it.

        A command that ended takes everything and does nothing with it: `lines` and `code` tell.  Raises LostError,
        Interrupted.
        """
        view = memoryview(data)
        with self._told(), self._packets.held():
            while view and not self._channel.closed:
                if not self._channel.send_ready():
                    self._packets.flush()  # else the other side never makes room
                view = view[self._send(view[:PIECE]) :]

    def end(self) -> None:
        """No more will be written."""
        with self._told():
            self._channel.shutdown_write()

    def lines(self, *, wait: float = 0.0) -> list[str]:
        """The whole lines of stdout that came since; waits *wait* seconds at most for the first.

        None come any more once `code` is known.  Raises LostError, Interrupted.
        """
        with self._told():
            interrupt.check()
            while self._channel.recv_stderr_ready():
                self._stderr = (self._stderr + self._channel.recv_stderr(_TAIL))[-_TAIL:]
            while self._channel.recv_ready() or wait:
                self._stdout += self._receive(wait)
                wait = 0.0
        *whole, self._stdout = self._stdout.split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs, or has said something that was not read; -1 if a signal ended it.

        Raises LostError.
        """
        channel = self._channel
        if channel.recv_ready() or channel.recv_stderr_ready() or not channel.exit_status_ready():
            return None
        self._check()
        return channel.recv_exit_status()

    def _send(self, piece: memoryview) -> int:
        self._channel.settimeout(POLL)
        try:
            return self._channel.send(cast("bytes", piece))  # any buffer will do
        except TimeoutError:  # flow control: the command does not read
            interrupt.check()
            return 0

    def _receive(self, wait: float) -> bytes:
        self._channel.settimeout(wait)
        try:
            data = self._channel.recv(64 * KIB)
        except TimeoutError:
            return b""
        if not data:  # the end of stdout: the exit code comes soon
            self._channel.status_event.wait(wait)
        return data

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A connection that broke is LostError; a command that ended is none."""
        import paramiko  # noqa: PLC0415 takes a while to import

        try:
            yield
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not self._channel.closed:
                raise self._lost(str(error)) from error
        self._check()

    def _check(self) -> None:
        channel = self._channel
        if channel.closed and channel.exit_status == _NO_STATUS and not self._alive():
            raise self._lost(self.tail)
