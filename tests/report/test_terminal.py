"""The reporter as the user meets it: doit as a process, on a real terminal (a pty) and in pipes."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

DODO = textwrap.dedent("""
    import os, sys, time
    from pathlib import Path
    from knitter.errors import KnitterError
    from knitter.progress import note, say, task
    from knitter.report import Reporter, creating, loading, refusing

    DOIT_CONFIG = {"reporter": Reporter, "verbosity": 2, "par_type": "thread", "default_tasks": []}
    SECONDS = float(os.environ.get("SECONDS_EACH", "0.4"))
    with loading():
        if "BAD" in os.environ:
            raise KnitterError("the settings cannot be used", hint="read README.md")

    def stage(name):
        def act():
            with task(name):
                say("", reason="disk.size changed")
                if name != "disk:d":
                    print(f"printed by {name}")
                if "NOTE" in os.environ:
                    note(os.environ["NOTE"])
                for n in range(20):
                    say("copying", done=n << 20, total=20 << 20, unit="B")
                    time.sleep(SECONDS / 20)
                if "FAIL" in os.environ:
                    raise KnitterError("the disk is full", hint="free some")
                Path(name).touch()
            return {"action": "made", "reason": "disk.size changed"}
        return act

    def task_disk():
        for recipe in "abcd":
            action = refusing(stage(f"disk:{recipe}"))
            meta = {"log": Path("logs") / f"{recipe}.log"}
            yield {"name": recipe, "actions": [action], "io": {"capture": False}, "meta": meta}

    def task_lab():
        def act():
            if "FAIL" in os.environ:
                raise KnitterError("the lab does not start")
            print("export X=1")
        return {"actions": [refusing(act)], "io": {"capture": False}}
