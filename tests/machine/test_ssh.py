"""SSH against a real server: what is let in, what is refused, how commands end."""

import hashlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from knitter import interrupt
from knitter.command import command, script
from knitter.errors import CommandError, KnitterError
from knitter.machine import packets
from knitter.machine.handshake import OldTransport
from knitter.machine.keys import new_key
from knitter.machine.local import Local
from knitter.machine.ssh import _TIMEOUT, Endpoint, LostError, Ssh, UnansweredError, connect, lease, plan_argv
from knitter.machine.stream import Stream
from tests.machine.conftest import Server

ROOT = os.geteuid() == 0


@pytest.fixture
def machine(server: Server) -> Iterator[Ssh]:
    found = connect(server.endpoint, server.key)
    if not ROOT:
        found._sudo = ()  # the tests' user need not be an administrator
    yield found
    found.close()


def test_what_comes_before_a_command() -> None:
    plain = command("ls", "-l")
    assert plan_argv(plain, None) == ("env", "LC_ALL=C", "ls", "-l")
    full = command("ls", env={"A": "b c"}, cwd=Path("/a b"))
    assert plan_argv(full, 2.5) == (
        *("env", "LC_ALL=C", "A=b c"),
        *("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", "/a b"),
        *("sh", "-c", _TIMEOUT, "sh", "3", "ls"),
    )


@pytest.mark.lab
def test_a_timeout_that_knows_no_kill_after_is_used_as_it_is(tmp_path: Path) -> None:
    old = tmp_path / "timeout"  # as coreutils before 8.5
    old.write_text('#!/bin/sh\ntest "$1" = -k && exit 125\necho "limit $1"; shift; exec "$@"\n')
    old.chmod(0o755)
    asked = plan_argv(command("echo", "a b"), 2.5)
    done = Local().run(command(*asked, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}))
    assert done.text == "limit 3\na b"
    assert Local().run(command(*asked)).text == "a b"


def test_who_is_not_root_becomes_root() -> None:
    nobody: Any = None
    assert Ssh(Endpoint("192.0.2.7", 22, "admin", ""), nobody, nobody)._sudo == ("sudo", "-n", "--")
    assert Ssh(Endpoint("192.0.2.7", 22, "root", ""), nobody, nobody)._sudo == ()


@pytest.mark.lab
class TestRun:
    def test_output(self, machine: Ssh, tmp_path: Path) -> None:
        log, seen = tmp_path / "log", []
        text = 'echo "$1 $NAME"; pwd; echo oops >&2; exit 0'
        asked = replace(script(text, "a 'b'", env={"NAME": "x y"}), cwd=tmp_path)
        done = machine.run(asked, log=log, on_line=seen.append)
        assert done.text == f"a 'b' x y\n{tmp_path}"
        assert (done.stderr, seen) == ("oops", ["oops"])
        assert log.read_text().splitlines()[1:] == ["oops", "[exit code 0]"]

    def test_stdin_comes_back_whole(self, machine: Ssh) -> None:
        data = os.urandom(3_000_000)
        assert machine.run(command("cat", stdin=data)).stdout == data

    def test_much_stderr_does_not_stop_stdout(self, machine: Ssh) -> None:
        done = machine.run(script("head -c 3000000 /dev/zero | tr '\\0' 'e' >&2; head -c 3000000 /dev/zero"))
        assert len(done.stdout) == 3_000_000

    def test_a_failure_tells_command_code_and_stderr(self, machine: Ssh) -> None:
        with pytest.raises(CommandError) as caught:
            machine.run(script("echo why >&2; exit 7"))
        assert caught.value.code == 7
        assert "why" in caught.value.details
        assert machine.name in caught.value.brief

    def test_a_failure_may_be_wanted(self, machine: Ssh) -> None:
        assert machine.run(command("false"), check=False).code == 1

    def test_a_signal(self, machine: Ssh) -> None:
        with pytest.raises(CommandError) as caught:
            machine.run(command("sh", "-c", "kill -9 $$"))
        assert "ended by a signal" in caught.value.brief

    def test_a_timeout_ends_the_command_over_there(self, machine: Ssh, tmp_path: Path) -> None:
        pid = tmp_path / "pid"
        with pytest.raises(CommandError) as caught:
            machine.run(script('echo $$ > "$1"; sleep 600', pid), timeout=1)
        assert "did not end within 1 s" in caught.value.brief
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pid.read_text().strip()}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def test_the_machine_can_be_used_after_a_timeout(self, machine: Ssh) -> None:
        with pytest.raises(CommandError):
            machine.run(command("sleep", 600), timeout=1)
        assert machine.run(command("echo", "still here")).text == "still here"

    def test_a_dropped_connection(self, machine: Ssh, server: Server) -> None:
        thread = threading.Timer(1, lambda: hang_up(server))
        thread.start()
        with pytest.raises(KnitterError) as caught:
            machine.run(command("sleep", 600))
        assert "was lost" in caught.value.brief
        with pytest.raises(KnitterError, match="was lost"):
            machine.run(command("true"))
        thread.join()


