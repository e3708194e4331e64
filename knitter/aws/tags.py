"""The tags that tell whose a thing is, what it was made from, and by which run."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from knitter.aws.explain import explained

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import TagTypeDef

    from knitter.aws.session import Cloud

KEY: Final = "knitter:key"
RECIPE: Final = "knitter:recipe"
STAGE: Final = "knitter:stage"
RUN: Final = "knitter:run"
ATTEMPT: Final = "knitter:attempt"
"""Of a volume: leads from a making that was killed to what it had made."""
WRITTEN: Final = "knitter:written"
"""Of a volume: the digest of the disk it holds, every block verified."""
EXPIRES: Final = "knitter:expires"
"""When what ends by itself does so: ISO 8601, UTC."""

RUN_ID: Final = uuid.uuid4().hex[:12]
"""Of this process: leads from a thing in the cloud to the run that made it."""


def stamp(*, key: str, recipe: str, stage: str, name: str) -> dict[str, str]:
    """The tags of everything that knitter makes to keep, the same on every run.  *name* is what the console shows."""
    return {KEY: key, RECIPE: recipe, STAGE: stage, "Name": name}


def run_tag() -> dict[str, str]:
    """Which run made it.  Not to be sent with a ClientToken: all that goes with one must be the same when repeated."""
    return {RUN: RUN_ID}


def expiry_tag(seconds: float) -> dict[str, str]:
    """When it ends, if nobody pushes that back: *seconds* from now."""
    return {EXPIRES: f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"}


def as_list(tags: Mapping[str, str]) -> "list[TagTypeDef]":
    """As the API takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def as_dict(listed: Iterable[Any]) -> dict[str, str]:
    """As people read them."""
    return {tag["Key"]: tag["Value"] for tag in listed}


def ensure_tags(cloud: "Cloud", ids: list[str], tags: Mapping[str, str]) -> None:
    """Give *tags* to all of *ids*.  Safe to repeat.  Raises CloudError."""
    if tags:
        with explained(f"tagging {', '.join(ids)}"):
            cloud.ec2.create_tags(Resources=ids, Tags=as_list(tags))
