"""The EBS direct APIs over the wire.  Source of the rules: EBS direct API reference (ebs 2019-11-02) and its model."""

import base64
import hashlib
import http.client
import json
import os
from typing import Any
from urllib.parse import urlsplit

import pytest

from knitter.lab.service import Lab
from tests.lab.conftest import (
    SIZE,
    boto_client,
    checksum,
    make_snapshot,
    put,
    read_blocks,
    refusal,
    signed_headers,
    wait_for,
)

pytestmark = pytest.mark.lab
A, B, C = (bytes([number]) * SIZE for number in (1, 2, 3))
UNKNOWN = "snap-00000000000000000"


def test_start_answers_what_was_asked_and_the_real_block_size(ebs: Any) -> None:
    """StartSnapshotResponse; block size 512 KiB (EBS user guide, "EBS direct APIs"), where moto says 512."""
    made = ebs.start_snapshot(VolumeSize=3, Description="text", Tags=[{"Key": "a", "Value": "b"}])
    assert (made["BlockSize"], made["VolumeSize"], made["Status"]) == (SIZE, 3, "pending")
    assert (made["Description"], made["Tags"]) == ("text", [{"Key": "a", "Value": "b"}])
    assert (made["OwnerId"], made["ResponseMetadata"]["HTTPStatusCode"]) == ("123456789012", 201)


def test_a_snapshot_from_start_to_end(ec2: Any, ebs: Any) -> None:
    """CompleteSnapshot is asynchronous (202): the snapshot is pending, then completed; what was put is read back."""
    blocks = {5: os.urandom(SIZE), 2047: os.urandom(SIZE), 0: os.urandom(SIZE)}
    name = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    for index, data in blocks.items():
        put(ebs, name, index, data)
    assert state(ec2, name) == {"State": "pending", "Progress": "0%"}
    total = hashlib.sha256(b"".join(hashlib.sha256(blocks[index]).digest() for index in sorted(blocks))).digest()
    answer = ebs.complete_snapshot(
        SnapshotId=name,
        ChangedBlocksCount=3,
        Checksum=base64.b64encode(total).decode(),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )
    assert (answer["Status"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("pending", 202)
    wait_for(lambda: state(ec2, name) == {"State": "completed", "Progress": "100%"})
    assert read_blocks(ebs, name) == blocks
    shown = ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]
    assert (shown["VolumeId"], shown["FullSnapshotSizeInBytes"]) == ("vol-ffffffff", 3 * SIZE)


def state(ec2: Any, name: str) -> dict[str, str]:
    shown = ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]
    return {"State": shown["State"], "Progress": shown["Progress"]}


def test_no_volume_appears_with_a_snapshot(ec2: Any, ebs: Any) -> None:
    """Moto makes an `available` volume for each StartSnapshot."""
    ebs.start_snapshot(VolumeSize=1)
    assert ec2.describe_volumes()["Volumes"] == []


def test_a_client_token_makes_one_snapshot(ebs: Any) -> None:
    """StartSnapshot, ClientToken: the same token and parameters give the first result; others ConflictException 409."""
    first = ebs.start_snapshot(VolumeSize=1, ClientToken="token-1")["SnapshotId"]
    assert ebs.start_snapshot(VolumeSize=1, ClientToken="token-1")["SnapshotId"] == first
    assert refusal(ebs.start_snapshot, VolumeSize=2, ClientToken="token-1")[:2] == ("ConflictException", 409)
    assert ebs.start_snapshot(VolumeSize=1, ClientToken="token-2")["SnapshotId"] != first


@pytest.mark.parametrize(
    "asked",
    [
        {"VolumeSize": 0},
        {"VolumeSize": 65537},
        {"VolumeSize": "1"},
        {},
        {"VolumeSize": 1, "Timeout": 9},
        {"VolumeSize": 1, "Timeout": 4321},
        {"VolumeSize": 1, "Description": "d" * 256},
        {"VolumeSize": 1, "Tags": [{"Key": "k", "Value": ""}] * 2},
        {"VolumeSize": 1, "Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]},
        {"VolumeSize": 1, "Tags": [{"Key": "aws:k", "Value": ""}]},
        {"VolumeSize": 1, "Encrypted": True, "ParentSnapshotId": "snap-0123"},
        {"VolumeSize": 1, "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1"},
        {"VolumeSize": 1, "ParentSnapshotId": "x"},
    ],
)
def test_start_refuses_parameters_out_of_range(lab: Lab, asked: dict[str, Any]) -> None:
    """Limits of the model; Encrypted together with ParentSnapshotId is refused (StartSnapshot, Encrypted)."""
    status, answer = raw(lab, "POST", "/snapshots", json.dumps(asked).encode())
    assert status == 400
    assert answer["type"] == "ValidationException"


def raw(lab: Lab, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, Any]]:
    """A signed request that no client library has looked at."""
    connection = http.client.HTTPConnection(urlsplit(lab.endpoint).netloc, timeout=10)
    try:
        connection.request(method, path, body, signed_headers(lab, method, path, body, headers))
        response = connection.getresponse()
        return response.status, {"type": response.getheader("x-amzn-ErrorType")} | json.loads(response.read())
    finally:
        connection.close()


