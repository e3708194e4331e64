"""The IAM policy of this site: each action that knitter may ask for, why, and on what.

    policy(settings, purposes)  ->  the JSON that `doit iam-policy` prints

Sources: Service Authorization Reference, "Actions, resources, and condition keys" for Amazon EC2 and for Amazon Elastic
Block Store (StartSnapshot with tags asks for ec2:CreateTags too); EBS User Guide, "Control access to EBS direct APIs
using IAM" and "Required permissions for Amazon EBS encryption".  Written from memory of the first, and tried on no
account yet: that RegisterImage takes conditions (so it has none here), and the role that spot requests need.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from knitter.aws.source import AMAZON_LINUX
from knitter.settings import Settings

Purpose = Literal["direct", "surrogate", "launch", "gc"]
PURPOSES: Final[tuple[Purpose, ...]] = ("direct", "surrogate", "launch", "gc")
"""The two roads to an AMI, a test instance of it, and the removal of what was left behind."""

LIMIT: Final = 6144
"""Characters of a managed policy, white space not counted.  IAM User Guide, "IAM and AWS STS quotas"."""

_STAGE: Final = "knitter:stage"
"""Everything that knitter makes carries this tag from its first moment; `knitter:run` comes later to some things."""
_OURS: Final = {"StringLike": {f"aws:ResourceTag/{_STAGE}": "*"}}
_NEW: Final = {"StringLike": {f"aws:RequestTag/{_STAGE}": "*"}}
_CREATING: Final = (
    "RunInstances",
    "CreateVolume",
    "CreateSnapshot",
    "CreateSecurityGroup",
    "RegisterImage",
    "ImportKeyPair",
)


@dataclass(frozen=True, slots=True)
class Scope:
    """On what an action is allowed."""

    resources: tuple[str, ...]
    """What follows `arn:<partition>:` or `*`; {region} and {account} are filled in."""
    condition: dict[str, Any] | None = None


_ANY: Final = "{region}:{account}"
_PARTS: Final = ("volume", "network-interface", "security-group", "subnet", "key-pair")
SCOPES: Final[dict[str, Scope]] = {
    "Ask": Scope(("*",)),
    "OwnThings": Scope(
        (
            *(f"ec2:{_ANY}:{kind}/*" for kind in ("instance", "volume", "security-group", "key-pair")),
            "ec2:{region}::snapshot/*",
        ),
        _OURS,
    ),
    "OwnSnapshots": Scope(("ec2:{region}::snapshot/*",), _OURS),
    "NewSnapshots": Scope(("ec2:{region}::snapshot/*",), _NEW),
    "AnySnapshot": Scope(("ec2:{region}::snapshot/*",)),
    "NewVolumes": Scope((f"ec2:{_ANY}:volume/*",), _NEW),
    "NewInstances": Scope((f"ec2:{_ANY}:instance/*",), _NEW),
    "WhatInstancesAreMadeOf": Scope(
        (
            *("ec2:{region}::image/*", "ec2:{region}::snapshot/*"),
            *(f"ec2:{_ANY}:{kind}/*" for kind in _PARTS),
        )
    ),
    "SpotRequests": Scope((f"ec2:{_ANY}:spot-instances-request/*",)),
    "NewGroups": Scope((f"ec2:{_ANY}:security-group/*",), _NEW),
    "NewKeyPairs": Scope((f"ec2:{_ANY}:key-pair/*",), _NEW),
    "TheirNetworks": Scope((f"ec2:{_ANY}:vpc/*",)),
    "Images": Scope(("ec2:{region}::image/*", "ec2:{region}::snapshot/*")),
    "TagsAtCreation": Scope(("ec2:{region}:*:*/*",), _NEW | {"StringEquals": {"ec2:CreateAction": list(_CREATING)}}),
    "TagsOfOwnThings": Scope(("ec2:{region}:*:*/*",), _OURS),
    "SourceParameter": Scope(("ssm:{region}:*:parameter{parameter}",)),
    "RoleOfTheProfile": Scope(("iam::{account}:role/*",), {"StringEquals": {"iam:PassedToService": "ec2.{domain}"}}),
    "SpotRole": Scope(
        ("iam::{account}:role/aws-service-role/spot.amazonaws.com/*",),
        {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}},
    ),
    "Key": Scope(("{key}",)),
    "KeyForStorage": Scope(("{key}",), {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
}
"""Name, which becomes the statement's Sid -> scope."""

