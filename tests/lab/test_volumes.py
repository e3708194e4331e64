"""Volumes over the wire, on machines of the shelf.  Source of the rules: EC2 API reference, the action named."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import (
    REGION,
    SIZE,
    make_snapshot,
    make_volume,
    put,
    read_blocks,
    refusal,
    volume_state,
    wait_for,
)
from tests.lab.test_instances import console, make_image, reach, state

pytestmark = pytest.mark.lab
UNKNOWN = "vol-00000000000000000"


@pytest.fixture(scope="module")
def launch(ec2: Any, snapshot: str) -> Iterator[Callable[..., str]]:
    image, names = make_image(ec2, snapshot), []

    def launch(data: str = "", **changes: Any) -> str:
        asked = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, "UserData": data} | changes
        names.append(ec2.run_instances(**asked)["Instances"][0]["InstanceId"])
        reach(ec2, names[-1], "running")
        return str(names[-1])

    yield launch
    ec2.terminate_instances(InstanceIds=names)


@pytest.fixture(scope="module")
def instance(launch: Callable[..., str]) -> str:
    return launch()


@pytest.fixture
def volume(ec2: Any) -> Iterator[str]:
    name = make_volume(ec2)
    yield name
    if volume_state(ec2, name) == "in-use":
        ec2.detach_volume(VolumeId=name)
        wait_for(lambda: volume_state(ec2, name) == "available")
    if volume_state(ec2, name) == "available":
        ec2.delete_volume(VolumeId=name)


def attachment(ec2: Any, name: str) -> str:
    attachments = ec2.describe_volumes(VolumeIds=[name])["Volumes"][0]["Attachments"]
    return str(attachments[0]["State"]) if attachments else ""


def attach(ec2: Any, volume: str, instance: str, device: str = "/dev/sdf") -> None:
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)
    wait_for(lambda: attachment(ec2, volume) == "attached")


def write(directory: Path, volume: str, index: int, data: bytes) -> None:
    with (directory / "volumes" / f"{volume}.raw").open("r+b") as file:
        file.seek(index * SIZE)
        file.write(data)


def test_a_volume_comes_and_goes(ec2: Any, lab_directory: Path) -> None:
    """CreateVolume: creating, then available; DeleteVolume: deleting, then gone with its file."""
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "mine", "Value": "yes"}]}]
    zone = f"{REGION}b"
    made = ec2.create_volume(Size=5, AvailabilityZone=zone, VolumeType="gp3", Throughput=300, TagSpecifications=tags)
    name = made["VolumeId"]
    assert (made["State"], made["Tags"], made["AvailabilityZone"]) == ("creating", tags[0]["Tags"], zone)
    wait_for(lambda: volume_state(ec2, name) == "available")
    found = ec2.describe_volumes(Filters=[{"Name": "tag:mine", "Values": ["y*"]}])["Volumes"]
    assert [(one["VolumeId"], one["Iops"], one["Throughput"]) for one in found] == [(name, 3000, 300)]
    path = lab_directory / "volumes" / f"{name}.raw"
    assert (path.stat().st_size, path.stat().st_blocks) == (5 << 30, 0)
    ec2.delete_volume(VolumeId=name)
    assert volume_state(ec2, name) == "deleting"
    wait_for(lambda: volume_state(ec2, name) == "")
    assert not path.exists()
    assert refusal(ec2.delete_volume, VolumeId=name)[0] == "InvalidVolume.NotFound"


def test_the_same_token_gives_the_same_volume(ec2: Any) -> None:
    asked = {"Size": 1, "AvailabilityZone": f"{REGION}a", "ClientToken": "again"}
    name = ec2.create_volume(**asked)["VolumeId"]
    assert ec2.create_volume(**asked)["VolumeId"] == name
    assert refusal(ec2.create_volume, **(asked | {"Size": 2}))[0] == "IdempotentParameterMismatch"
    wait_for(lambda: volume_state(ec2, name) == "available")
    ec2.delete_volume(VolumeId=name)


def test_encryption_is_shown(ec2: Any) -> None:
    key = f"arn:aws:kms:{REGION}:123456789012:key/1234"
    name = make_volume(ec2, Encrypted=True, KmsKeyId=key)
    shown = ec2.describe_volumes(VolumeIds=[name])["Volumes"][0]
    assert (shown["Encrypted"], shown["KmsKeyId"]) == (True, key)
    taken = ec2.create_snapshot(VolumeId=name)
    assert (taken["Encrypted"], taken["VolumeId"]) == (True, name)
    ec2.delete_volume(VolumeId=name)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no such zone": ({"AvailabilityZone": f"{REGION}z"}, "InvalidParameterValue"),
    "no size": ({"Size": None}, "MissingParameter"),
    "too small for the type": ({"VolumeType": "st1", "Size": 1}, "InvalidParameterValue"),
    "no such type": ({"VolumeType": "gp9"}, "InvalidParameterValue"),
    "too many iops": ({"VolumeType": "gp3", "Iops": 100000}, "InvalidParameterValue"),
    "key without encryption": ({"KmsKeyId": "k"}, "InvalidParameterDependency"),
    "no such snapshot": ({"SnapshotId": "snap-00000000000000000"}, "InvalidSnapshot.NotFound"),
    "dry run": ({"DryRun": True}, "DryRunOperation"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_create_volume_refuses(ec2: Any, what: str) -> None:
    changes, code = WRONG[what]
    asked = {"Size": 1, "AvailabilityZone": f"{REGION}a"} | changes
    assert refusal(ec2.create_volume, **{name: one for name, one in asked.items() if one is not None})[0] == code


def test_a_volume_is_plugged_in_and_out(ec2: Any, instance: str, volume: str) -> None:
    answer = ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    assert answer["State"] == "attaching"
    wait_for(lambda: attachment(ec2, volume) == "attached")
    assert volume_state(ec2, volume) == "in-use"
    serial = volume.replace("-", "")
    assert f"plugged {serial}@2" in console(ec2, instance)
    shown = {
        one["DeviceName"]: one["Ebs"]["VolumeId"] for one in reach(ec2, instance, "running")["BlockDeviceMappings"]
    }
    assert shown["/dev/sdf"] == volume
    assert refusal(ec2.delete_volume, VolumeId=volume)[0] == "VolumeInUse"
    assert ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
    assert ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
    wait_for(lambda: volume_state(ec2, volume) == "available")
    assert f"unplugged {serial}@2" in console(ec2, instance)
    assert refusal(ec2.detach_volume, VolumeId=volume)[0] == "IncorrectState"


def test_what_attach_volume_refuses(ec2: Any, launch: Callable[..., str], instance: str, volume: str) -> None:
    """Moto takes all of these."""
    good = {"VolumeId": volume, "InstanceId": instance, "Device": "/dev/sdg"}

    def code(**changes: Any) -> str:
        return refusal(ec2.attach_volume, **(good | changes))[0]

    assert code(VolumeId=UNKNOWN) == "InvalidVolume.NotFound"
    assert code(InstanceId="i-00000000000000000") == "InvalidInstanceID.NotFound"
    assert code(Device="banana") == "InvalidParameterValue"
    assert code(Device="/dev/xvda") == "InvalidParameterValue"
    assert code(DryRun=True) == "DryRunOperation"
    far = make_volume(ec2, AvailabilityZone=f"{REGION}b")
    assert code(VolumeId=far) == "InvalidVolume.ZoneMismatch"
    ec2.delete_volume(VolumeId=far)
    ended = launch()
    ec2.terminate_instances(InstanceIds=[ended])
    assert code(InstanceId=ended) == "IncorrectState"
    attach(ec2, volume, instance)
    assert code() == "VolumeInUse"
    root = reach(ec2, instance, "running")["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert refusal(ec2.detach_volume, VolumeId=root)[0] == "OperationNotPermitted"
    wrong = refusal(ec2.detach_volume, VolumeId=volume, InstanceId=instance, Device="/dev/sdz")
    assert wrong[0] == "InvalidAttachment.NotFound"


def test_an_instance_has_room_for_so_many(ec2: Any, launch: Callable[..., str]) -> None:
    mappings = [{"DeviceName": f"/dev/sd{letter}", "Ebs": {"VolumeSize": 1}} for letter in "bcdefghijkl"]
    name = launch(
        BlockDeviceMappings=[one | {"Ebs": {"VolumeSize": 1, "DeleteOnTermination": True}} for one in mappings]
    )
    extra = make_volume(ec2)
    full = refusal(ec2.attach_volume, VolumeId=extra, InstanceId=name, Device="/dev/sdp")
    assert full[0] == "AttachmentLimitExceeded"
    ec2.delete_volume(VolumeId=extra)
    ec2.terminate_instances(InstanceIds=[name])


def test_delete_on_termination(ec2: Any, launch: Callable[..., str]) -> None:
    """ModifyInstanceAttribute, BlockDeviceMappings; without it a volume attached later stays."""
    name, goes, stays = launch(), make_volume(ec2), make_volume(ec2)
    attach(ec2, goes, name, "/dev/sdf")
    attach(ec2, stays, name, "/dev/sdg")
    mark = [{"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": True}}]
    ec2.modify_instance_attribute(InstanceId=name, BlockDeviceMappings=mark)
    shown = {
        one["DeviceName"]: one["Ebs"]["DeleteOnTermination"]
        for one in reach(ec2, name, "running")["BlockDeviceMappings"]
    }
    assert shown == {"/dev/xvda": True, "/dev/sdf": True, "/dev/sdg": False}
    none = [{"DeviceName": "/dev/sdh", "Ebs": {"DeleteOnTermination": True}}]
    found = refusal(ec2.modify_instance_attribute, InstanceId=name, BlockDeviceMappings=none)
    assert found[0] == "InvalidInstanceAttributeValue"
    ec2.terminate_instances(InstanceIds=[name])
    reach(ec2, name, "terminated")
    assert (volume_state(ec2, goes), volume_state(ec2, stays)) == ("", "available")
    ec2.delete_volume(VolumeId=stays)


def test_a_volume_the_guest_holds_on_to_goes_with_it(ec2: Any, launch: Callable[..., str], volume: str) -> None:
    name = launch("hang on")
    attach(ec2, volume, name)
    ec2.detach_volume(VolumeId=volume)
    time.sleep(0.5)
    assert attachment(ec2, volume) == "detaching"
    ec2.terminate_instances(InstanceIds=[name])
    wait_for(lambda: volume_state(ec2, volume) == "available")
    assert state(ec2, name) in ("shutting-down", "terminated")


def test_a_snapshot_has_what_was_written(ec2: Any, ebs: Any, instance: str, volume: str, lab_directory: Path) -> None:
    """CreateSnapshot: pending with progress, then completed; blocks of zeroes are not in it."""
    data = {0: os.urandom(SIZE), 9: os.urandom(100).ljust(SIZE, b"\0"), 2047: os.urandom(SIZE)}
    attach(ec2, volume, instance)
    for index, block in data.items():
        write(lab_directory, volume, index, block)
    write(lab_directory, volume, 5, bytes(SIZE))
    taken = ec2.create_snapshot(VolumeId=volume, Description="while it is attached")
    name = taken["SnapshotId"]
    assert (taken["State"], taken["VolumeSize"]) == ("pending", 1)
    assert refusal(lambda: put(ebs, name, 0, bytes(SIZE)))[0] == "ValidationException"
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]["State"] == "completed")
    assert read_blocks(ebs, name) == data
    made = make_volume(ec2, SnapshotId=name, Size=2)
    again = ec2.create_snapshot(VolumeId=made)["SnapshotId"]
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[again])["Snapshots"][0]["State"] == "completed")
    ec2.delete_snapshot(SnapshotId=name)
    assert read_blocks(ebs, again) == data
    assert volume_state(ec2, made) == "available", "it outlives the snapshot it is made of"
    ec2.delete_volume(VolumeId=made)


def test_a_volume_deleted_meanwhile_does_no_harm(ec2: Any, ebs: Any, lab_directory: Path) -> None:
    name, data = make_volume(ec2), os.urandom(SIZE)
    write(lab_directory, name, 3, data)
    taken = ec2.create_snapshot(VolumeId=name)["SnapshotId"]
    ec2.delete_volume(VolumeId=name)
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[taken])["Snapshots"][0]["State"] == "completed")
    assert read_blocks(ebs, taken) == {3: data}


def test_the_root_of_a_running_instance_is_snapshotted(ec2: Any, ebs: Any, instance: str, snapshot: str) -> None:
    root = reach(ec2, instance, "running")["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    name = ec2.create_snapshot(VolumeId=root)["SnapshotId"]
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]["State"] == "completed")
    assert read_blocks(ebs, name) == read_blocks(ebs, snapshot)


def test_a_snapshot_deleted_at_once_does_no_harm(ec2: Any, ebs: Any) -> None:
    data = {7: os.urandom(SIZE)}
    source = make_snapshot(ec2, ebs, data)
    name = ec2.create_volume(SnapshotId=source, AvailabilityZone=f"{REGION}a")["VolumeId"]
    ec2.delete_snapshot(SnapshotId=source)
    wait_for(lambda: volume_state(ec2, name) == "available")
    taken = ec2.create_snapshot(VolumeId=name)["SnapshotId"]
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[taken])["Snapshots"][0]["State"] == "completed")
    assert read_blocks(ebs, taken) == data


def test_unknown_and_malformed_ids(ec2: Any) -> None:
    assert refusal(ec2.describe_volumes, VolumeIds=[UNKNOWN])[0] == "InvalidVolume.NotFound"
    assert refusal(ec2.describe_volumes, VolumeIds=["banana"])[0] == "InvalidParameterValue"
    assert refusal(ec2.create_snapshot, VolumeId=UNKNOWN)[0] == "InvalidVolume.NotFound"