def test_put_verifies_the_data(ebs: Any) -> None:
    """PutSnapshotBlock: DataLength must be 524288, the checksum that of the data, the index inside the volume."""
    name = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    for index, data, changes in (
        (0, A, {"Checksum": checksum(B)}),
        (0, A[:-1], {"DataLength": SIZE - 1}),
        (0, b"abc", {"DataLength": SIZE}),
        (0, A, {"ChecksumAlgorithm": "MD5"}),
        (2048, A, {}),
    ):
        arguments = {"DataLength": SIZE, "Checksum": checksum(data), "ChecksumAlgorithm": "SHA256"} | changes
        found = refusal(ebs.put_snapshot_block, SnapshotId=name, BlockIndex=index, BlockData=data, **arguments)
        assert found[:2] == ("ValidationException", 400), (index, changes)
    ebs.complete_snapshot(SnapshotId=name, ChangedBlocksCount=0)


def test_a_block_put_again_counts_once(ec2: Any, ebs: Any) -> None:
    """ "If you specify the same block index again, the block is overwritten" (PutSnapshotBlock)."""
    name = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    for data in (A, B):
        put(ebs, name, 3, data)
    assert refusal(ebs.complete_snapshot, SnapshotId=name, ChangedBlocksCount=2)[0] == "ValidationException"
    ebs.complete_snapshot(SnapshotId=name, ChangedBlocksCount=1)
    wait_for(lambda: state(ec2, name)["State"] == "completed")
    assert read_blocks(ebs, name) == {3: B}


def test_complete_verifies_count_and_checksum_and_happens_once(ebs: Any) -> None:
    """CompleteSnapshot: ChangedBlocksCount, and SHA-256 over the blocks' digests in ascending order (LINEAR)."""
    name = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    put(ebs, name, 1, A)
    sums = {"Checksum": checksum(A), "ChecksumAlgorithm": "SHA256", "ChecksumAggregationMethod": "LINEAR"}
    assert refusal(ebs.complete_snapshot, SnapshotId=name, ChangedBlocksCount=0)[0] == "ValidationException"
    assert refusal(ebs.complete_snapshot, SnapshotId=name, ChangedBlocksCount=1, **sums)[0] == "ValidationException"
    ebs.complete_snapshot(SnapshotId=name, ChangedBlocksCount=1)
    assert refusal(ebs.complete_snapshot, SnapshotId=name, ChangedBlocksCount=1)[0] == "ValidationException"
    assert refusal(lambda: put(ebs, name, 2, A))[0] == "ValidationException"


def test_unknown_snapshots_are_errors_of_the_api(ebs: Any, snapshot: str) -> None:
    """ResourceNotFoundException, 404, in JSON; moto answers an HTML page and 500."""
    for call in (
        lambda: put(ebs, UNKNOWN, 0, A),
        lambda: ebs.complete_snapshot(SnapshotId=UNKNOWN, ChangedBlocksCount=0),
        lambda: ebs.list_snapshot_blocks(SnapshotId=UNKNOWN),
        lambda: ebs.list_changed_blocks(FirstSnapshotId=UNKNOWN, SecondSnapshotId=snapshot),
        lambda: ebs.get_snapshot_block(SnapshotId=UNKNOWN, BlockIndex=0, BlockToken="AAAA"),
        lambda: ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=UNKNOWN),
    ):
        assert refusal(call) == ("ResourceNotFoundException", 404, f"The snapshot '{UNKNOWN}' does not exist.")


def test_blocks_of_a_pending_snapshot_cannot_be_read(ebs: Any) -> None:
    """EBS user guide: GetSnapshotBlock and the lists are for completed snapshots."""
    name = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    put(ebs, name, 0, A)
    assert refusal(ebs.list_snapshot_blocks, SnapshotId=name)[0] == "ValidationException"
    found = refusal(ebs.get_snapshot_block, SnapshotId=name, BlockIndex=0, BlockToken="AAAA")
    assert found[0] == "ValidationException"


def test_get_needs_the_block_s_own_token(ebs: Any, snapshot: str) -> None:
    """GetSnapshotBlock, BlockToken: from ListSnapshotBlocks; INVALID_BLOCK_TOKEN otherwise."""
    first, second = ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]
    for index, token in ((0, second["BlockToken"]), (7, first["BlockToken"]), (0, "AAAA"), (1, first["BlockToken"])):
        found = refusal(ebs.get_snapshot_block, SnapshotId=snapshot, BlockIndex=index, BlockToken=token)
        assert found[0] == "ValidationException"
    answer = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=0, BlockToken=first["BlockToken"])
    data = answer["BlockData"].read()
    assert (answer["DataLength"], answer["Checksum"]) == (SIZE, checksum(data))


