"""What a lab finds when it starts again: the files and records of one that was killed."""

from pathlib import Path

import pytest

from knitter.lab.ledger import Ledger
from knitter.lab.records import Attachment, Snapshot, Volume, new_id, now

WHERE = ("123456789012", "us-east-1")


def snapshot(**changes: object) -> Snapshot:
    account, region = WHERE
    return Snapshot(id=new_id("snap"), account=account, region=region, volume_size=1, started=now()).model_copy(
        update=changes
    )


def volume(**changes: object) -> Volume:
    account, region = WHERE
    made = Volume(
        id=new_id("vol"), account=account, region=region, zone=f"{region}a", size=1, type="gp3", created=now()
    )
    return made.model_copy(update=changes)


def again(ledger: Ledger, directory: Path) -> Ledger:
    ledger.close()
    return Ledger(directory)


def test_a_snapshot_that_was_being_filled_has_failed(tmp_path: Path) -> None:
    ledger, one = Ledger(tmp_path), snapshot(of_volume=True)
    ledger.blocks.expect(one.id)
    ledger.keep(one)
    ledger = again(ledger, tmp_path)
    assert ledger.snapshots[WHERE][one.id].state == "error"
    ledger.close()


def test_the_time_to_put_blocks_does_not_run_while_the_lab_fills_a_snapshot(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    states = {of_volume: ledger.refresh(snapshot(of_volume=of_volume, timeout=-1)).state for of_volume in (False, True)}
    assert states == {False: "error", True: "pending"}
    ledger.close()


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"phase": "creating"}, None),
        ({"phase": "deleting"}, None),
        ({"phase": "there"}, "available"),
    ],
    ids=["creating", "deleting", "there"],
)
def test_volumes(tmp_path: Path, changes: dict[str, object], left: str | None) -> None:
    ledger, one = Ledger(tmp_path), volume(**changes)
    ledger.add_volume(one)
    ledger.storage.make(one)
    path = ledger.storage.path(one)
    ledger = again(ledger, tmp_path)
    found = ledger.volumes[WHERE].get(one.id)
    assert (found.state if found else None) == left
    assert path.exists() == (left is not None)
    ledger.close()


@pytest.mark.parametrize("delete", [True, False])
def test_attached_volumes(tmp_path: Path, delete: bool) -> None:
    plugged = Attachment(instance="i-1", device="/dev/sdf", state="attached", since=now(), delete=delete)
    ledger, one = Ledger(tmp_path), volume(phase="there", attachment=plugged)
    ledger.add_volume(one)
    ledger = again(ledger, tmp_path)
    assert [found.state for found in ledger.volumes[WHERE].values()] == ([] if delete else ["available"])
    ledger.close()
