"""Faults are drawn by seed, and told in the words of each service."""

import json
from collections import Counter

from tests.campaign.faults import Plan, asked, refusal, unknown

FORM = {
    "content-type": "application/x-www-form-urlencoded",
    "authorization": "Credential=A/20260101/r/ec2/aws4_request",
}


def test_the_same_seed_draws_the_same() -> None:
    plan = Plan("7", {"throttled": 0.2, "reset after": 0.1})
    drawn = [plan.draw("ec2:RunInstances", number) for number in range(1000)]
    assert drawn == [plan.draw("ec2:RunInstances", number) for number in range(1000)]
    assert drawn != [plan.draw("ec2:CreateVolume", number) for number in range(1000)]
    counts = Counter(drawn)
    assert 150 < counts["throttled"] < 250
    assert 60 < counts["reset after"] < 140
    assert counts["slow"] == 0


def test_requests_are_understood() -> None:
    one = asked("POST", "/", FORM, b"Action=AttachVolume&VolumeId=vol-1&InstanceId=i-1")
    assert (one.key, one.service, one.changes, one.names("i-1"), one.names("i-2")) == (
        "ec2:AttachVolume",
        "ec2",
        True,
        True,
        False,
    )
    two = asked("POST", "/", FORM, b"Action=DescribeVolumes&Filter.1.Name=volume-id&Filter.1.Value.1=vol-1")
    assert (two.changes, two.names("vol-1")) == (False, False)
    assert not asked("POST", "/", FORM, b"Action=CreateVolume&DryRun=true").changes
    block = asked("PUT", "/snapshots/snap-1/blocks/17", {}, b"")
    assert (block.key, block.changes, block.names("snap-1")) == ("ebs:PutSnapshotBlock 17", True, True)


def test_each_service_refuses_in_its_own_form() -> None:
    assert b"<Code>RequestLimitExceeded</Code>" in refusal("ec2", "throttled").body
    assert b"<ErrorResponse><Error>" in refusal("sts", "expired").body
    told = refusal("ebs", "throttled")
    assert json.loads(told.body)["Reason"] == "ACCOUNT_THROTTLED"
    assert dict(told.headers)["x-amzn-ErrorType"] == "RequestThrottledException"
    assert b"InvalidVolume.NotFound" in unknown("ec2", "vol-1").body
