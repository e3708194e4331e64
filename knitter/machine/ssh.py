"""Another host over SSH.  Its host key is pinned: knitter gave it, or was told it, and accepts no other."""
# ruff: noqa: PLC0415 (paramiko takes a while to import: only who logs in pays)

import logging
import select
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from knitter import interrupt
from knitter.command import Command
from knitter.errors import KnitterError
from knitter.machine import Output
from knitter.machine.journal import Journal
from knitter.machine.keys import Key

if TYPE_CHECKING:
    import paramiko

POLL: Final = 0.5
"""Seconds between looks at deadlines and interruptions."""
PATIENCE: Final = 60.0
"""Seconds for one step of the handshake, and for a silent network; a guest without KVM is slow."""
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
    """The public key that the host must present."""

    def __str__(self) -> str:
        return f"{self.user}@{self.address}:{self.port}"


class UnansweredError(KnitterError):
    """Nobody answers there yet, or not to this key."""


class Ssh:
    """A host that was logged in to.  Commands run as root: with sudo, unless the user is root."""

    def __init__(self, endpoint: Endpoint, transport: "paramiko.Transport") -> None:
        self.name = str(endpoint)
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
        with self._session() as channel:
            channel.exec_command(shlex.join([*self._sudo, *plan_argv(command, timeout)]))
            stdout = _exchange(channel, command.stdin, journal, on_line, deadline and deadline + PATIENCE)
            code = channel.recv_exit_status() if channel.exit_status_ready() else -1
        if deadline and time.monotonic() >= deadline and code in (-1, *_LATE):
            raise journal.failure(f"did not end within {timeout:g} s", code)
        if code == -1:
            raise self._lost(journal)
        journal.end(code, check=check)
        return Output(code, stdout, journal.tail)

    def close(self) -> None:
        """Log out.  Safe to repeat."""
        self._transport.close()

    @contextmanager
    def _session(self) -> Iterator["paramiko.Channel"]:
        import paramiko

        try:
            with self._transport.open_session(timeout=PATIENCE) as channel:
                yield channel
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise _gone(self.name, str(error) or "the other side hung up") from error

    def _lost(self, journal: Journal) -> KnitterError:
        if self._transport.is_active():
            return journal.failure("was ended by a signal", -1)
        return _gone(self.name, f"while it ran: {journal.command}\n{journal.tail}".rstrip())


def plan_argv(asked: Command, timeout: float | None) -> tuple[str, ...]:
    """The arguments that do *asked* on another host: its directory, environment and deadline come in front."""
    enter = ("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(asked.cwd)) if asked.cwd else ()
    limit = () if timeout is None else ("timeout", "-k", "5", f"{timeout:g}")
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

    logging.getLogger("paramiko").addHandler(_MUTE)
    try:
        with ExitStack() as stack:
            wire = stack.enter_context(socket.create_connection((endpoint.address, endpoint.port), timeout=PATIENCE))
            _watch(wire)
            _wait_greeting(wire, meanwhile, greeting)
            transport = paramiko.Transport(wire)
            stack.callback(transport.close)
            _log_in(transport, endpoint, key)
            stack.pop_all()
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise UnansweredError(f"{endpoint} does not let knitter in", details=str(error) or "hung up") from error
    return Ssh(endpoint, transport)


def _wait_greeting(wire: socket.socket, meanwhile: Callable[[], None], seconds: float) -> None:
    """Wait for the server's first byte, or its refusal.  QEMU takes connections long before its guest does."""
    start = time.monotonic()
    while not select.select([wire], [], [], POLL)[0]:
        interrupt.check()
        meanwhile()
        if time.monotonic() - start > seconds:
            raise TimeoutError("connected, but no SSH server speaks")


def _log_in(transport: "paramiko.Transport", endpoint: Endpoint, key: Key) -> None:
    import paramiko

    kind = endpoint.host_key.split()[0]
    transport.get_security_options().key_types = [kind]
    transport.banner_timeout = transport.auth_timeout = PATIENCE
    transport.start_client(timeout=PATIENCE)
    shown = transport.get_remote_server_key()
    if f"{shown.get_name()} {shown.get_base64()}" != " ".join(endpoint.host_key.split()[:2]):
        raise KnitterError(
            f"{endpoint} presents another host key",
            details=f"expected: {endpoint.host_key}\nfound:    {shown.get_name()} {shown.get_base64()}",
            hint="somebody else answers there, or the image made its own key instead of taking the one it was given",
        )
    transport.auth_publickey(endpoint.user, paramiko.Ed25519Key.from_private_key(StringIO(key.private)))


def _watch(wire: socket.socket) -> None:
    """Let the kernel notice a host that vanished without a word."""
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PATIENCE * 1000))


def _exchange(
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


def _gone(name: str, details: str) -> KnitterError:
    return KnitterError(f"the connection to {name} was lost", details=details)
