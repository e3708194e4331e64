"""Disks of a guest that runs, though it finds nothing to boot."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from knitter.errors import KnitterError
from knitter.vm import drive, qemu
from knitter.vm.accelerator import Accelerator
from knitter.vm.drive import Drive
from knitter.vm.metadata import Instance

SIZE = 16 * 1024**2


def test_what_qemu_is_told() -> None:
    disk = Drive("vol1", Path("/a,b/vol-1.raw"), "raw", "vol1", slot=3)
    file, node = disk.nodes()
    assert (file["filename"], node["file"], node["driver"]) == ("/a,b/vol-1.raw", file["node-name"], "raw")
    assert disk.device() == {"driver": "nvme", "id": "nvme-vol1", "drive": "vol1", "serial": "vol1", "bus": "slot3"}


def make_disk(directory: Path, name: str, slot: int) -> Drive:
    path = directory / f"{name}.raw"
    with path.open("wb") as file:
        file.truncate(SIZE)
    return Drive(name, path, "raw", name, slot)


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[qemu.Guest]:
    hardware = qemu.Hardware("bios", Accelerator("tcg", "for the test"), memory=64 * 1024**2, cpus=1)
    told = Instance(user_data=b"", public_key="")
    root = make_disk(tmp_path, "root", 1)
    log, console = tmp_path / "qemu.log", tmp_path / "console.log"
    with qemu.power_on(hardware, told, (root,), directory=tmp_path, console=console, log=log) as guest:
        yield guest


@pytest.mark.lab
def test_plugged_and_copied(guest: qemu.Guest, tmp_path: Path) -> None:
    disk = make_disk(tmp_path, "more", 2)
    data = os.urandom(65536)
    with disk.path.open("r+b") as file:
        file.seek(SIZE // 2)
        file.write(data)
    drive.plug(guest.monitor, disk)
    target = tmp_path / "copy.raw"
    shares = list(drive.copy(guest.monitor, disk, target))
    assert (shares[0], all(0 <= share <= 1 for share in shares)) == (0.0, True)
    assert target.read_bytes() == disk.path.read_bytes()
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.raw"]
    assert target.stat().st_blocks * 512 < SIZE // 2, "holes stay holes"


@pytest.mark.lab
def test_what_cannot_be_plugged_in_leaves_nothing_behind(guest: qemu.Guest, tmp_path: Path) -> None:
    with pytest.raises(KnitterError, match="QEMU refused device_add"):
        drive.plug(guest.monitor, make_disk(tmp_path, "other", qemu.SLOTS + 1))
    drive.plug(guest.monitor, make_disk(tmp_path, "other", qemu.SLOTS))


@pytest.mark.lab
def test_to_wait_for_a_guest_that_ends_is_an_error(guest: qemu.Guest, tmp_path: Path) -> None:
    disk = make_disk(tmp_path, "more", 2)
    drive.plug(guest.monitor, disk)
    guest.stop()
    with pytest.raises(KnitterError):
        drive.unplug(guest.monitor, disk)
    assert guest.wait() is not None


@pytest.mark.lab
def test_a_leased_guest_leaves_its_disk_and_its_folder_alone(tmp_path: Path) -> None:
    hardware = qemu.Hardware("bios", Accelerator("tcg", "for the test"), memory=64 * 1024**2, cpus=1)
    disk, folder, console = make_disk(tmp_path, "disk", 1).path, tmp_path / "folder", tmp_path / "console.log"
    folder.mkdir()
    before = disk.stat().st_mtime_ns
    told = Instance(user_data=b"", public_key="")
    log = tmp_path / "qemu.log"
    with qemu.lease(hardware, told, disk=disk, size=2 * SIZE, directory=folder, console=console, log=log) as guest:
        assert [path.name for path in folder.iterdir()] == ["overlay.qcow2"]
        nodes = guest.monitor.execute("query-named-block-nodes", flat=True)
        assert next(one["image"]["virtual-size"] for one in nodes if one["node-name"] == "root") == 2 * SIZE
        assert guest.ssh_port > 1024
    assert list(folder.iterdir()) == []
    assert disk.stat().st_mtime_ns == before
