"""The private namespace: root inside, nothing outside, nothing afterwards."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from knitter.command import command, script
from knitter.errors import CommandError
from knitter.machine.namespace import lease

pytestmark = pytest.mark.lab
MIB = 1024**2


def inside(marker: str) -> list[int]:
    """Processes whose command line holds *marker*."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker in (entry / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def wait_empty(marker: str) -> None:
    deadline = time.monotonic() + 10
    while inside(marker):
        assert time.monotonic() < deadline, f"still there: {inside(marker)}"
        time.sleep(0.05)


def test_root_inside_and_a_scratch_that_nobody_else_sees(tmp_path: Path) -> None:
    with lease(tmp_path, memory=8 * MIB) as machine:
        assert machine.run(command("id", "-u")).text == "0"
        machine.run(script('echo hi > "$1"/file; chown 12:34 "$1"/file', tmp_path))
        assert machine.run(command("stat", "-c", "%u:%g", tmp_path / "file")).text == "12:34"
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_the_scratch_is_as_small_as_asked(tmp_path: Path) -> None:
    with lease(tmp_path, memory=MIB) as machine, pytest.raises(CommandError) as caught:
        machine.run(command("dd", "if=/dev/zero", f"of={tmp_path}/big", "bs=1M", "count=4"))
    assert "No space left" in caught.value.details


def test_its_processes_end_with_it(tmp_path: Path) -> None:
    marker = f"600.{os.getpid()}"
    with lease(tmp_path, memory=0) as machine:
        machine.start(command("sleep", marker))
        deadline = time.monotonic() + 10
        while not inside(marker):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    wait_empty(marker)


def test_nothing_is_left_after_kill_9(tmp_path: Path) -> None:
    marker = f"700.{os.getpid()}"
    program = f"""
import sys, time
from pathlib import Path
from knitter.command import command, script
from knitter.machine.namespace import lease
with lease(Path(sys.argv[1]), memory=1 << 20) as machine:
    machine.run(script('echo x > "$1"/file', sys.argv[1]))
    machine.start(command("setsid", "sleep", "{marker}"))
    time.sleep(1)
    print("ready", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) as knitter:
        assert knitter.stdout is not None
        assert knitter.stdout.readline() == "ready\n"
        assert inside(marker)
        knitter.kill()
    wait_empty(marker)
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