""")

PLAIN_ENVIRONMENT = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
COLOUR = re.compile(rb"\x1b\[[0-9;]*3[0-7]m")
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dodo.py").write_text(DODO)
    return tmp_path


def argv(*words: str) -> list[str]:
    return [sys.executable, "-m", "doit", *words]


def piped(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(*words),
        cwd=folder,
        env=PLAIN_ENVIRONMENT | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class Terminal:
    """A pty, and doit in it."""

    def __init__(self, folder: Path, *words: str, width: int = 80, **environ: str) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        self.process = subprocess.Popen(
            argv(*words), cwd=folder, env=PLAIN_ENVIRONMENT | environ, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 one system call, so that ^C works
        )  # fmt: skip
        os.close(theirs)
        self.screen = b""
        self.width = width

    def until(self, sign: bytes) -> None:
        deadline = time.monotonic() + 60
        while sign not in self.screen:
            assert time.monotonic() < deadline, self.screen
            self.screen += os.read(self.ours, 65536)

    def end(self) -> int:
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while more := os.read(self.ours, 65536):
                self.screen += more
        os.close(self.ours)
        return self.process.wait(60)

    def lines(self) -> list[str]:
        """What stays to be read, empty lines left out."""
        return [line for line in drawn(self.screen.decode(), self.width)[0] if line]


def drawn(output: str, width: int) -> tuple[list[str], int]:
    """What *output* leaves on an endless screen of *width* columns, and the longest line it ever drew."""
    screen, row, column, longest = [""], 0, 0, 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]", output):
        match piece:
            case "\r":
                column = 0
            case "\n":
                row, column = row + 1, 0
            case "\x1b[1A":
                row -= 1
            case "\x1b[2K":
                screen[row] = ""
            case _ if not piece.startswith("\x1b"):
                if column == width:
                    row, column = row + 1, 0
                screen += [""] * (row + 1 - len(screen))
                screen[row] = screen[row].ljust(column)[:column] + piece + screen[row][column + 1 :]
                column += 1
                longest = max(longest, column)
        screen += [""] * (row + 1 - len(screen))
    return [line.rstrip() for line in screen], longest


def test_on_a_terminal_a_table_lives_and_lines_stay(folder: Path) -> None:
    terminal = Terminal(folder, "-n", "4", "disk")
    assert terminal.end() == 0
    assert HIDE in terminal.screen
    assert terminal.screen.rindex(SHOW) > terminal.screen.rindex(HIDE)
    assert COLOUR.search(terminal.screen)
    assert re.search(r"━+┄", terminal.screen.decode())
    lines = terminal.lines()
    assert sorted(line for line in lines if line.startswith("printed")) == [f"printed by disk:{r}" for r in "abc"]
    stay = sorted(re.sub(r" +\d\.\d s", " T", line) for line in lines if line.startswith("✓"))
    assert stay == [f"✓ disk:{r} T  disk.size changed" for r in "abcd"]
    assert len(lines) == 3 + 4 + 4 + 1, "nothing of the table stays"
    assert re.fullmatch(r"4 made in \d\.\d s", lines[-1])


def test_what_is_to_be_copied_stays_in_one_piece(folder: Path) -> None:
    """Longer than the terminal is wide: the terminal may fold it, nobody else."""
    command = f"ssh -F {'/a-folder' * 12}/ssh_config debian-12"
    terminal = Terminal(folder, "disk:a", NOTE=command)
    assert terminal.end() == 0
    assert command.encode() in terminal.screen
    assert command in piped(folder, "disk:b", NOTE=command).stdout.splitlines()


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_row_is_wider_than_the_terminal(folder: Path, width: int) -> None:
    terminal = Terminal(folder, "-n", "4", "disk", width=width)
    terminal.until(b"copying" if width > 20 else b"disk:a")
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 130
    table = terminal.screen[: terminal.screen.rindex(SHOW)].decode()
    assert drawn(table, 1000)[1] < width


def test_no_color_is_honoured(folder: Path) -> None:
    terminal = Terminal(folder, "disk:a", NO_COLOR="1")
    assert terminal.end() == 0
    assert HIDE in terminal.screen
    assert not COLOUR.search(terminal.screen)
    assert b"disk:a" in terminal.screen


@pytest.mark.parametrize("environ", [{"CI": "true"}, {"TERM": "dumb"}], ids=["ci", "dumb"])
def test_where_nobody_watches_nothing_moves(folder: Path, environ: dict[str, str]) -> None:
    terminal = Terminal(folder, "disk:a", **environ)
    assert terminal.end() == 0
    assert HIDE not in terminal.screen
    assert terminal.lines()[0] == "▸ disk:a  disk.size changed"


def test_a_failure_on_a_terminal_ends_with_what_to_do(folder: Path) -> None:
    terminal = Terminal(folder, "disk:a", FAIL="1")
    assert terminal.end() == 1
    assert terminal.screen.rindex(SHOW) < terminal.screen.rindex(b"the disk is full")
    assert terminal.lines()[-2:] == ["disk:a: the disk is full", "  → free some"]


@pytest.mark.parametrize("words", [("disk:a",), ("-n", "4", "disk")], ids=["serial", "threads"])
def test_ctrl_c_gives_the_cursor_back_and_one_line(folder: Path, words: tuple[str, ...]) -> None:
    terminal = Terminal(folder, *words, SECONDS_EACH="30")
    terminal.until(b"copying")
    os.write(terminal.ours, b"\x03")
    assert terminal.end() == 130
    assert terminal.screen.rindex(SHOW) > terminal.screen.rindex(HIDE)
    assert terminal.lines()[-1] == "interrupted; run the same command again to continue"
    assert b"Traceback" not in terminal.screen
    assert not [line for line in terminal.lines() if "copying" in line]


def test_ctrl_c_in_a_pipe(folder: Path) -> None:
    with subprocess.Popen(
        argv("disk:a"), cwd=folder, env=PLAIN_ENVIRONMENT | {"SECONDS_EACH": "30"}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == "▸ disk:a  disk.size changed\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "interrupted; run the same command again to continue\n"


def test_in_a_pipe_there_are_plain_lines_and_errors_on_stderr(folder: Path) -> None:
    done = piped(folder, "disk:a", FAIL="1")
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == ["▸ disk:a  disk.size changed", "printed by disk:a"]
    assert done.stderr == "\ndisk:a: the disk is full\n  → free some\n"
    assert "\x1b" not in done.stdout + done.stderr


def test_under_lc_all_c_everything_is_ascii(folder: Path) -> None:
    done = piped(folder, "disk:a", FAIL="1", LC_ALL="C")
    assert (done.stdout + done.stderr).isascii()
    assert "! disk:a" in done.stdout
    assert "-> free some" in done.stderr


def test_what_a_shell_reads_is_only_what_the_task_prints(folder: Path) -> None:
    assert piped(folder, "lab").stdout == "export X=1\n"
    failed = piped(folder, "lab", FAIL="1")
    assert (failed.returncode, failed.stdout, failed.stderr) == (1, "", "lab: the lab does not start\n")


def test_an_error_while_dodo_loads_is_text_and_exit_code_3(folder: Path) -> None:
    done = piped(folder, "list", BAD="1")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "ERROR: the settings cannot be used\n  → read README.md\n"


def test_a_reader_that_goes_away_does_not_stop_the_work(folder: Path) -> None:
    with subprocess.Popen(
        argv("disk:d", "disk:a"), cwd=folder, env=PLAIN_ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert (folder / "disk:d").exists()
    assert (folder / "disk:a").exists()
