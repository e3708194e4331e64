"""Snapshots in the lab: made once for a key, whatever happens on the way."""

import base64
import hashlib
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from knitter.aws import snapshots
from knitter.aws.put import Engine
from knitter.aws.session import Cloud
from knitter.aws.snapshots import Stored, ensure_snapshot, linear_checksum
from knitter.aws.start import Order, token
from knitter.aws.tags import as_dict, stamp
from knitter.aws.upload import Manner
from knitter.errors import CloudError, KnitterError
from knitter.units import BLOCK, GIB
from tests.aws.tap import Moment, Tap
from tests.aws.test_upload import make_disk

INDEXES = [0, 1, 5, 40, 41, 99, 1000]


def make_order(directory: Path, key: str) -> Order:
    disk = directory / "disk.raw"
    blocks = make_disk(disk, INDEXES)
    tags = stamp(key=key, recipe="small", stage="snapshot", name="small")
    return Order(key=key, disk=disk, blocks=blocks, size=GIB, description="small", tags=tags)


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return make_order(tmp_path, secrets.token_hex(32))


def ensure(
    cloud: Cloud, order: Order, *, engine: Engine = "http", dead: frozenset[str] = frozenset(), patience: float = 60
) -> Stored:
    manner = Manner(engine, threads=4, patience=patience)
    return ensure_snapshot(cloud, order, journal=order.disk.with_suffix(".journal"), manner=manner, dead=dead)


def with_key(cloud: Cloud, key: str) -> list[str]:
    filters = [{"Name": "tag:knitter:key", "Values": [key]}]
    return [one["SnapshotId"] for one in cloud.ec2.describe_snapshots(Filters=filters)["Snapshots"]]  # type: ignore[arg-type]


def read_blocks(cloud: Cloud, snapshot: str) -> dict[int, bytes]:
    listed = cloud.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]
    return {
        one["BlockIndex"]: cloud.ebs.get_snapshot_block(
            SnapshotId=snapshot, BlockIndex=one["BlockIndex"], BlockToken=one["BlockToken"]
        )["BlockData"].read()
        for one in listed
    }


def test_linear_checksum_is_over_raw_digests_ascending() -> None:
    """API Reference, CompleteSnapshot: LINEAR.  The digest below was made with sha256sum, xxd and base64."""
    blocks = [(3, hashlib.sha256(b"a").digest()), (7, hashlib.sha256(b"b").digest())]
    assert linear_checksum(blocks) == "5aAf7hTg7VxIcU8iGA8lrYNltT+XefedxKPX6Tlj+Uo="


def test_linear_checksum_of_nothing() -> None:
    assert linear_checksum([]) == base64.b64encode(hashlib.sha256().digest()).decode()


def test_tokens_differ_by_attempt_and_have_at_most_64_characters() -> None:
    """Amazon EBS User Guide, "Ensure idempotency in StartSnapshot API requests": up to 64 ASCII characters."""
    tokens = {token("f" * 64, attempt) for attempt in range(snapshots.ATTEMPTS)}
    assert len(tokens) == snapshots.ATTEMPTS
    assert max(map(len, tokens)) <= 64


@pytest.mark.lab
@pytest.mark.parametrize("engine", ["http", "boto3"])
def test_what_is_stored_is_the_disk(cloud: Cloud, order: Order, engine: Engine) -> None:
    stored = ensure(cloud, order, engine=engine)
    data = order.disk.read_bytes()
    assert stored.put == len(INDEXES)
    assert read_blocks(cloud, stored.id) == {index: data[index * BLOCK : (index + 1) * BLOCK] for index in INDEXES}
    described = cloud.ec2.describe_snapshots(SnapshotIds=[stored.id])["Snapshots"][0]
    assert (described["State"], described["VolumeSize"], described["Description"]) == ("completed", 1, "small")
    tags = as_dict(described["Tags"])
    assert tags.pop("knitter:run")
    assert tags == order.tags
    assert not order.disk.with_suffix(".journal").exists()
    assert snapshots.exists(cloud, stored.id)
    assert snapshots.find_completed(cloud, order.key) == stored.id


@pytest.mark.lab
def test_again_is_the_same_snapshot_and_puts_nothing(cloud: Cloud, order: Order) -> None:
    first = ensure(cloud, order)
    assert ensure(cloud, order) == Stored(first.id, 0)
    assert with_key(cloud, order.key) == [first.id]