_ROADS: Final = "direct surrogate"
_LAUNCHES: Final = "surrogate launch"
_STORES: Final = "direct surrogate launch"
_ALL: Final = "direct surrogate launch gc"


@dataclass(frozen=True, slots=True)
class Right:
    """One row of RIGHTS."""

    action: str
    why: str
    when: str
    """The purposes it serves."""
    scopes: str = "Ask"
    """Of SCOPES."""
    only_if: str = ""
    """Of CONDITIONS."""


CONDITIONS: Final[dict[str, Callable[[Settings], bool]]] = {
    "": lambda _: True,
    "group": lambda settings: not settings.surrogate_security_groups,
    "profile": lambda settings: bool(settings.surrogate_profile),
    "spot": lambda settings: settings.surrogate_spot,
    "key": lambda settings: settings.encrypted and bool(settings.kms_key),
    "parameter": lambda settings: _parameter(settings) != "",
}
"""Name -> whether the settings ask for it."""

# fmt: off
RIGHTS: Final = (
    Right("sts:GetCallerIdentity", "whether the credentials are good", _ALL),
    Right("ec2:DescribeSnapshots", "what is stored; waiting", _ALL),
    Right("ec2:DescribeImages", "what is registered; waiting; the source", _ALL),
    Right("ec2:GetEbsEncryptionByDefault", "preflight: what will be encrypted", _ROADS),
    Right("servicequotas:GetServiceQuota", "preflight: what the account may have", _ROADS),
    Right("ec2:RegisterImage", "the AMI", _ROADS, "Images"),
    Right("ec2:CreateTags", "tags of what is made", _ALL, "TagsAtCreation TagsOfOwnThings"),

    Right("ebs:ListSnapshotBlocks", "preflight: whether the API can be reached", "direct", "AnySnapshot"),
    Right("ebs:StartSnapshot", "the snapshot", "direct", "NewSnapshots"),
    Right("ebs:PutSnapshotBlock", "its blocks", "direct", "OwnSnapshots"),
    Right("ebs:CompleteSnapshot", "its end", "direct", "OwnSnapshots"),
    # Which ec2:CreateAction StartSnapshot's tags come with is documented nowhere.
    Right("ec2:CreateTags", "tags of the snapshot", "direct", "NewSnapshots"),

    Right("ec2:DescribeInstances", "waiting; preflight: running vCPUs", "surrogate launch gc"),
    Right("ec2:DescribeInstanceTypes", "preflight: what an instance type can boot", _LAUNCHES),
    Right("ec2:DescribeSubnets", "where instances start", _LAUNCHES),
    Right("ec2:DescribeRouteTables", "preflight: the way in", _LAUNCHES),
    Right("ec2:DescribeSecurityGroups", "who may come in", "surrogate launch gc"),
    Right("ec2:DescribeVolumes", "waiting; preflight: what is stored", "surrogate gc"),
    Right("ec2:DescribeKeyPairs", "what was left behind", "gc"),
    Right("ec2:RunInstances", "the instance", _LAUNCHES, "NewInstances WhatInstancesAreMadeOf"),
    Right("ec2:RunInstances", "the instance, of spot capacity", _LAUNCHES, "SpotRequests", "spot"),
    Right("ec2:CreateTags", "tags of the spot request", _LAUNCHES, "SpotRequests", "spot"),
    Right("iam:CreateServiceLinkedRole", "EC2's role, for the first spot request", _LAUNCHES, "SpotRole", "spot"),
    Right("iam:PassRole", "the instance's role", _LAUNCHES, "RoleOfTheProfile", "profile"),
    Right("ssm:GetParameter", "the AMI that a public parameter names", "surrogate", "SourceParameter", "parameter"),
    Right("ec2:GetConsoleOutput", "why an instance does not answer", _LAUNCHES, "OwnThings"),
    Right("ec2:ModifyInstanceAttribute", "the volume goes with its instance", "surrogate", "OwnThings"),
    Right("ec2:TerminateInstances", "the instance's end", "surrogate launch gc", "OwnThings"),
    Right("ec2:CreateSecurityGroup", "admits this host alone", _LAUNCHES, "NewGroups TheirNetworks", "group"),
    Right("ec2:AuthorizeSecurityGroupIngress", "admits this host alone", _LAUNCHES, "OwnThings", "group"),
    Right("ec2:DeleteSecurityGroup", "the group's end", "surrogate launch gc", "OwnThings"),
    Right("ec2:CreateVolume", "the volume", "surrogate", "NewVolumes"),
    Right("ec2:AttachVolume", "the volume, to its instance", "surrogate", "OwnThings"),
    Right("ec2:DetachVolume", "the volume, once written", "surrogate", "OwnThings"),
    Right("ec2:DeleteVolume", "the volume's end", "surrogate gc", "OwnThings"),
    Right("ec2:CreateSnapshot", "the snapshot, of our volume", "surrogate", "NewSnapshots OwnThings"),
    Right("ec2:DeleteSnapshot", "snapshots that no AMI uses", "gc", "OwnThings"),
    Right("ec2:ImportKeyPair", "the key that logs in, of images without cloud-init", "launch", "NewKeyPairs"),
    Right("ec2:DeleteKeyPair", "key pairs left behind", "launch gc", "OwnThings"),

    Right("kms:DescribeKey", "whether the key can be used", _STORES, "Key", "key"),
    Right("kms:Decrypt", "EBS works with the key for us", _STORES, "Key", "key"),
    Right("kms:GenerateDataKeyWithoutPlaintext", "EBS works with the key for us", _STORES, "Key", "key"),
    Right("kms:ReEncryptFrom", "EBS works with the key for us", _STORES, "Key", "key"),
    Right("kms:ReEncryptTo", "EBS works with the key for us", _STORES, "Key", "key"),
    Right("kms:CreateGrant", "EBS works with the key for us", _STORES, "KeyForStorage", "key"),
)
# fmt: on