def hang_up(server: Server) -> None:
    """End the server's own processes of its connections, as a host does that dies."""
    for pid in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split():
        os.kill(int(pid), signal.SIGKILL)


@pytest.mark.lab
class TestConnect:
    def test_another_host_key_is_refused_at_once(self, server: Server) -> None:
        wrong = replace(server.endpoint, host_key=new_key().public)
        start = time.monotonic()
        with pytest.raises(KnitterError) as caught, lease(wrong, server.key, deadline=start + 60, meanwhile=no_wait):
            pass
        assert "presents another host key" in caught.value.brief
        assert not isinstance(caught.value, UnansweredError)
        assert time.monotonic() - start < 15

    def test_another_key_is_not_let_in(self, server: Server) -> None:
        with pytest.raises(UnansweredError) as caught:
            connect(server.endpoint, new_key())
        assert "Authentication failed" in caught.value.details

    def test_nobody_there_until_the_deadline(self, server: Server) -> None:
        server.process.kill()
        server.process.wait()
        waits: list[float] = []
        deadline = time.monotonic() + 1.5
        with (
            pytest.raises(UnansweredError),
            lease(server.endpoint, server.key, deadline=deadline, meanwhile=lambda: waits.append(0)),
        ):
            pass
        assert len(waits) >= 2

    def test_a_silent_port_is_watched(self) -> None:
        class LostError(KnitterError):
            pass

        def lost() -> None:
            raise LostError("the guest died")

        with socket.create_server(("127.0.0.1", 0)) as silent:
            endpoint = Endpoint("127.0.0.1", silent.getsockname()[1], "root", new_key().public)
            start = time.monotonic()
            with pytest.raises(LostError):
                connect(endpoint, new_key(), meanwhile=lost)
            assert time.monotonic() - start < 30

    def test_a_host_that_makes_its_own_key_shows_it(self, server: Server) -> None:
        with closing(connect(replace(server.endpoint, host_key=""), server.key)) as found:
            assert found.host_key == server.endpoint.host_key

    def test_a_server_as_old_as_el_6(self, old_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        nothing = property(lambda _: {}, lambda *_: None)  # today's sshd always says more than it accepts
        monkeypatch.setattr(OldTransport, "server_extensions", nothing, raising=False)
        with closing(connect(replace(old_server.endpoint, host_key=""), old_server.key)) as found:
            assert found.host_key == old_server.endpoint.host_key
            if ROOT:
                assert found.run(script("echo hello"), timeout=20).text == "hello"
            connect(replace(old_server.endpoint, host_key=found.host_key), old_server.key).close()  # pinned from now on
        with pytest.raises(UnansweredError, match="does not let knitter in"):
            connect(replace(old_server.endpoint, host_key=new_key().public), old_server.key)  # given, it is no old one

    def test_a_server_that_comes_late_is_waited_for(self, server: Server) -> None:
        server.process.send_signal(signal.SIGSTOP)
        timer = threading.Timer(2, lambda: server.process.send_signal(signal.SIGCONT))
        timer.start()
        with lease(server.endpoint, server.key, deadline=time.monotonic() + 60, meanwhile=no_wait) as found:
            assert found.name == str(server.endpoint)
        timer.join()

    def test_nothing_is_printed(self, server: Server, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(UnansweredError):
            connect(server.endpoint, new_key())
        assert capfd.readouterr() == ("", "")


def no_wait() -> None:
    pass


@pytest.mark.lab
class TestStream:
    def test_what_is_written_arrives_whole(self, machine: Ssh) -> None:
        data, lines = os.urandom(20_000_000), []
        with machine.stream(command("sh", "-c", "sha256sum; echo done >&2; exit 3")) as stream:
            for start in range(0, len(data), 777_777):
                stream.write(memoryview(data)[start : start + 777_777])
            stream.end()
            while stream.code is None:
                lines += stream.lines(wait=0.5)
            assert (lines, stream.code, stream.tail) == ([f"{hashlib.sha256(data).hexdigest()}  -"], 3, "done")

    def test_lines_come_while_it_runs(self, machine: Ssh) -> None:
        with machine.stream(command("cat", stdin="first\nsec")) as stream:
            assert stream.lines(wait=10) == ["first"]
            stream.write(b"ond\n")
            assert stream.lines(wait=10) == ["second"]
            assert stream.lines(wait=0.1) == []
            assert stream.code is None

    def test_a_command_that_reads_nothing_more(self, machine: Ssh) -> None:
        with machine.stream(command("sh", "-c", "exit 5")) as stream:
            stream.write(bytes(10_000_000))
            while stream.code is None:
                stream.lines(wait=0.5)
            assert stream.code == 5

    def test_a_signal_is_no_lost_connection(self, machine: Ssh) -> None:
        with machine.stream(command("sh", "-c", "kill -9 $$")) as stream:
            while stream.code is None:
                stream.lines(wait=0.5)
            assert stream.code == -1

    def test_a_lost_connection(self, machine: Ssh, server: Server) -> None:
        with machine.stream(command("cat")) as stream:
            hang_up(server)
            with pytest.raises(LostError, match="was lost"):
                write_on(stream)

    def test_a_command_that_does_not_read_can_be_interrupted(
        self, machine: Ssh, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stopping = threading.Event()
        monkeypatch.setattr(interrupt, "_stopping", stopping)
        timer = threading.Timer(1, stopping.set)
        timer.start()
        start = time.monotonic()
        with machine.stream(command("sleep", 600)) as stream, pytest.raises(interrupt.Interrupted):
            stream.write(bytes(50_000_000))
        assert time.monotonic() - start < 30
        timer.join()

    def test_keys_are_exchanged_anew_on_the_way(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packets, "REKEY_AFTER", 3_000_000)
        data = os.urandom(20_000_000)
        found = connect(server.endpoint, server.key)
        found._sudo = ()
        assert found.run(command("sha256sum", stdin=data)).text.split()[0] == hashlib.sha256(data).hexdigest()
        with found.stream(command("sha256sum")) as stream:
            stream.write(data)
            stream.end()
            assert stream.lines(wait=30) == [f"{hashlib.sha256(data).hexdigest()}  -"]
        found.close()


@pytest.mark.lab
class TestProxy:
    CARRY = """
import socket, sys, threading, os
wire = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def up():
    while data := os.read(0, 65536): wire.sendall(data)
    wire.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := wire.recv(65536): os.write(1, data)
"""

    def test_it_carries_the_connection_and_ends_with_it(self, server: Server) -> None:
        before = children()
        proxy = (sys.executable, "-c", self.CARRY, str(server.endpoint.port))
        found = connect(replace(server.endpoint, address="i-0123", port=22, proxy=proxy), server.key)
        found._sudo = () if not ROOT else found._sudo
        data = os.urandom(3_000_000)
        assert found.run(command("cat", stdin=data)).stdout == data
        found.close()
        assert children() == before

    def test_its_failure_is_told(self, server: Server) -> None:
        before = children()
        proxy = ("sh", "-c", "echo TargetNotConnected >&2; exit 254")
        with pytest.raises(UnansweredError) as caught:
            connect(replace(server.endpoint, proxy=proxy), server.key)
        assert "TargetNotConnected" in caught.value.details
        assert "exit code 254" in caught.value.details
        assert children() == before

    def test_one_that_dies_is_told(self, server: Server) -> None:
        before = set(children())
        proxy = (sys.executable, "-c", self.CARRY, str(server.endpoint.port))
        found = connect(replace(server.endpoint, proxy=proxy), server.key)
        try:
            with found.stream(command("cat")) as stream:
                (pid,) = set(children()) - before
                os.kill(pid, signal.SIGKILL)
                with pytest.raises(LostError) as caught:
                    write_on(stream)
        finally:
            found.close()
        assert "ended with exit code -9" in caught.value.details

    def test_a_program_that_is_not_there(self, server: Server) -> None:
        with pytest.raises(KnitterError, match="lacks no-such-program"):
            connect(replace(server.endpoint, proxy=("no-such-program",)), server.key)


def write_on(stream: Stream) -> None:
    """Until something is raised."""
    while True:
        stream.write(bytes(1_000_000))
        stream.lines()


def children() -> list[int]:
    found = [task.read_text().split() for task in Path("/proc/self/task").glob("*/children")]
    return sorted(int(pid) for pids in found for pid in pids)
