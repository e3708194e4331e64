"""This host: commands in sessions of their own, killed as a group, and not outliving knitter."""

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from knitter.command import Command
from knitter.errors import CommandError
from knitter.machine import Output, tools

TAIL_LINES: Final = 20
_PATH_SUFFIX: Final = ":/usr/local/sbin:/usr/sbin:/sbin"
"""mke2fs and the like live here; a user's PATH on Debian has none of it."""

_running: set["Running"] = set()
_guard = threading.Lock()


class Running:
    """A process in the background.  Killed by the kernel if the thread that started it ends."""

    def __init__(self, command: Command, process: subprocess.Popen[bytes], machine: str, log: Path | None) -> None:
        self.command = command
        self.process = process
        self._machine = machine
        self._log = log
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
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
        return self.process.poll()

    @property
    def tail(self) -> str:
        """The last lines of stderr."""
        return "\n".join(self._tail)

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, once it has ended.  Raises TimeoutError."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            raise TimeoutError from late
        for pump in self._pumps:
            pump.join()
        self._forget()
        return code

    def stop(self) -> None:
        """End the process and everything in its session.  Safe to repeat."""
        if self.process.poll() is None:
            _kill_group(self.process.pid)
            self.process.wait()
        self._forget()

    def failure(self, reason: str) -> CommandError:
        """The error of this command."""
        log = f"\nlog: {self._log}" if self._log else ""
        return CommandError(
            f"{self.command.argv[0]} {reason} on {self._machine}",
            code=self.process.returncode or 0,
            details=f"$ {self.command}\n{self.command.redact(self.tail)}{log}",
        )

    def _forget(self) -> None:
        with _guard:
            _running.discard(self)

    def first_line(self) -> str:
        """The first line of stdout of a process that was started with a pipe there; "" if it ended without one."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode(errors="replace").rstrip("\n")

    def pump(self, target: Callable[[], None]) -> None:
        """Do *target* in a thread that ends with the process."""
        thread = threading.Thread(target=target, daemon=True)
        self._pumps.append(thread)
        thread.start()

    def read_stderr(self, stream: IO[bytes], on_line: Callable[[str], None] | None) -> None:
        """Copy *stream* to the log, the tail and *on_line*, line by line."""
        log = self._log.open("ab") if self._log else None
        with stream:
            for raw in stream:
                if log:
                    log.write(raw)
                    log.flush()
                line = raw.decode(errors="replace").rstrip("\n")
                self._tail.append(line)
                if on_line:
                    on_line(line)
        if log:
            log.close()


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
    ) -> Running:
        """Start *command* in the background; see `run` for log and on_line."""
        if log:
            _note(log, f"$ {command}")
        running = Running(command, self._spawn(command, stdin, stdout), self.name, log)
        stderr = running.process.stderr
        if stderr is not None:
            running.pump(lambda: running.read_stderr(stderr, on_line))
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
            raise running.failure(f"did not end within {timeout:.0f} s") from None
        finally:
            running.stop()
        if log:
            _note(log, f"[exit code {code}]")
        if check and code:
            raise running.failure(f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}")
        return Output(code, b"".join(chunks), running.tail)

    def _spawn(self, command: Command, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
        if not self._enter:
            tools.require(["setpriv", command.argv[0]])
        argv = ["setpriv", "--pdeathsig", "KILL", "--", *self._enter, *command.argv]
        env = {**os.environ, "LC_ALL": "C.UTF-8", **command.env}
        env["PATH"] = env.get("PATH", "/usr/bin:/bin") + _PATH_SUFFIX
        return subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=env, cwd=command.cwd, start_new_session=True
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


def _note(log: Path, line: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(line + "\n")


def _kill_group(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return
        if number == signal.SIGTERM and _gone(pid):
            return


def _gone(pid: int, seconds: float = 2.0) -> bool:
    """Whether the child *pid* ended within *seconds*; does not reap it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(0.02)
    return False