def policy(settings: Settings, purposes: Collection[Purpose] = PURPOSES) -> dict[str, Any]:
    """The policy: one statement for each scope, in the order of SCOPES."""
    granted: dict[str, list[str]] = {name: [] for name in SCOPES}
    for right in rights(settings, purposes):
        for scope in right.scopes.split():
            granted[scope] += [right.action]
    words = _words(settings)
    statements = [_statement(name, sorted(set(actions)), words) for name, actions in granted.items() if actions]
    return {"Version": "2012-10-17", "Statement": statements}


def rights(settings: Settings, purposes: Collection[Purpose]) -> list[Right]:
    """The rows of RIGHTS that serve *purposes* under *settings*."""
    wanted = set(purposes)
    return [one for one in RIGHTS if wanted & set(one.when.split()) and CONDITIONS[one.only_if](settings)]


def allows(policy: dict[str, Any], action: str) -> bool:
    """Whether *policy* allows *action* on something; IAM does not heed case."""
    allowed = (pattern for statement in policy["Statement"] for pattern in statement["Action"])
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in allowed)


def _statement(name: str, actions: list[str], words: dict[str, str]) -> dict[str, Any]:
    scope = SCOPES[name]
    condition = {"Condition": _filled(scope.condition, words)} if scope.condition else {}
    resources = [_resource(text.format(**words), words["partition"]) for text in scope.resources]
    return {"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resources, **condition}


def _resource(text: str, partition: str) -> str:
    return text if text == "*" or text.startswith("arn:") else f"arn:{partition}:{text}"


def _filled(condition: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    """The condition with the domain of AWS's services in this partition."""
    return {
        operator: {key: value.format(**words) if isinstance(value, str) else value for key, value in test.items()}
        for operator, test in condition.items()
    }


def _words(settings: Settings) -> dict[str, str]:
    region = settings.region
    partition = next((name for begin, name in _PARTITIONS if region.startswith(begin)), "aws")
    words = {
        "region": region,
        "account": "*",
        "partition": partition,
        "domain": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        "parameter": _parameter(settings),
    }
    return words | {"key": _key(settings.kms_key, region)}


_PARTITIONS: Final = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))


def _parameter(settings: Settings) -> str:
    """The name of the SSM parameter that tells the source; "" if none does."""
    source = settings.surrogate_image or (AMAZON_LINUX if settings.cloud == "aws" else "")
    return source.removeprefix("ssm:").replace("{architecture}", "*") if source.startswith("ssm:") else ""


def _key(key: str, region: str) -> str:
    """The key as a resource.  An alias names no resource that a policy may restrict: any key of the account."""
    if key.startswith("arn:") and ":key/" in key:
        return key
    return f"kms:{region}:*:key/{key if key and 'alias/' not in key else '*'}"
