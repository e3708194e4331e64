"""Which device is the volume, on hosts made of files."""

import threading
from pathlib import Path

import pytest

from knitter.errors import CommandError, KnitterError
from knitter.machine.local import Local
from knitter.surrogate.device import find_device, plan_find

VOLUME = "vol-0123456789abcdef0"
SERIAL = "vol0123456789abcdef0"

pytestmark = pytest.mark.lab


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for name, serial in (("nvme0n1", "vol0aaaaaaaaaaaaaaa0"), ("nvme2n1", SERIAL), ("nvme1n1", "vol0bbbbbbbbbbbbbbb0")):
        add_nvme(tmp_path, name, serial)
    (tmp_path / "sys/block/loop0").mkdir()
    return tmp_path


def add_nvme(host: Path, name: str, serial: str) -> None:
    (host / "dev").mkdir(exist_ok=True)
    (host / "dev" / name).touch()
    file = host / "sys/block" / name / "device/serial"
    file.parent.mkdir(parents=True)
    file.write_text(f"{serial}  \n")  # the kernel fills it up with blanks


def find(host: Path, requested: str = "/dev/sdf", *, patience: int = 0) -> str:
    command = plan_find(VOLUME, requested, patience=patience, sysfs=host / "sys", dev=host / "dev")
    return Local().run(command).text


def test_by_serial_whatever_its_number(host: Path) -> None:
    assert find(host) == f"{host}/dev/nvme2n1"


def test_the_name_asked_for_does_not_mislead(host: Path) -> None:
    (host / "dev/sdf").touch()
    assert find(host) == f"{host}/dev/nvme2n1"


@pytest.mark.parametrize("link", [True, False], ids=["symlink", "file"])
def test_by_id(tmp_path: Path, *, link: bool) -> None:
    (tmp_path / "sys/block").mkdir(parents=True)
    name = tmp_path / "dev/disk/by-id" / f"nvme-Amazon_Elastic_Block_Store_{SERIAL}"
    name.parent.mkdir(parents=True)
    (tmp_path / "dev/nvme7n1").touch()
    if link:
        name.symlink_to("../../nvme7n1")
    else:
        name.touch()
    assert find(tmp_path) == (f"{tmp_path}/dev/nvme7n1" if link else str(name))


@pytest.mark.parametrize(("there", "requested"), [("xvdf", "/dev/sdf"), ("sdg", "/dev/sdg"), ("xvdba", "/dev/xvdba")])
def test_xen(tmp_path: Path, there: str, requested: str) -> None:
    (tmp_path / "sys/block").mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / there).touch()
    assert find(tmp_path, requested) == f"{tmp_path}/dev/{there}"


def test_it_may_come_late(tmp_path: Path) -> None:
    (tmp_path / "sys/block").mkdir(parents=True)
    timer = threading.Timer(1, lambda: add_nvme(tmp_path, "nvme3n1", SERIAL))
    timer.start()
    assert find(tmp_path, patience=20) == f"{tmp_path}/dev/nvme3n1"
    timer.join()


def test_none_is_told_with_what_there_is(host: Path) -> None:
    (host / "sys/block/nvme2n1/device/serial").write_text("vol0ccccccccccccccc0\n")
    with pytest.raises(CommandError) as caught:
        find(host)
    assert "block devices: loop0 nvme0n1 nvme1n1 nvme2n1" in caught.value.details


def test_the_error_names_volume_and_machine() -> None:
    with pytest.raises(KnitterError, match=f"{VOLUME} does not show up on this host"):
        find_device(Local(), VOLUME, "/dev/sdzz", patience=0)
