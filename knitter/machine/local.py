"""This host: commands in sessions of their own, killed as a group, and not outliving knitter."""

import os
import select
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from knitter import interrupt
from knitter.command import Command
from knitter.errors import CommandError
from knitter.machine import Output, tools
from knitter.machine.journal import Journal

GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL."""
_PATH_SUFFIX: Final = ":/usr/local/sbin:/usr/sbin:/sbin"
"""mke2fs and the like live here; a user's PATH on Debian has none of it."""

_running: set["Running"] = set()
_guard = threading.Lock()


class Running:
    """A process in the background.  Killed by the kernel if the thread that started it ends."""

    def __init__(self, process: subprocess.Popen[bytes], journal: Journal) -> None:
        self.process = process
        self._journal = journal
        self._ended = os.pidfd_open(process.pid)
        weakref.finalize(self, os.close, self._ended)
        self._stopping = threading.Lock()
        self._pumps: list[threading.Thread] = []
        with _guard:
            _running.add(self)

    @property
    def pid(self) -> int:
        """Process id on this host."""
        return self.process.pid

    @property
    def code(self) -> int | None:
        """Exit code; None while it runs."""
        return self.wait() if _readable(self._ended, 0) else None

    @property
    def tail(self) -> str:
        """The last lines of stderr."""
        return self._journal.tail

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, once it has ended; what it left running in its session is killed.  Raises TimeoutError."""
        if not _readable(self._ended, timeout):
            raise TimeoutError
        self.stop()
        for pump in self._pumps:
            pump.join()
        return self.process.returncode

    def stop(self) -> None:
        """End the process and everything in its session.  Safe to repeat and from any thread."""
        with self._stopping:
            if self.process.returncode is None:
                _kill_group(self.process.pid, self._ended)
                self.process.wait()
        with _guard:
            _running.discard(self)

    def end(self, *, check: bool) -> None:
        """Write down how it ended.  Raises CommandError if that is a failure and *check*."""
        self._journal.end(self.process.returncode, check=check)

    def failure(self, reason: str) -> CommandError:
        """The error of this command."""
        return self._journal.failure(reason, self.process.returncode or 0)

    def first_line(self) -> str:
        """The first line of stdout of a process that was started with a pipe there; "" if it ended without one."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode(errors="replace").rstrip("\n")

    def pump(self, target: Callable[[], None]) -> None:
        """Do *target* in a thread that ends with the process."""
        thread = threading.Thread(target=target, daemon=True)
        self._pumps.append(thread)
        thread.start()


class Local:
    """The host knitter runs on.  *enter* is put before each command, such as nsenter and its arguments."""

    def __init__(self, name: str = "this host", enter: tuple[str, ...] = ()) -> None:
        self.name = name
        self._enter = enter

    def start(
        self,
        command: Command,
        *,
        log: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        keep: tuple[int, ...] = (),
    ) -> Running:
        """Start *command* in the background; see `run` for log and on_line.  It keeps the descriptors *keep* open."""
        journal = Journal(command, self.name, log)
        running = Running(self._spawn(command, stdin, stdout, keep), journal)
        stderr = running.process.stderr
        if stderr is not None:
            running.pump(lambda: _copy(stderr, journal, on_line))
        return running

    def run(
        self,
        command: Command,
        *,
        log: Path | None = None,
        check: bool = True,
        timeout: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        """See Machine.run."""
        stdin = subprocess.PIPE if command.stdin else subprocess.DEVNULL
        running = self.start(command, log=log, on_line=on_line, stdin=stdin, stdout=subprocess.PIPE)
        chunks: list[bytes] = []
        try:
            _exchange(running, command.stdin, chunks)
            code = running.wait(timeout)
        except TimeoutError:
            running.stop()
            raise running.failure(f"did not end within {timeout:g} s") from None
        finally:
            running.stop()
        interrupt.check()  # what the way out killed has not failed
        running.end(check=check)
        return Output(code, b"".join(chunks), running.tail)

    def _spawn(self, command: Command, stdin: int, stdout: int, keep: tuple[int, ...]) -> subprocess.Popen[bytes]:
        if not self._enter:
            tools.require(["setpriv", command.argv[0]])
        argv = ["setpriv", "--pdeathsig", "KILL", "--", *self._enter, *command.argv]
        env = {**os.environ, "LC_ALL": "C.UTF-8", **command.env}
        env["PATH"] = env.get("PATH", "/usr/bin:/bin") + _PATH_SUFFIX
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=env,
            cwd=command.cwd,
            start_new_session=True,
            pass_fds=keep,
        )


def stop_all() -> None:
    """End every process that is still running: the way out after a signal."""
    with _guard:
        left = list(_running)
    for running in left:
        running.stop()


def _exchange(running: Running, stdin: bytes, chunks: list[bytes]) -> None:
    process = running.process
    if process.stdin is not None:
        running.pump(lambda: _feed(running.process.stdin, stdin))
    stdout = process.stdout
    if stdout is not None:
        running.pump(lambda: chunks.append(_drain(stdout)))


def _feed(stream: IO[bytes] | None, data: bytes) -> None:
    assert stream is not None
    try:
        with stream:
            stream.write(data)
    except BrokenPipeError:
        pass  # it ended without reading all: its exit code tells


def _drain(stream: IO[bytes]) -> bytes:
    with stream:
        return stream.read()


def _copy(stderr: IO[bytes], journal: Journal, on_line: Callable[[str], None] | None) -> None:
    with stderr:
        journal.read(stderr, on_line)


def _kill_group(pid: int, ended: int) -> None:
    """Kill the process group of the child *pid*, which is not reaped yet, so its number is still its own."""
    if not _readable(ended, 0):
        os.killpg(pid, signal.SIGTERM)
        _readable(ended, GRACE)
    os.killpg(pid, signal.SIGKILL)


def _readable(descriptor: int, timeout: float | None) -> bool:
    """Whether *descriptor* became readable within *timeout* seconds: of a pidfd, whether the process ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))
