"""Hosts in place of guests: SSH with the keys of the user data, volumes as links, nothing left."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knitter.command import command
from knitter.lab import service
from knitter.machine.keys import Key, new_key
from knitter.machine.ssh import Endpoint, Ssh, wait_ssh
from tests.campaign.conftest import register, user_data
from tests.lab.conftest import boto_client, make_volume, read_blocks, volume_state, wait_for

pytestmark = pytest.mark.lab
BLOCK = 524288


def started(ec2: Any, image: str, host: Key, user: Key) -> dict[str, Any]:
    """An instance that runs, as DescribeInstances shows it."""
    answer = ec2.run_instances(
        ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=user_data(host, user)
    )
    name = answer["Instances"][0]["InstanceId"]
    wait_for(lambda: described(ec2, name)["State"]["Name"] != "pending")
    found = described(ec2, name)
    assert found["State"]["Name"] == "running", found
    return found


def described(ec2: Any, instance: str) -> dict[str, Any]:
    return dict(ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0])


def listens(address: str) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex((address, 2222)) == 0


@pytest.fixture
def instance(ec2: Any, image: str) -> Iterator[tuple[dict[str, Any], Ssh]]:
    host, user = new_key(), new_key()
    found = started(ec2, image, host, user)
    endpoint = Endpoint(found["PublicIpAddress"], 2222, "root", host.public)
    machine = wait_ssh(endpoint, user, deadline=time.monotonic() + 20, meanwhile=lambda: None)
    yield found, machine
    machine.close()
    ec2.terminate_instances(InstanceIds=[found["InstanceId"]])


def test_what_is_written_to_its_volume_is_in_the_snapshot(
    ec2: Any, ebs: Any, instance: tuple[dict[str, Any], Ssh]
) -> None:
    found, machine = instance
    volume = make_volume(ec2, AvailabilityZone=found["Placement"]["AvailabilityZone"])
    ec2.attach_volume(VolumeId=volume, InstanceId=found["InstanceId"], Device="/dev/sdf")
    wait_for(lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Attachments"][0]["State"] == "attached")
    device = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    assert not Path(device).exists()  # this host's own view
    data = os.urandom(BLOCK)
    machine.run(command("dd", f"of={device}", "bs=512k", "seek=5", "conv=notrunc", stdin=data))
    stored = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[stored])["Snapshots"][0]["State"] == "completed")
    assert read_blocks(ebs, stored) == {5: data}
    ec2.detach_volume(VolumeId=volume)
    wait_for(lambda: volume_state(ec2, volume) == "available")
    assert machine.run(command("test", "-e", device), check=False).code == 1
    ec2.delete_volume(VolumeId=volume)


def test_a_volume_in_use_is_let_go_of_when_it_is_closed(ec2: Any, instance: tuple[dict[str, Any], Ssh]) -> None:
    found, machine = instance
    volume = make_volume(ec2, AvailabilityZone=found["Placement"]["AvailabilityZone"])
    ec2.attach_volume(VolumeId=volume, InstanceId=found["InstanceId"], Device="/dev/sdf")
    wait_for(lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Attachments"][0]["State"] == "attached")
    device = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    machine.run(command("sh", "-c", f"sleep 1.5 < {device} > /dev/null 2>&1 &"))
    ec2.detach_volume(VolumeId=volume)
    time.sleep(0.3)
    assert volume_state(ec2, volume) == "in-use"
    wait_for(lambda: volume_state(ec2, volume) == "available")
    ec2.delete_volume(VolumeId=volume)


def test_stand_ins_come_first_and_tell_the_console(ec2: Any, instance: tuple[dict[str, Any], Ssh]) -> None:
    found, machine = instance
    machine.run(command("systemd-run", "--on-active=60min", "systemctl", "poweroff"))
    told = ec2.get_console_output(InstanceId=found["InstanceId"])["Output"]
    assert "systemd-run --on-active=60min systemctl poweroff" in told


def test_terminated_it_is_gone_with_all_in_it(ec2: Any, instance: tuple[dict[str, Any], Ssh], tmp_path: Path) -> None:
    found, machine = instance
    machine.run(command("sh", "-c", f"exec sleep 4711 > {tmp_path}/out 2>&1 < /dev/null &"))
    assert running("4711")
    ec2.terminate_instances(InstanceIds=[found["InstanceId"]])
    wait_for(lambda: described(ec2, found["InstanceId"])["State"]["Name"] == "terminated")
    assert not listens(found["PublicIpAddress"])
    wait_for(lambda: not running("4711"))


def running(argument: str) -> bool:
    """Whether a process has this argument."""
    wanted = argument.encode()
    return any(wanted in _arguments(path) for path in Path("/proc").glob("[0-9]*/cmdline"))


def _arguments(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_host_survives_the_lab(tmp_path: Path, number: signal.Signals) -> None:
    lab = service.ensure(tmp_path, module="tests.campaign.hosts")
    try:
        ec2, ebs = boto_client(lab, "ec2"), boto_client(lab, "ebs")
        address = started(ec2, register(ec2, ebs), new_key(), new_key())["PublicIpAddress"]
        assert listens(address)
        os.kill(lab.pid, number)
        wait_for(lambda: not listens(address))
    finally:
        service.stop(tmp_path)
