"""A guest of a disk that a shared desk has built, kept on; spoken to with the command that users are given."""

import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from knitter.stages.build import Build
from knitter.stages.disk import RAW
from knitter.stages.guest import Session
from tests.desk import Desk


@contextmanager
def borrowed(desk: Desk, recipe: str, root: Path) -> Iterator[Build]:
    """*recipe* with the disk that *desk* built, and a build directory of its own below *root*."""
    made = desk.site.build(recipe)
    settings = made.settings.model_copy(update={"build_directory": root / "build", "cache_directory": desk.cache})
    build = replace(made, settings=settings)
    build.directory.mkdir(parents=True)
    for name in (RAW, "disk.json"):
        (build.directory / name).symlink_to(made.directory / name)
    yield build
    assert not (build.directory / ".keep").exists()


def run(session: Session, script: str) -> str:
    """What *script* prints, run by root of the guest; "" if it cannot be reached."""
    argv = [*shlex.split(session.ssh_command), "-o", "ConnectTimeout=5", "sudo", "sh", "-s"]
    done = subprocess.run(argv, input=script, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode in (0, 255), done.stdout + done.stderr
    return done.stdout.strip()


def reboot(session: Session) -> None:
    """Until it can be reached again."""
    ask = "cat /proc/sys/kernel/random/boot_id"
    before = run(session, ask)
    run(session, "systemctl reboot")
    deadline = time.monotonic() + 600
    while run(session, ask) in ("", before):
        assert time.monotonic() < deadline, session.console.read_text(errors="replace")[-3000:]
        time.sleep(2)


def power_off(session: Session) -> None:
    """By its own means; what it wrote is on the overlay."""
    run(session, "systemctl poweroff")
    session.wait()
    assert session.guest.code == 0


def keep_what_was_written(build: Build) -> None:
    """Make the disk of a guest that is off, and still leased, the disk of *build*."""
    disk = build.directory / RAW
    written = disk.with_name("written.raw")
    overlay = build.directory / ".keep" / "overlay.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "raw", overlay, written], check=True)
    written.replace(disk)
