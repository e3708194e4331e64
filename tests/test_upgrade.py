"""The image lives on as any Debian: upgraded, its menu and its loaders made anew by its own tools, it still boots."""

import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from knitter.errors import KnitterError
from knitter.stages import guest
from knitter.stages.build import Build
from knitter.stages.disk import RAW
from knitter.stages.guest import Session
from tests.desk import Desk

pytestmark = pytest.mark.boot
_UPGRADE = """
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y upgrade
apt-get -q -y --reinstall install grub-cloud-amd64
update-grub
echo upgraded
"""


@pytest.fixture
def own(debian: Desk, tmp_path: Path) -> Iterator[Build]:
    """debian-12 with the disk that the session built, and a build directory of its own."""
    made = debian.site.build("debian-12")
    settings = made.settings.model_copy(update={"build_directory": tmp_path / "build", "cache_directory": debian.cache})
    build = replace(made, settings=settings)
    build.directory.mkdir(parents=True)
    for name in (RAW, "disk.json"):
        (build.directory / name).symlink_to(made.directory / name)
    yield build
    assert not (build.directory / ".keep").exists()


def run(session: Session, script: str) -> str:
    """What *script* prints, run by root of the guest, through the command that users are given; "" if not reached."""
    argv = [*shlex.split(session.ssh_command), "-o", "ConnectTimeout=5", "sudo", "sh", "-s"]
    done = subprocess.run(argv, input=script, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode in (0, 255), done.stdout + done.stderr
    return done.stdout.strip()


def reboot(session: Session) -> None:
    ask = "cat /proc/sys/kernel/random/boot_id"
    before = run(session, ask)
    run(session, "systemctl reboot")
    deadline = time.monotonic() + 600
    while run(session, ask) in ("", before):
        assert time.monotonic() < deadline, session.console.read_text(errors="replace")[-3000:]
        time.sleep(2)


def power_off(session: Session) -> None:
    run(session, "systemctl poweroff")
    session.wait()
    assert session.guest.code == 0


def look(session: Session, build: Build) -> None:
    assert run(session, "systemctl is-system-running --wait || true") == "running"
    assert build.recipe.boot.arguments in run(session, "cat /proc/cmdline")


def test_it_still_boots_after_an_upgrade(own: Build) -> None:
    """Upgraded in a guest kept open, it boots from UEFI, and as another instance, made of that disk, from BIOS."""
    disk = own.directory / RAW
    upgraded = disk.with_name("upgraded.raw")
    with guest.keep(own, firmware="uefi") as session:
        with pytest.raises(KnitterError, match="kept open already"), guest.keep(own):
            pass
        assert run(session, _UPGRADE).endswith("upgraded")
        reboot(session)
        look(session, own)
        power_off(session)
        overlay = own.directory / ".keep" / "overlay.qcow2"
        subprocess.run(["qemu-img", "convert", "-O", "raw", overlay, upgraded], check=True)
    upgraded.replace(disk)
    with guest.keep(own, firmware="bios") as session:
        assert run(session, "test -d /sys/firmware/efi || echo bios") == "bios"
        look(session, own)
        power_off(session)
