"""EC2's view of snapshots.  Source: EC2 API reference, the action named."""

import os
from pathlib import Path
from typing import Any

import pytest

from knitter.lab.service import Lab
from tests.lab.conftest import REGION, SIZE, boto_client, make_snapshot, put, read_blocks, refusal, wait_for

pytestmark = pytest.mark.lab


def found(ec2: Any, **filters: Any) -> list[str]:
    query = [{"Name": name.replace("__", ":").replace("_", "-"), "Values": values} for name, values in filters.items()]
    return [one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"], Filters=query)["Snapshots"]]


def test_filters(ec2: Any, ebs: Any) -> None:
    """DescribeSnapshots: tag:<key>, tag-key, status, snapshot-id, volume-size, description; * and ? are wildcards."""
    tags = [{"Key": "find", "Value": "one*"}]
    name = ebs.start_snapshot(VolumeSize=3, Tags=tags, Description="find me")["SnapshotId"]
    assert found(ec2, tag__find=["one\\*"]) == [name]
    assert found(ec2, tag__find=["two", "o?e*"], status=["pending"]) == [name]
    assert found(ec2, tag__find=["ONE*"]) == []
    assert found(ec2, tag_key=["find"], snapshot_id=[name], volume_size=["3"], description=["find*"]) == [name]
    assert found(ec2, snapshot_id=[name], status=["completed"]) == []
    assert refusal(lambda: found(ec2, nonsense=["x"]))[0] == "InvalidParameterValue"


def test_other_owners_have_none(ec2: Any, snapshot: str) -> None:
    """OwnerIds; moto ignores it."""
    assert ec2.describe_snapshots(OwnerIds=["amazon"])["Snapshots"] == []
    assert snapshot in [one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["123456789012"])["Snapshots"]]


def test_unknown_and_malformed_ids(ec2: Any) -> None:
    name = "snap-00000000000000000"
    message = f"The snapshot '{name}' does not exist."
    assert refusal(ec2.describe_snapshots, SnapshotIds=[name]) == ("InvalidSnapshot.NotFound", 400, message)
    assert refusal(ec2.describe_snapshots, SnapshotIds=["x"])[0] == "InvalidSnapshotID.Malformed"
    assert refusal(ec2.delete_snapshot, SnapshotId=name)[0] == "InvalidSnapshot.NotFound"


def test_tags_come_and_go(ec2: Any, snapshot: str) -> None:
    ec2.create_tags(Resources=[snapshot], Tags=[{"Key": "later", "Value": "x"}])
    assert found(ec2, tag__later=["x"]) == [snapshot]
    ec2.delete_tags(Resources=[snapshot], Tags=[{"Key": "later"}])
    assert found(ec2, tag__later=["x"]) == []


def test_pages(ec2: Any, ebs: Any) -> None:
    """DescribeSnapshots: MaxResults 5..1000 and NextToken."""
    names = {ebs.start_snapshot(VolumeSize=1, Tags=[{"Key": "page", "Value": ""}])["SnapshotId"] for _ in range(7)}
    pages = ec2.get_paginator("describe_snapshots").paginate(
        Filters=[{"Name": "tag-key", "Values": ["page"]}], PaginationConfig={"PageSize": 5}
    )
    seen = [[one["SnapshotId"] for one in page["Snapshots"]] for page in pages]
    assert [len(page) for page in seen] == [5, 2]
    assert {name for page in seen for name in page} == names


def test_deleting_a_pending_snapshot_frees_its_file(ec2: Any, ebs: Any, lab_directory: Path) -> None:
    """An upload is abandoned with DeleteSnapshot."""
    name = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    put(ebs, name, 0, os.urandom(SIZE))
    assert {path.suffix for path in (lab_directory / "blocks").glob(f"{name}.*")} == {".raw", ".puts"}
    ec2.delete_snapshot(SnapshotId=name)
    assert list((lab_directory / "blocks").glob(f"{name}.*")) == []
    assert refusal(ebs.complete_snapshot, SnapshotId=name, ChangedBlocksCount=1)[0] == "ResourceNotFoundException"


def test_a_snapshot_goes_to_another_region(lab: Lab, ec2: Any, ebs: Any) -> None:
    """CopySnapshot is called in the destination region; encryption can be added."""
    data = os.urandom(SIZE)
    name = make_snapshot(ec2, ebs, {4: data})
    far = boto_client(lab, "ec2", region="ap-south-1")
    assert refusal(far.describe_snapshots, SnapshotIds=[name])[0] == "InvalidSnapshot.NotFound"
    copy = far.copy_snapshot(SourceRegion=REGION, SourceSnapshotId=name, Encrypted=True)["SnapshotId"]
    wait_for(lambda: far.describe_snapshots(SnapshotIds=[copy])["Snapshots"][0]["State"] == "completed")
    assert far.describe_snapshots(SnapshotIds=[copy])["Snapshots"][0]["Encrypted"] is True
    assert read_blocks(boto_client(lab, "ebs", region="ap-south-1"), copy) == {4: data}


def test_a_volume_of_a_snapshot_gives_a_snapshot_with_its_blocks(ec2: Any, ebs: Any, snapshot: str) -> None:
    volume = ec2.create_volume(SnapshotId=snapshot, AvailabilityZone=f"{REGION}a")["VolumeId"]
    wait_for(lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available")
    name = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]["State"] == "completed")
    assert read_blocks(ebs, name) == read_blocks(ebs, snapshot)
    shown = ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]
    assert (shown["VolumeId"], shown["VolumeSize"]) == (volume, 2)
    ec2.delete_volume(VolumeId=volume)
