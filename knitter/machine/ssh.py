"""Another host over SSH.  Its host key is pinned: knitter gave it, or was told it, and accepts no other."""
# ruff: noqa: PLC0415 (paramiko takes a while to import: only who logs in pays)

import logging
import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from knitter import interrupt
from knitter.command import Command
from knitter.errors import KnitterError
from knitter.machine import Output
from knitter.machine.exchange import exchange
from knitter.machine.journal import Journal
from knitter.machine.keys import Key
from knitter.machine.stream import Stream
from knitter.machine.wire import PATIENCE, POLL, Wire

if TYPE_CHECKING:
    import paramiko

    from knitter.machine.packets import Packets

GREETING: Final = 20.0
"""Seconds for the first byte; then a new connection may fare better."""
_MUTE: Final = logging.NullHandler()
"""paramiko logs what it also raises; without a handler Python prints that to the terminal."""
_LATE: Final = (124, 137)
"""Exit codes of timeout(1): it ended the command, or had to kill it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to log in, as whom, and who must answer."""

    address: str
    port: int
    user: str
    host_key: str
    """The public key that the host must present; "": whichever it has, for hosts that cannot be given one."""
    proxy: tuple[str, ...] = ()
    """A program and its arguments whose stdin and stdout carry the connection; without one, TCP does."""

    def __str__(self) -> str:
        return f"{self.user}@{self.address}:{self.port}"


class UnansweredError(KnitterError):
    """Nobody answers there yet, or not to this key."""


class LostError(KnitterError):
    """The connection broke.  Whoever logs in again may go on."""


class Ssh:
    """A host that was logged in to.  Commands run as root: with sudo, unless the user is root."""

    def __init__(self, endpoint: Endpoint, transport: "paramiko.Transport", wire: Wire) -> None:
        self.name = str(endpoint)
        self._wire = wire
        self._sudo = ("sudo", "-n", "--") if endpoint.user != "root" else ()
        self._transport = transport

    def run(
        self,
        command: Command,
        *,
        log: Path | None = None,
        check: bool = True,
        timeout: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        """See Machine.run.  Raises KnitterError too when the connection is lost."""
        journal = Journal(command, self.name, log)
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._open() as channel, self._told():
            channel.exec_command(shlex.join([*self._sudo, *plan_argv(command, timeout)]))
            stdout = exchange(channel, command.stdin, journal, on_line, deadline and deadline + PATIENCE)
            code = channel.recv_exit_status() if channel.exit_status_ready() else -1
        if deadline and time.monotonic() >= deadline and code in (-1, *_LATE):
            raise journal.failure(f"did not end within {timeout:g} s", code)
        if code == -1:
            raise self._lost(journal)
        journal.end(code, check=check)
        return Output(code, stdout, journal.tail)

    @contextmanager
    def stream(self, command: Command) -> Iterator[Stream]:
        """*command*, to be written to while it runs; ended with the block.  Raises LostError."""
        with self._open() as channel:
            with self._told():
                channel.exec_command(shlex.join([*self._sudo, *plan_argv(command, None)]))
            stream = Stream(channel, self._packets, self._alive, self._gone)
            stream.write(command.stdin)
            yield stream

    @property
    def host_key(self) -> str:
        """The public key that the host presented."""
        from knitter.machine.handshake import shown_key

        return shown_key(self._transport)

    def close(self) -> None:
        """Log out.  Safe to repeat."""
        self._transport.close()
        self._wire.close()

    @property
    def _packets(self) -> "Packets":
        return cast("Packets", self._transport.packetizer)

    @contextmanager
    def _open(self) -> Iterator["paramiko.Channel"]:
        with self._told():
            channel = self._transport.open_session(timeout=PATIENCE)
        try:
            yield channel
        finally:
            with suppress(EOFError, OSError):  # nobody is there to hear it
                channel.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        import paramiko

        try:
            yield
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._gone(str(error)) from error

    def _lost(self, journal: Journal) -> KnitterError:
        if self._alive():
            return journal.failure("was ended by a signal", -1)
        return self._gone(f"while it ran: {journal.command}\n{journal.tail}".rstrip())

    def _alive(self) -> bool:
        """Whether the connection outlives a channel that ended: paramiko closes the channels first."""
        self._transport.join(POLL)
        return self._transport.is_active()

    def _gone(self, details: str) -> LostError:
        said = (details or "the other side hung up", self._wire.last_words())
        return LostError(f"the connection to {self.name} was lost", details="\n".join(filter(None, said)))


_TIMEOUT: Final = 'timeout -k 5 1 true 2>&- && exec timeout -k 5 "$@"; exec timeout "$@"'
"""coreutils before 8.5 know no -k, and no fractions of a second."""


def plan_argv(asked: Command, timeout: float | None) -> tuple[str, ...]:
    """The arguments that do *asked* on another host: its directory, environment and deadline come in front."""
    enter = ("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(asked.cwd)) if asked.cwd else ()
    limit = () if timeout is None else ("sh", "-c", _TIMEOUT, "sh", str(math.ceil(timeout)))
    return ("env", "LC_ALL=C", *(f"{name}={value}" for name, value in asked.env.items()), *enter, *limit, *asked.argv)


@contextmanager
def lease(endpoint: Endpoint, key: Key, *, deadline: float, meanwhile: Callable[[], None]) -> Iterator[Ssh]:
    """The host at *endpoint* once it lets *key* in; logged out when the block ends.

    deadline: of time.monotonic().
    meanwhile: called between attempts; what it raises ends the wait.
    Raises UnansweredError at the deadline, and KnitterError at once if the host shows another host key.
    """
    machine = wait_ssh(endpoint, key, deadline=deadline, meanwhile=meanwhile)
    try:
        yield machine
    finally:
        machine.close()


def wait_ssh(endpoint: Endpoint, key: Key, *, deadline: float, meanwhile: Callable[[], None]) -> Ssh:
    """See `lease`; the caller closes it."""
    while True:
        try:
            return connect(endpoint, key, meanwhile=meanwhile, greeting=min(GREETING, deadline - time.monotonic()))
        except UnansweredError:
            if time.monotonic() > deadline:
                raise
        meanwhile()
        interrupt.sleep(POLL)


def connect(
    endpoint: Endpoint, key: Key, *, meanwhile: Callable[[], None] = lambda: None, greeting: float = GREETING
) -> Ssh:
    """Log in, now; the server must speak within *greeting* seconds.

    Raises UnansweredError, and KnitterError if the host shows another host key.
    """
    import paramiko

    from knitter.machine.handshake import log_in, open_transport

    logging.getLogger("paramiko").addHandler(_MUTE)
    wire = _dial(endpoint)
    with ExitStack() as stack:
        stack.callback(wire.close)
        try:
            wire.wait_greeting(meanwhile, greeting)
            transport = open_transport(wire.socket, endpoint)
            stack.callback(transport.close)
            log_in(transport, endpoint, key)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise _unanswered(endpoint, str(error) or "hung up", wire.last_words()) from error
        stack.pop_all()
    return Ssh(endpoint, transport, wire)


def _dial(endpoint: Endpoint) -> Wire:
    try:
        return Wire(endpoint.address, endpoint.port, endpoint.proxy)
    except OSError as error:
        raise _unanswered(endpoint, str(error)) from error


def _unanswered(endpoint: Endpoint, *details: str) -> UnansweredError:
    return UnansweredError(f"{endpoint} does not let knitter in", details="\n".join(filter(None, details)))