@pytest.mark.lab
def test_a_pending_snapshot_is_continued_also_without_the_journal(cloud: Cloud, order: Order) -> None:
    order.disk.rename(order.disk.with_suffix(".away"))
    with pytest.raises(KnitterError, match="cannot read"):
        ensure(cloud, order)
    pending = with_key(cloud, order.key)
    order.disk.with_suffix(".away").rename(order.disk)
    order.disk.with_suffix(".journal").unlink()
    assert ensure(cloud, order) == Stored(pending[0], len(INDEXES))
    assert with_key(cloud, order.key) == pending


@pytest.mark.lab
def test_a_journal_of_another_snapshot_is_not_believed(cloud: Cloud, order: Order) -> None:
    lines = ["snap-00000000000000001", *map(str, INDEXES)]
    order.disk.with_suffix(".journal").write_text("\n".join(lines) + "\n")
    assert ensure(cloud, order).put == len(INDEXES)


@pytest.mark.lab
def test_a_deleted_snapshot_is_made_anew(cloud: Cloud, order: Order) -> None:
    first = ensure(cloud, order)
    cloud.ec2.delete_snapshot(SnapshotId=first.id)
    cloud.forget()
    assert not snapshots.exists(cloud, first.id)
    second = ensure(cloud, order, dead=frozenset({first.id}))
    assert second.id != first.id
    assert second.put == len(INDEXES)
    assert with_key(cloud, order.key) == [second.id]


@pytest.mark.lab
def test_two_disks_under_one_key_are_noticed(cloud: Cloud, order: Order) -> None:
    """CompleteSnapshot compares count and checksum: what one run put is not completed as another's disk."""
    order.disk.rename(order.disk.with_suffix(".away"))
    with pytest.raises(KnitterError):
        ensure(cloud, order)
    pending = with_key(cloud, order.key)[0]
    order.disk.with_suffix(".away").rename(order.disk)
    extra = b"x" * BLOCK
    cloud.ebs.put_snapshot_block(
        SnapshotId=pending,
        BlockIndex=77,
        BlockData=extra,
        DataLength=BLOCK,
        Checksum=base64.b64encode(hashlib.sha256(extra).digest()).decode(),
        ChecksumAlgorithm="SHA256",
    )
    with pytest.raises(CloudError) as caught:
        ensure(cloud, order, patience=0.3)
    assert caught.value.code == "ValidationException"
    assert pending in caught.value.brief


@pytest.mark.lab
def test_one_token_with_other_parameters_is_explained(cloud: Cloud, order: Order) -> None:
    first = ensure(cloud, order)
    cloud.ec2.delete_tags(Resources=[first.id], Tags=[{"Key": "knitter:key"}])
    with pytest.raises(CloudError) as caught:
        ensure(cloud, replace(order, description="another"))
    assert caught.value.code == "ConflictException"


RUN = """
import sys
from pathlib import Path
from knitter.aws.session import Cloud
from tests.aws.test_snapshots import ensure, make_order
endpoint, directory, key, *keys = sys.argv[1:]
ensure(Cloud("lab", "eu-central-1", endpoint=endpoint, keys=tuple(keys)), make_order(Path(directory), key))
"""


@pytest.mark.lab
@pytest.mark.parametrize(
    ("moment", "left"),
    [
        (Moment("POST /snapshots ", "before"), len(INDEXES)),
        (Moment("POST /snapshots ", "after"), len(INDEXES)),
        (Moment("PUT .*/blocks/40 ", "before"), None),
        (Moment("PUT .*/blocks/40 ", "after"), None),
        (Moment("POST /snapshots/completion", "before"), 0),
        (Moment("POST /snapshots/completion", "after"), 0),
        (Moment("Action=CreateTags", "before"), 0),
        (Moment("Action=CreateTags", "after"), 0),
    ],
    ids=str,
)
def test_killed_anywhere_the_next_run_ends_with_one_snapshot(
    cloud: Cloud, order: Order, moment: Moment, left: int | None
) -> None:
    """kill -9, just before or just after the cloud has heard a request."""
    with Tap(cloud.endpoint) as tap:
        tap.kill(RUN, str(order.disk.parent), order.key, *(cloud.keys or ()), moment=moment)
    stored = ensure(cloud, order)
    assert left is None or stored.put == left
    assert with_key(cloud, order.key) == [stored.id]
    assert snapshots.exists(cloud, stored.id)
    assert sorted(read_blocks(cloud, stored.id)) == INDEXES
