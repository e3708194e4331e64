"""The image lives on as any Debian: upgraded, its menu and its loaders made anew by its own tools, it still boots."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from knitter.errors import KnitterError
from knitter.stages import guest
from knitter.stages.build import Build
from knitter.stages.guest import Session
from tests.desk import Desk
from tests.session import borrowed, keep_what_was_written, power_off, reboot, run

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
    with borrowed(debian, "debian-12", tmp_path) as build:
        yield build


def look(session: Session, build: Build) -> None:
    assert run(session, "systemctl is-system-running --wait || true") == "running"
    assert build.recipe.boot.arguments in run(session, "cat /proc/cmdline")


def test_it_still_boots_after_an_upgrade(own: Build) -> None:
    """Upgraded in a guest kept open, it boots from UEFI, and as another instance, made of that disk, from BIOS."""
    with guest.keep(own, firmware="uefi") as session:
        with pytest.raises(KnitterError, match="kept open already"), guest.keep(own):
            pass
        assert run(session, _UPGRADE).endswith("upgraded")
        reboot(session)
        look(session, own)
        power_off(session)
        keep_what_was_written(own)
    with guest.keep(own, firmware="bios") as session:
        assert run(session, "test -d /sys/firmware/efi || echo bios") == "bios"
        look(session, own)
        power_off(session)
