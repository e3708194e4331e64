"""The record of calls.  That it holds nothing the policy does not grant is looked at when the session ends."""

import os
from pathlib import Path

import pytest

from knitter.aws.policy import policy
from knitter.lab.service import Lab
from knitter.lab.tally import FILE
from tests.calls import WHOLE, forbidden, heard, review
from tests.lab.conftest import boto_client


def test_the_record_is_read_by_who_called(tmp_path: Path) -> None:
    path = tmp_path / "calls"
    path.write_text("others ec2:CreateImage\nknitter ec2:DescribeImages\nknitter ec2:DeregisterImage\n")
    assert forbidden(heard(path), policy(WHOLE)) == []
    with path.open("a") as file:
        file.write("knitter ec2:ModifySnapshotAttribute\nknitter ebs:ListChangedBlocks\n")
    assert forbidden(heard(path), policy(WHOLE)) == ["ebs:ListChangedBlocks", "ec2:ModifySnapshotAttribute"]
    assert "ebs:PutSnapshotBlock" in forbidden([("knitter", "ebs:PutSnapshotBlock")], policy(WHOLE, ["surrogate"]))


def test_no_record_is_no_call(tmp_path: Path) -> None:
    assert heard(tmp_path / "calls") == []


def test_the_review_names_what_is_not_granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calls").write_text("knitter ebs:ListChangedBlocks\n")
    monkeypatch.setenv(FILE, str(tmp_path / "calls"))
    with pytest.raises(AssertionError, match="does not grant: ebs:ListChangedBlocks"):
        review()


@pytest.mark.lab
def test_a_lab_records_what_it_hears(endpoint: str) -> None:
    boto_client(Lab(endpoint, 0), "ec2").describe_regions()
    assert ("others", "ec2:DescribeRegions") in heard(Path(os.environ[FILE]))
