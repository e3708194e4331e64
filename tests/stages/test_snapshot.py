"""Stage `snapshot` in the lab."""

import shutil
from dataclasses import replace

import pytest

from knitter.aws.session import Cloud
from knitter.errors import CloudError, KnitterError
from knitter.stages.disk import BLOCKS, RAW, Disk
from knitter.stages.snapshot import JOURNAL, Snapshot
from knitter.stages.stage import ensure
from knitter.units import BLOCK, GIB
from tests.aws.tap import Moment, Tap
from tests.stages.small import INDEXES, Desk

pytestmark = pytest.mark.lab


def test_made_then_kept(desk: Desk) -> None:
    made = desk.snapshot()
    assert made.action == "made"
    facts = dict(made.receipt.facts)
    assert facts.pop("snapshot") == desk.owned("snapshots")[0]
    assert facts == {"region": "eu-central-1", "blocks": 3, "bytes": 3 * BLOCK, "size": GIB}
    assert desk.snapshot().action == "kept"
    assert len(desk.owned("snapshots")) == 1
    folder = Snapshot().folder(desk.build())
    assert sorted(path.name for path in folder.iterdir()) == ["snapshot.json"]
    assert "3 blocks put" in Snapshot().log_path(desk.build()).read_text()


def test_what_a_check_or_the_ami_says_makes_no_other_snapshot(desk: Desk) -> None:
    desk.snapshot()
    changed = {
        "check": {"timeout": 77},
        "ami": {"description": "Other", "tags": {"a": "b"}},
        "boot": {"firmware": "both"},
    }
    assert desk.snapshot(**changed).action == "kept"


def test_without_the_receipt_it_is_adopted(desk: Desk) -> None:
    made = desk.snapshot()
    Snapshot().clean(desk.build())
    adopted = desk.snapshot()
    assert (adopted.action, adopted.receipt) == ("adopted", made.receipt)


def test_another_disk_is_another_snapshot(desk: Desk) -> None:
    first = desk.snapshot().receipt
    desk.make_disk()
    second = desk.snapshot()
    assert (second.action, second.reason) == ("made", "disk changed")
    assert second.receipt.facts["snapshot"] != first.facts["snapshot"]
    assert second.receipt.digest != first.digest


def test_deleted_in_the_cloud_it_is_made_anew(desk: Desk) -> None:
    first = desk.snapshot().receipt
    desk.build().cloud().ec2.delete_snapshot(SnapshotId=str(first.facts["snapshot"]))
    second = desk.snapshot()
    assert second.action == "made"
    assert second.receipt.facts["snapshot"] != first.facts["snapshot"]
    assert second.receipt.digest != first.digest


def test_deleted_with_the_receipt_gone_too(desk: Desk) -> None:
    """Nothing here knows that the first was; the ClientToken may still lead to it."""
    first = desk.snapshot().receipt
    desk.build().cloud().ec2.delete_snapshot(SnapshotId=str(first.facts["snapshot"]))
    Snapshot().clean(desk.build())
    second = desk.snapshot()
    assert second.receipt.facts["snapshot"] != first.facts["snapshot"]


def test_clean_removes_the_journal_and_nothing_in_the_cloud(desk: Desk) -> None:
    desk.snapshot()
    journal = Snapshot().folder(desk.build()) / JOURNAL
    journal.write_text("snap-1\n")
    Snapshot().clean(desk.build())
    assert not journal.exists()
    assert not Snapshot().receipt_path(desk.build()).exists()
    assert len(desk.owned("snapshots")) == 1


def test_a_disk_that_is_not_the_receipts_is_refused(desk: Desk) -> None:
    path = Disk().folder(desk.build()) / BLOCKS
    path.write_text(path.read_text().replace("\n3 ", "\n4 "))
    with pytest.raises(KnitterError, match="is not what the stage disk made"):
        desk.snapshot()
    assert desk.owned("snapshots") == []


def test_a_disk_without_its_file_is_refused(desk: Desk) -> None:
    (Disk().folder(desk.build()) / RAW).unlink()
    with pytest.raises(KnitterError, match=r"cannot read .*disk\.raw"):
        desk.snapshot()


def test_refused_credentials_are_told_before_anything_is_made(desk: Desk) -> None:
    stranger = Cloud("lab", "eu-central-1", endpoint=desk.endpoint, keys=("AKIAIOSFODNN7EXAMPLE", "wrong"))
    with pytest.raises(CloudError):
        ensure(Snapshot(), replace(desk.build(), cloud=lambda: stranger))
    assert not Snapshot().receipt_path(desk.build()).exists()
    assert desk.owned("snapshots") == []


RUN = """
import sys
from pathlib import Path
from tests.stages.small import Desk
endpoint, root, stage = sys.argv[1:]
getattr(Desk(Path(root), endpoint), stage)()
"""


@pytest.mark.parametrize(
    "moment",
    [
        Moment("Action=DescribeSnapshots", "before"),
        Moment("POST /snapshots ", "after"),
        Moment("PUT .*/blocks/3 ", "after"),
        Moment("POST /snapshots/completion", "after"),
        Moment("Action=CreateTags", "before"),
    ],
    ids=str,
)
def test_killed_anywhere_the_next_run_finishes(desk: Desk, moment: Moment) -> None:
    with Tap(desk.endpoint) as tap:
        tap.kill(RUN, str(desk.root), "snapshot", moment=moment)
    assert not Snapshot().receipt_path(desk.build()).exists()
    done = desk.snapshot()
    assert desk.owned("snapshots") == [done.receipt.facts["snapshot"]]
    assert not (Snapshot().folder(desk.build()) / JOURNAL).exists() or done.action == "adopted"
    assert done.receipt.facts["blocks"] == len(INDEXES)


def test_two_desks_with_one_disk_have_one_snapshot(desk: Desk) -> None:
    first = desk.snapshot().receipt
    other = Desk(desk.root / "other", desk.endpoint)
    shutil.copytree(desk.root / "build/small", other.root / "build/small", ignore=shutil.ignore_patterns("lab"))
    again = other.snapshot()
    assert (again.action, again.receipt.facts) == ("adopted", first.facts)
