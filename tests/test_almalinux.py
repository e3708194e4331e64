"""`doit build:almalinux-9`, of a distribution in EL 9's shape: BIOS, UEFI, boot entries that the image keeps itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from knitter.files import sha256_of
from knitter.stages import guest
from knitter.stages.build import Build
from knitter.stages.disk import RAW
from tests.desk import STAGES, Desk
from tests.ground import made_again
from tests.session import borrowed, keep_what_was_written, power_off, reboot, run
from tests.synthetic import EL9
from tests.synthetic.served import Served

pytestmark = pytest.mark.boot
NAME = "almalinux-9"
HOST = "169.254.169.2"
"""This host's loopback, as guests see it."""
QUICK = 'hostonly="yes" compress="cat"'
"""An initial RAM disk for this machine alone takes a guest without KVM a minute, not five."""


@pytest.fixture
def own(el9_desk: Desk, tmp_path: Path) -> Iterator[Build]:
    with borrowed(el9_desk, NAME, tmp_path) as build:
        yield build


def test_it_booted_from_both_firmwares(el9_desk: Desk) -> None:
    assert [el9_desk.receipt(NAME, stage).stage for stage in STAGES] == list(STAGES)
    assert {"bios", "uefi"} <= el9_desk.receipt(NAME, "boot").facts.keys()


def test_a_newer_kernel_that_the_guest_installs_boots(el9: Served, own: Build) -> None:
    """Installed and started from UEFI; and as another instance, made of that disk, from BIOS."""
    newer = f"http://{HOST}:{el9.url.rpartition(':')[2]}/{EL9.repositories['newer'].path}"
    install = f"dnf -q -y --repofrompath newer,{newer} --repo newer --setopt newer.gpgcheck=1 upgrade kernel"
    with guest.keep(own, firmware="uefi") as session:
        before = run(session, "uname -r")
        run(session, f"set -e\necho '{QUICK}' > /etc/dracut.conf.d/quick.conf\n{install}\nsync")
        reboot(session)
        after = run(session, "uname -r")
        assert after not in ("", before)
        assert own.recipe.boot.arguments in run(session, "cat /proc/cmdline")
        assert len(run(session, "rpm -q kernel-core").splitlines()) == 2
        power_off(session)
        keep_what_was_written(own)
    with guest.keep(own, firmware="bios") as session:
        assert run(session, "test -d /sys/firmware/efi || uname -r") == after


def test_the_same_lock_gives_the_same_disk(el9: Served, el9_desk: Desk) -> None:
    """In another directory, with an empty cache, as an ordinary user."""
    with made_again(el9, NAME, el9_desk) as disk:
        assert sha256_of(disk) == sha256_of(el9_desk.build / NAME / RAW)
