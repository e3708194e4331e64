"""The policy: nothing that is not needed, and nothing of others."""

import json
from typing import Any

import pytest

from knitter.aws.policy import CONDITIONS, LIMIT, PURPOSES, RIGHTS, SCOPES, allows, policy
from knitter.settings import Settings

AWS = Settings(cloud="aws", region="eu-central-1")
WHOLE = AWS.model_copy(
    update={"encrypted": True, "kms_key": "alias/images", "surrogate_profile": "ssm", "surrogate_spot": True}
)


def _statements(policy: dict[str, Any], begins: tuple[str, ...]) -> list[dict[str, Any]]:
    """Those with an action whose name, after the service, begins so."""
    return [
        one for one in policy["Statement"] if any(action.split(":")[1].startswith(begins) for action in one["Action"])
    ]


def test_the_table_speaks_of_what_there_is() -> None:
    for right in RIGHTS:
        assert set(right.when.split()) <= set(PURPOSES), right
        assert set(right.scopes.split()) <= set(SCOPES), right
        assert right.only_if in CONDITIONS, right
        assert right.why, right
    assert {scope for right in RIGHTS for scope in right.scopes.split()} == set(SCOPES)


@pytest.mark.parametrize(
    ("purposes", "allowed", "not_allowed"),
    [
        (["direct"], "ebs:PutSnapshotBlock", "ec2:RunInstances"),
        (["direct"], "ec2:RegisterImage", "ec2:DeleteSnapshot"),
        (["surrogate"], "ec2:AttachVolume", "ebs:StartSnapshot"),
        (["launch"], "ec2:RunInstances", "ec2:CreateVolume"),
        (["gc"], "ec2:DeleteSnapshot", "ec2:RegisterImage"),
    ],
)
def test_each_purpose_gets_its_own(purposes: list[Any], allowed: str, not_allowed: str) -> None:
    granted = policy(AWS, purposes)
    assert allows(granted, allowed)
    assert allows(granted, allowed.lower())
    assert not allows(granted, not_allowed)


@pytest.mark.parametrize(
    ("setting", "action"),
    [
        ({"surrogate_profile": "ssm"}, "iam:PassRole"),
        ({"surrogate_spot": True}, "iam:CreateServiceLinkedRole"),
        ({"encrypted": True, "kms_key": "alias/images"}, "kms:CreateGrant"),
        ({"surrogate_image": "ssm:/images/mine"}, "ssm:GetParameter"),
    ],
)
def test_a_right_that_a_setting_asks_for(setting: dict[str, Any], action: str) -> None:
    plain = AWS.model_copy(update={"surrogate_image": "ami-0123456789abcdef0"})
    assert not allows(policy(plain), action)
    assert allows(policy(plain.model_copy(update=setting)), action)


def test_groups_of_the_users_own_are_not_changed() -> None:
    own = AWS.model_copy(update={"surrogate_security_groups": ("sg-0123456789abcdef0",)})
    assert not allows(policy(own, ["direct", "surrogate"]), "ec2:AuthorizeSecurityGroupIngress")


def test_nothing_of_others_is_ended_or_changed() -> None:
    """Whatever ends or changes a thing asks for knitter's tag on it."""
    ending = _statements(policy(WHOLE), ("Delete", "Terminate", "Detach", "Attach", "Modify", "Authorize"))
    assert ending
    for statement in ending:
        assert statement["Condition"]["StringLike"] == {"aws:ResourceTag/knitter:stage": "*"}, statement


def test_what_may_be_done_to_everything_only_looks() -> None:
    for statement in policy(WHOLE)["Statement"]:
        if "*" in statement["Resource"]:
            assert all(action.split(":")[1].startswith(("Describe", "Get")) for action in statement["Action"])


def test_tags_are_given_at_creation_or_to_what_has_them() -> None:
    """Else whoever holds the policy could make a foreign thing knitter's, and then end it."""
    for statement in _statements(policy(WHOLE, ["surrogate", "launch", "gc"]), ("CreateTags",)):
        things = statement["Resource"]
        spot = all("spot-instances-request" in one for one in things)
        condition = json.dumps(statement.get("Condition", {}))
        assert spot or "ec2:CreateAction" in condition or "aws:ResourceTag/" in condition, statement


def test_a_role_is_passed_to_ec2_only() -> None:
    (passing,) = _statements(policy(WHOLE), ("PassRole",))
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


def test_the_public_parameter_is_the_only_one_that_is_read() -> None:
    (reading,) = _statements(policy(AWS), ("GetParameter",))
    begin = "arn:aws:ssm:eu-central-1:*:parameter"
    assert reading["Resource"] == [f"{begin}/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-*"]
    own = AWS.model_copy(update={"surrogate_image": "ssm:/ours/{architecture}/latest"})
    (reading,) = _statements(policy(own), ("GetParameter",))
    assert reading["Resource"] == [f"{begin}/ours/*/latest"], "as find_source fills it in"


def test_a_key_that_is_named_is_the_only_one() -> None:
    arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    named = WHOLE.model_copy(update={"kms_key": arn})
    for statement in _statements(policy(named), ("Decrypt", "CreateGrant")):
        assert statement["Resource"] == [arn]
    (granting,) = _statements(policy(named), ("CreateGrant",))
    assert granting["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_other_partitions(region: str, partition: str) -> None:
    granted = policy(WHOLE.model_copy(update={"region": region}))
    resources = [name for statement in granted["Statement"] for name in statement["Resource"] if name != "*"]
    assert all(name.startswith(f"arn:{partition}:") for name in resources)


def test_it_fits_into_one_managed_policy() -> None:
    """Without white space, which IAM does not count."""
    assert len("".join(json.dumps(policy(WHOLE)).split())) < LIMIT
