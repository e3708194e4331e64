"""The checks' shell text, run by a real shell on this host."""

import os
from pathlib import Path

import pytest

from knitter.command import command, script
from knitter.machine.local import Local
from knitter.vm.checks import _ROOT_DISK, _RUNNING, _SERIAL, ABOUT, _arguments, _clock

pytestmark = pytest.mark.lab


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def path_with(directory: Path) -> dict[str, str]:
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


def code(text: str) -> int:
    return Local().run(script(text), check=False).code


def test_kernel_arguments_are_whole_words() -> None:
    words = Local().run(script("cat /proc/cmdline")).text.split()
    assert code(_arguments(" ".join(words))) == 0
    assert code(_arguments(f"{words[0]} surely-not-there")) == 1
    assert code(_arguments(words[0][:-1])) == 1


def test_the_clock_may_be_off_a_little() -> None:
    now = int(Local().run(script("date +%s")).text)
    assert code(_clock(now)) == 0
    assert code(_clock(now + 30)) == 0
    assert code(_clock(now - 3600)) == 1
    assert code(_clock(now + 3600)) == 1


@pytest.mark.parametrize(("level", "code"), [("N 3", 0), ("3 4", 0), ("N 1", 1), ("unknown", 1)])
def test_a_system_without_systemd_is_running_in_a_runlevel(tmp_path: Path, level: str, code: int) -> None:
    """In a mount namespace whose /run is empty, with programs that answer as upstart's do, rc ending meanwhile."""
    program(tmp_path / "bin/runlevel", f"echo {level}")
    program(tmp_path / "bin/pgrep", "exit 1")
    program(
        tmp_path / "bin/initctl",
        f"rm {tmp_path}/busy 2>&- && echo 'rc start/running, process 7' || echo rc stop/waiting",
    )
    (tmp_path / "busy").touch()
    private = ("unshare", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs none /run && exec sh -eu -s", "sh")
    done = Local().run(command(*private, stdin=_RUNNING, env=path_with(tmp_path / "bin")), check=False)
    assert (done.code, done.text) == (code, f"runlevel, before and now: {level}")
    assert not (tmp_path / "busy").exists()


def sysfs(root: Path, disk: str, serial: str) -> None:
    """A disk of three partitions, and a logical volume on the third."""
    part = root / f"devices/pci/{disk}/{disk}3"
    (part / "holders").mkdir(parents=True)
    (part / "partition").write_text("3")
    (root / serial).parent.mkdir(parents=True, exist_ok=True)
    (root / serial).write_text("vol0123456789abcdef0\n")
    for folder in ("block", "dev/block", "devices/virtual/block/dm-1/slaves"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "block" / disk).symlink_to(root / "devices/pci" / disk)
    (root / "dev/block/259:258").symlink_to(part)
    (root / "devices/virtual/block/dm-1/slaves" / part.name).symlink_to(part)
    (root / "dev/block/253:1").symlink_to(root / "devices/virtual/block/dm-1")


@pytest.mark.parametrize(
    ("disk", "number", "serial"),
    [
        ("nvme0n1", 259 << 8 | 258 >> 8 << 20 | 258 & 0xFF, "block/nvme0n1/device/serial"),
        ("vda", 253 << 8 | 1, "block/vda/serial"),
    ],
    ids=["on a partition", "on a logical volume"],
)
def test_the_disk_below_the_root_is_found(tmp_path: Path, disk: str, number: int, serial: str) -> None:
    program(tmp_path / "bin/stat", f"echo {number}")
    sysfs(tmp_path / "sys", disk, serial.replace(f"block/{disk}", f"devices/pci/{disk}"))
    text = (_ROOT_DISK + _SERIAL + 'echo "$part"').replace("/sys/", f"{tmp_path}/sys/")
    said = Local().run(script(text, env=path_with(tmp_path / "bin"))).text.splitlines()
    assert said[0].startswith(f"{disk}: vol0123456789abcdef0, Linux ")
    assert said[1] == f"{disk}3"


def test_what_it_calls_itself(tmp_path: Path) -> None:
    assert Local().run(script(ABOUT)).text.splitlines()[1].startswith(("Debian", "Ubuntu", "Fedora", "CentOS", "Alma"))
    old = tmp_path / "system-release"
    old.write_text("CentOS release 6.9 (Final)\n")
    text = ABOUT.replace("/etc/os-release", f"{tmp_path}/none").replace("/etc/system-release", str(old))
    assert Local().run(script(text)).text.splitlines()[1] == "CentOS release 6.9 (Final)"
