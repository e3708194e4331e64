"""The record of the calls that labs have heard in this session: lines `knitter ec2:RunInstances`, `others ...`."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from knitter.aws.policy import allows, policy
from knitter.lab.tally import FILE
from knitter.settings import Settings

WHOLE: Final = Settings(
    cloud="aws", encrypted=True, kms_key="alias/images", surrogate_profile="ssm", surrogate_spot=True
)
"""Settings that ask for every right there is."""
OF_TESTS: Final = {
    "ec2:DeregisterImage": "a test looks what happens when an AMI is gone",
    "ec2:DisableImage": "a test looks what happens when an AMI cannot be launched",
    "ec2:DescribeImageAttribute": "a test looks at what was registered",
    "ec2:CreateKeyPair": "a test leaves something behind",
    "ec2:CreateSubnet": "a test makes a subnet without a way in",
    "ec2:CreateVpc": "a test makes a subnet without a way in",
    "ec2:EnableEbsEncryptionByDefault": "a test turns it on",
    "ec2:DisableEbsEncryptionByDefault": "a test turns it off",
    "ec2:CreateInternetGateway": "a test makes a subnet with a way in",
    "ec2:AttachInternetGateway": "a test makes a subnet with a way in",
    "ec2:CreateRoute": "a test makes a subnet with a way in",
    "ec2:DeleteTags": "a test takes a tag away",
    "ebs:GetSnapshotBlock": "a test reads back what was put",
    "kms:CreateKey": "a test makes a key",
    "kms:DisableKey": "a test makes a key that cannot be used",
}
"""Calls that tests make over knitter's own connection, and knitter itself does not -> why."""


def begin(path: Path) -> None:
    """Let every lab of this session write to *path*."""
    os.environ[FILE] = str(path)


def heard(path: Path) -> list[tuple[str, str]]:
    """(who, action) of each line."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(who, action) for who, _, action in (line.partition(" ") for line in lines)]


def forbidden(calls: Iterable[tuple[str, str]], policy: dict[str, Any]) -> list[str]:
    """Actions that knitter asked for and *policy* does not allow."""
    asked = {action for who, action in calls if who == "knitter"}
    return sorted(action for action in asked - set(OF_TESTS) if not allows(policy, action))


def review() -> None:
    """Raise AssertionError if a lab of this session heard a call that the policy does not grant."""
    refused = forbidden(heard(Path(os.environ[FILE])), policy(WHOLE))
    assert not refused, f"knitter made calls that `doit iam-policy` does not grant: {', '.join(refused)}"
