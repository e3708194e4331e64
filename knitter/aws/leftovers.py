"""What knitter made and nobody uses, found by its tags.  An AMI is never left over.

Instances, volumes, security groups and key pairs are left over when their run is dead: `knitter:expires` is over, or is
not there; snapshots when no AMI of the account uses them.  What a receipt or a journal of the build directory names is
in use whatever its tags say.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from knitter.aws.explain import explained
from knitter.aws.session import Cloud
from knitter.aws.tags import EXPIRES, KEY, RECIPE, RUN, STAGE, as_dict
from knitter.errors import CloudError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef

_OURS: "Final[FilterTypeDef]" = {"Name": "tag-key", "Values": [KEY, STAGE, RUN]}
_UNKNOWN_KIND: Final = frozenset({"InvalidAction"})


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing in the cloud."""

    kind: str
    """Of KINDS."""
    id: str
    recipe: str
    run: str
    began: datetime | None
    """None: the cloud does not tell."""
    why: str
    """Why it counts as left over; or, of what is alive, until when."""
    alive: bool = False
    """Its run may still be at work: removed only when that is asked for."""
    until: datetime | None = None
    """What `knitter:expires` says."""
    holder: str = ""
    """Of a volume: the instance that it is attached to."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, in the order of removal, and the questions that were refused."""

    things: tuple[Leftover, ...]
    refused: tuple[CloudError, ...] = ()


def find_leftovers(cloud: Cloud, used: Collection[str], *, now: datetime | None = None) -> Found:
    """All that is left over in the cloud's region, and what is alive.

    used: ids of what receipts and journals name.  A kind that must not be listed is among the refused.
    """
    things: list[Leftover] = []
    refused: list[CloudError] = []
    for kind, listed in _LISTED.items():
        try:
            with explained(f"listing each {kind}"):
                things += [one for one in listed(cloud) if one.id not in used]
        except CloudError as error:
            if error.code not in _UNKNOWN_KIND:
                refused.append(error)
    return Found(tuple(_judged(things, now or datetime.now(UTC))), tuple(refused))


def _judged(things: list[Leftover], now: datetime) -> Iterator[Leftover]:
    """A volume lives as long as the instance that holds it; one held by an instance that is in use is in use."""
    instances = {one.id: one for one in things if one.kind == "instance"}
    for one in things:
        if one.holder and one.holder not in instances:
            continue
        until = instances[one.holder].until if one.holder else one.until
        if one.kind != "snapshot" and until is not None and until > now:
            yield replace(one, alive=True, why=f"in use until {until:%Y-%m-%d %H:%M} UTC")
        else:
            yield one


def _instances(cloud: Cloud) -> Iterator[Leftover]:
    states = ["pending", "running", "stopping", "stopped", "shutting-down"]
    filters: Any = [_OURS, {"Name": "instance-state-name", "Values": states}]
    for page in cloud.ec2.get_paginator("describe_instances").paginate(Filters=filters):
        for one in (one for group in page["Reservations"] for one in group["Instances"]):
            state = one["State"]["Name"]
            yield _thing("instance", one["InstanceId"], one, one.get("LaunchTime"), state)


def _volumes(cloud: Cloud) -> Iterator[Leftover]:
    for page in cloud.ec2.get_paginator("describe_volumes").paginate(Filters=[_OURS]):
        for one in page["Volumes"]:
            if one["State"] != "deleting":
                said = f"{one['Size']} GiB {one.get('VolumeType', '')}, {one['State']}"
                yield _thing("volume", one["VolumeId"], one, one.get("CreateTime"), said)


def _groups(cloud: Cloud) -> Iterator[Leftover]:
    for page in cloud.ec2.get_paginator("describe_security_groups").paginate(Filters=[_OURS]):
        for one in page["SecurityGroups"]:
            yield _thing("security group", one["GroupId"], one, None, one.get("GroupName", ""))


def _key_pairs(cloud: Cloud) -> Iterator[Leftover]:
    for one in cloud.ec2.describe_key_pairs(Filters=[_OURS])["KeyPairs"]:
        yield _thing("key pair", one["KeyPairId"], one, one.get("CreateTime"), one.get("KeyName", ""))


def _snapshots(cloud: Cloud) -> Iterator[Leftover]:
    """Those that no AMI of the account uses, whoever registered it."""
    pages = cloud.ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=[_OURS])
    found = [one for page in pages for one in page["Snapshots"]]
    used = _in_images(cloud) if found else frozenset()
    for one in found:
        if one["SnapshotId"] not in used:
            said = _UNUSED.get(one["State"], f"{one['State']}, and no AMI uses it")
            yield _thing("snapshot", one["SnapshotId"], one, one.get("StartTime"), said)


_UNUSED: Final = {
    "pending": "pending, and nobody here goes on with it",
    "error": "failed",
    "completed": "no AMI uses it",
}


def _in_images(cloud: Cloud) -> frozenset[str]:
    pages = cloud.ec2.get_paginator("describe_images").paginate(
        Owners=["self"], IncludeDeprecated=True, IncludeDisabled=True
    )
    mappings = [one for page in pages for image in page["Images"] for one in image.get("BlockDeviceMappings", [])]
    return frozenset(one.get("Ebs", {}).get("SnapshotId", "") for one in mappings)


def _thing(kind: str, name: str, described: Any, began: datetime | None, said: str) -> Leftover:
    tags = as_dict(described.get("Tags", []))
    holders = [one["InstanceId"] for one in described.get("Attachments", [])] if kind == "volume" else []
    return Leftover(
        kind=kind,
        id=name,
        recipe=tags.get(RECIPE, ""),
        run=tags.get(RUN, ""),
        began=began,
        why=said,
        until=_moment(tags.get(EXPIRES, "")),
        holder=next(iter(holders), ""),
    )


def _moment(text: str) -> datetime | None:
    """None if *text* is no time; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_LISTED: Final[dict[str, Callable[[Cloud], Iterator[Leftover]]]] = {
    "instance": _instances,
    "volume": _volumes,
    "security group": _groups,
    "key pair": _key_pairs,
    "snapshot": _snapshots,
}
KINDS: Final = tuple(_LISTED)
"""In the order of removal: an instance holds volumes and groups."""