def test_lists_ascend_and_come_in_pages(ec2: Any, ebs: Any) -> None:
    """ListSnapshotBlocks: MaxResults 100..10000, NextToken, StartingBlockIndex; moto does none of it."""
    indexes = [*range(0, 240, 2)]
    name = make_snapshot(ec2, ebs, dict.fromkeys(reversed(indexes), A))
    first = ebs.list_snapshot_blocks(SnapshotId=name, MaxResults=100)
    second = ebs.list_snapshot_blocks(SnapshotId=name, MaxResults=100, NextToken=first["NextToken"])
    assert [block["BlockIndex"] for page in (first, second) for block in page["Blocks"]] == indexes
    assert (len(first["Blocks"]), "NextToken" in second) == (100, False)
    assert (first["VolumeSize"], first["BlockSize"]) == (1, SIZE)
    later = ebs.list_snapshot_blocks(SnapshotId=name, StartingBlockIndex=235)["Blocks"]
    assert [block["BlockIndex"] for block in later] == [236, 238]
    for wrong in ({"MaxResults": 99}, {"MaxResults": 10001}, {"NextToken": "AAAA"}):
        assert refusal(ebs.list_snapshot_blocks, SnapshotId=name, **wrong)[0] in (
            "ValidationException",
            "ParamValidation",
        )


def test_a_child_inherits_and_changed_blocks_are_listed(ec2: Any, ebs: Any) -> None:
    """ParentSnapshotId: the child is the parent and what is put; ListChangedBlocks shows what is new there too."""
    parent = make_snapshot(ec2, ebs, {0: A, 1: B})
    child = make_snapshot(ec2, ebs, {1: C, 9: A}, ParentSnapshotId=parent)
    assert read_blocks(ebs, child) == {0: A, 1: C, 9: A}
    changed = ebs.list_changed_blocks(FirstSnapshotId=parent, SecondSnapshotId=child)["ChangedBlocks"]
    assert [(one["BlockIndex"], "FirstBlockToken" in one, "SecondBlockToken" in one) for one in changed] == [
        (1, True, True),
        (9, False, True),
    ]
    ec2.delete_snapshot(SnapshotId=parent)
    assert read_blocks(ebs, child)[0] == A
    assert refusal(ebs.start_snapshot, VolumeSize=1, ParentSnapshotId=parent)[0] == "ResourceNotFoundException"


def test_a_hundred_snapshots_are_pending_at_most(lab: Lab) -> None:
    """Service quota "Pending snapshots per account": 100."""
    far, far_ec2 = boto_client(lab, "ebs", region="us-west-1"), boto_client(lab, "ec2", region="us-west-1")
    names = [far.start_snapshot(VolumeSize=1)["SnapshotId"] for _ in range(100)]
    assert refusal(far.start_snapshot, VolumeSize=1)[:2] == ("ConcurrentLimitExceededException", 400)
    far_ec2.delete_snapshot(SnapshotId=names[0])
    far.start_snapshot(VolumeSize=1)


def test_a_child_is_not_smaller_than_its_parent(ebs: Any, snapshot: str) -> None:
    found = refusal(ebs.start_snapshot, VolumeSize=1, ParentSnapshotId=snapshot)
    assert found[:2] == ("ValidationException", 400)


def test_a_wrong_secret_is_refused(lab: Lab) -> None:
    """Errors of all services: InvalidSignatureException 403, UnrecognizedClientException 403."""
    wrong = boto_client(lab, "ebs", secret="wrong")
    assert refusal(wrong.start_snapshot, VolumeSize=1)[:2] == ("InvalidSignatureException", 403)
    other = boto_client(lab, "ebs", key="AKIASOMEBODYELSE0000")
    assert refusal(other.start_snapshot, VolumeSize=1)[:2] == ("UnrecognizedClientException", 403)


def test_snapshots_of_ec2_are_known_to_ebs_direct(ec2: Any, ebs: Any) -> None:
    """Moto's EBS direct answers 500 for a snapshot that CreateSnapshot made."""
    volume = ec2.create_volume(Size=1, AvailabilityZone="eu-central-1a")["VolumeId"]
    wait_for(lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available")
    name = ec2.create_snapshot(VolumeId=volume, Description="of a volume")["SnapshotId"]
    wait_for(lambda: state(ec2, name)["State"] == "completed")
    assert ebs.list_snapshot_blocks(SnapshotId=name)["Blocks"] == []
    ec2.delete_snapshot(SnapshotId=name)
    ec2.delete_volume(VolumeId=volume)
