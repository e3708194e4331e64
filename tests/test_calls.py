"""Every call that knitter makes in the whole suite is one that `doit iam-policy` grants.  Runs last."""

import os
from pathlib import Path

import pytest

from knitter.aws.policy import policy
from knitter.lab.tally import FILE
from knitter.settings import Settings
from tests.calls import CLOUDY, forbidden, heard

WHOLE = Settings(cloud="aws", encrypted=True, kms_key="alias/images", surrogate_profile="ssm", surrogate_spot=True)
"""Settings that ask for every right there is."""


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


@pytest.mark.lab
@pytest.mark.last
def test_every_call_of_the_whole_suite_is_in_the_policy(request: pytest.FixtureRequest) -> None:
    started = [item for item in request.session.items if CLOUDY & set(getattr(item, "fixturenames", ()))]
    if not started:
        pytest.skip("no test with a lab is selected")
    calls = heard(Path(os.environ[FILE]))
    assert calls, f"{len(started)} tests had a lab, and none has recorded a call in {os.environ[FILE]}"
    assert forbidden(calls, policy(WHOLE)) == []
