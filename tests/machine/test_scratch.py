"""Where trees of foreign owners are built, and that nothing of them stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from knitter.command import script
from knitter.errors import KnitterError
from knitter.machine.scratch import discard, memory_available, require_space, scratch
from knitter.units import GIB, KIB, MIB

GROUP = "sys/fs/cgroup"


def host(root: Path, *, available: int, groups: str, files: dict[str, str]) -> Path:
    """A host's /proc and /sys."""
    texts = {"proc/meminfo": f"MemTotal: 9 kB\nMemAvailable: {available // KIB} kB\n", "proc/self/cgroup": groups}
    for name, text in (texts | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v2(path: str, limit: str, current: int, cache: int) -> dict[str, str]:
    folder = f"{GROUP}{path}"
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{current}\n",
        f"{folder}/memory.stat": f"anon 1\ninactive_file {cache}\n",
    }


def v1(path: str, limit: int, usage: int, cache: int) -> dict[str, str]:
    folder = f"{GROUP}/memory{path}"
    return {
        f"{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"{folder}/memory.usage_in_bytes": f"{usage}\n",
        f"{folder}/memory.stat": f"cache 1\ntotal_inactive_file {cache}\n",
    }


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {}, 8 * GIB),
        ("0::/a\n", v2("/a", "max", 3 * GIB, 0), 8 * GIB),
        ("0::/a/b\n", v2("/a/b", "max", 0, 0) | v2("/a", str(4 * GIB), 3 * GIB, GIB), 2 * GIB),
        ("0::/gone\n", v2("", str(2 * GIB), GIB, 0), GIB),
        ("4:memory:/c\n0::/\n", v1("/c", 3 * GIB, GIB, 0), 2 * GIB),
        ("4:memory:/c\n0::/\n", v1("", 1 << 63, GIB, 0), 8 * GIB),
        ("3:cpu,cpuacct:/c\n", {}, 8 * GIB),
    ],
    ids=["none", "no limit", "limit above", "seen from inside", "version 1", "version 1, no limit", "no memory group"],
)
def test_what_is_available_is_the_least_of_host_and_groups(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int
) -> None:
    assert memory_available(host(tmp_path, available=8 * GIB, groups=groups, files=files)) == expected


def test_too_little_space_is_refused(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(KnitterError, match="too little space in") as caught:
        require_space(tmp_path, 1 << 60)
    assert "needed: 1048576.0 TiB" in caught.value.details


@pytest.mark.lab
@pytest.mark.parametrize("choice", ["memory", "disk"])
def test_a_tree_of_foreign_owners_is_gone_afterwards(tmp_path: Path, choice: str) -> None:
    with scratch(choice, tmp_path / "work", need=MIB) as (machine, place):
        machine.run(script('cd "$1"; mkdir d; echo text > d/f; chown -R 12:34 d; chmod 0700 d', place))
        assert machine.run(script('stat -c %u:%g "$1/d/f"', place)).text == "12:34"
        assert machine.outside(place / "d").is_dir()
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.lab
def test_discard_removes_a_tree_and_minds_no_missing_one(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a").chmod(0o500)
    discard(tmp_path / "a")
    discard(tmp_path / "a")
    assert not (tmp_path / "a").exists()


KILLED = """
import sys
from pathlib import Path
from knitter.command import script
from knitter.machine.scratch import scratch
with scratch("memory", Path(sys.argv[1]), need=1 << 20) as (machine, place):
    machine.run(script('echo text > "$1/file"', place))
    print("in", flush=True)
    machine.run(script("sleep 600"))
"""


@pytest.mark.lab
def test_what_is_in_memory_does_not_outlive_a_kill(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "in\n"
        os.kill(process.pid, signal.SIGKILL)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    discard(tmp_path / "scratch")
