"""Guests end with the lab, however it ends.  Nothing boots here: QEMU and its BIOS are enough."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knitter.lab import service
from tests.lab.conftest import SIZE, boto_client, make_snapshot, make_volume, read_blocks, refusal, wait_for
from tests.lab.test_instances import console, make_image, reach
from tests.lab.test_volumes import attachment

pytestmark = pytest.mark.lab


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "lab"
    service.stop(tmp_path / "lab")


def clients(directory: Path) -> tuple[Any, Any]:
    lab = service.ensure(directory)
    return boto_client(lab, "ec2"), boto_client(lab, "ebs")


def guests(instance: str) -> list[str]:
    """Process ids of QEMU of this instance."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if b"qemu-system" in words and instance.encode() in words:
            found.append(path.parent.name)
    return found


def launch(ec2: Any, image: str, kind: str = "t3.micro") -> str:
    asked = {"ImageId": image, "InstanceType": kind, "MinCount": 1, "MaxCount": 1}
    name: str = ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
    wait_for(lambda: reach(ec2, name, "running") is not None, limit=60)
    return name


def test_a_machine_that_finds_nothing_to_boot(directory: Path) -> None:
    """Console, hot-plug, a copy of the root volume while QEMU holds it, stop and start, reboot, the end."""
    ec2, ebs = clients(directory)
    data = {5: os.urandom(SIZE)}
    image = make_image(ec2, make_snapshot(ec2, ebs, data))
    name = launch(ec2, image)
    wait_for(lambda: "No bootable device" in console(ec2, name), limit=60)
    root = reach(ec2, name, "running")["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    taken = ec2.create_snapshot(VolumeId=root)["SnapshotId"]
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[taken])["Snapshots"][0]["State"] == "completed", limit=60)
    assert read_blocks(ebs, taken) == data
    volume = make_volume(ec2)
    ec2.attach_volume(VolumeId=volume, InstanceId=name, Device="/dev/sdf")
    wait_for(lambda: attachment(ec2, volume) == "attached")
    ec2.reboot_instances(InstanceIds=[name])
    first = guests(name)
    ec2.terminate_instances(InstanceIds=[name])
    reach(ec2, name, "terminated")
    assert len(first) == 1
    assert guests(name) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_no_guest_outlives_the_lab(directory: Path, number: int) -> None:
    ec2, ebs = clients(directory)
    name = launch(ec2, make_image(ec2, make_snapshot(ec2, ebs, {}), BootMode="uefi"))
    assert len(guests(name)) == 1
    lab = service.find(directory)
    assert lab is not None
    os.kill(lab.pid, number)
    wait_for(lambda: guests(name) == [])
    assert service.find(directory) is None


@pytest.mark.skipif(shutil.which("qemu-system-aarch64") is not None, reason="arm64 guests can run here")
def test_arm64_without_its_qemu_is_refused(directory: Path) -> None:
    ec2, ebs = clients(directory)
    image = make_image(ec2, make_snapshot(ec2, ebs, {}), Architecture="arm64")
    found = refusal(ec2.run_instances, ImageId=image, InstanceType="t4g.micro", MinCount=1, MaxCount=1)
    assert found[0] == "Unsupported"
    assert "qemu-system-aarch64" in found[2]
