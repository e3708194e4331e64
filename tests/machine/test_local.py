"""Commands on this host: how they end, and that nothing of them stays."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from knitter import interrupt
from knitter.command import command, script
from knitter.errors import CommandError, KnitterError
from knitter.machine.local import Local, stop_all

pytestmark = pytest.mark.lab


def alive(pid: int) -> bool:
    """Whether *pid* runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_gone(pid: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while alive(pid):
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.02)


def test_a_log_without_room_stops_nothing() -> None:
    done = Local().run(script("echo said; echo oops >&2"), log=Path("/dev/full"))
    assert (done.text, done.stderr) == ("said", "oops")


def test_output(tmp_path: Path) -> None:
    done = Local().run(script('cat; echo "$1 $NAME"; pwd; echo oops >&2', "a b", env={"NAME": "x"}), check=True)
    assert (done.code, done.stderr) == (0, "oops")
    assert done.text.splitlines()[0] == "a b x"
    assert Local().run(command("pwd", cwd=tmp_path)).text == str(tmp_path)


def test_stdin_larger_than_a_pipe_comes_back_whole() -> None:
    data = os.urandom(3_000_000)
    assert Local().run(command("cat", stdin=data)).stdout == data


def test_a_command_need_not_read_its_stdin() -> None:
    assert Local().run(command("true", stdin=b"x" * 3_000_000)).code == 0


def test_a_failure_tells_command_code_stderr_and_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    with pytest.raises(CommandError) as caught:
        Local().run(script("for i in $(seq 30); do echo line $i >&2; done; exit 7"), log=log)
    assert caught.value.code == 7
    assert "line 30" in caught.value.details
    assert "line 10\n" not in caught.value.details
    assert str(log) in caught.value.details
    text = log.read_text()
    assert text.startswith("$ sh -eu -s -\nline 1\n")
    assert text.endswith("line 30\n[exit code 7]\n")


def test_a_failure_may_be_wanted() -> None:
    assert Local().run(command("false"), check=False).code == 1


def test_lines_come_as_they_are_written() -> None:
    seen: list[str] = []
    Local().run(script("echo one >&2; echo two >&2"), on_line=seen.append)
    assert seen == ["one", "two"]


def test_secrets_are_in_no_log_and_no_error(tmp_path: Path) -> None:
    log, seen = tmp_path / "log", []
    told = command("sh", "-c", "echo it is hunter2 >&2; exit 1", "hunter2", secrets=("hunter2",))
    with pytest.raises(CommandError) as caught:
        Local().run(told, log=log, on_line=seen.append)
    for text in (log.read_text(), caught.value.details, str(caught.value), *seen):
        assert "hunter2" not in text
    assert seen == ["it is ***"]


def test_a_missing_tool_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(KnitterError) as caught:
        Local().run(command("surely-not-a-tool"))
    assert "surely-not-a-tool" in caught.value.brief
    (tmp_path / "setpriv").symlink_to("/usr/bin/setpriv")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KnitterError) as caught:
        Local().run(command("mmdebstrap"))
    assert "apt install mmdebstrap" in caught.value.hint


def test_tools_of_the_administrator_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert Local().run(command("mke2fs", "-V")).code == 0


def test_a_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(CommandError) as caught:
        Local().run(script('sleep 600 & echo $! > "$1"; wait', pid_file), timeout=1)
    assert "did not end within 1 s" in caught.value.brief
    wait_gone(int(pid_file.read_text()))


def test_a_command_that_ignores_sigterm_is_killed() -> None:
    start = time.monotonic()
    with pytest.raises(CommandError):
        Local().run(command("sh", "-c", "trap '' TERM; while :; do sleep 1; done"), timeout=0.5)
    assert time.monotonic() - start < 20


def test_what_a_command_leaves_running_ends_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    assert Local().run(script('sleep 600 & echo $! > "$1"', pid_file), timeout=60).code == 0
    wait_gone(int(pid_file.read_text()))


def test_no_zombie_stays() -> None:
    before = set(children())
    running = Local().start(command("true"))
    while running.code is None:
        time.sleep(0.01)
    Local().run(command("true"))
    assert set(children()) == before


def children() -> list[str]:
    return [word for task in Path("/proc/self/task").iterdir() for word in (task / "children").read_text().split()]


def test_stop_all_ends_everything_and_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    flag = threading.Event()
    monkeypatch.setattr(interrupt, "_stopping", flag)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            Local().run(command("sleep", 600))
        except KnitterError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    background = Local().start(command("sleep", 600))
    thread.start()
    time.sleep(0.5)
    flag.set()
    stop_all()
    thread.join(20)
    assert [type(error) for error in raised] == [interrupt.Interrupted]
    assert background.code == -signal.SIGTERM


def test_stop_is_safe_to_repeat() -> None:
    running = Local().start(command("sleep", 600))
    running.stop()
    running.stop()
    assert running.wait() == -signal.SIGTERM


def test_a_killed_knitter_takes_its_commands_along() -> None:
    program = """
import sys
from knitter.command import command
from knitter.machine.local import Local
print(Local().start(command("sleep", 600)).pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as knitter:
        assert knitter.stdout is not None
        pid = int(knitter.stdout.readline())
        while not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"):
            time.sleep(0.01)  # until then it is setpriv, which may not have asked for its death yet
        knitter.kill()
    wait_gone(pid)
