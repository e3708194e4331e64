"""What knitter made that still exists in the cloud: two requests, whatever the number of recipes.

doit asks for each stage of each recipe, so the answers are remembered for a few seconds (Cloud.remembered); whoever
makes something calls Cloud.forget.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from knitter.aws.query import items, pages, text
from knitter.aws.session import Cloud
from knitter.aws.tags import KEY


@dataclass(frozen=True, slots=True)
class OwnedSnapshot:
    """A snapshot with a `knitter:key`."""

    id: str
    key: str
    state: str
    """`pending`, `completed`, `error`, `recoverable`, `recovering`."""
    started: str
    """ISO 8601: texts sort as times do."""


@dataclass(frozen=True, slots=True)
class OwnedImage:
    """An AMI with a `knitter:key`."""

    id: str
    key: str
    state: str
    """`pending`, `available`, `invalid`, `deregistered`, `transient`, `failed`, `error`, `disabled`."""
    name: str
    snapshots: tuple[str, ...]
    """Of its block devices."""


def snapshots(cloud: Cloud) -> dict[str, OwnedSnapshot]:
    """By id, oldest first.  Raises CloudError."""

    def ask() -> dict[str, OwnedSnapshot]:
        found = [_snapshot(item) for page in _pages(cloud, "DescribeSnapshots") for item in items(page, "snapshotSet")]
        return {one.id: one for one in sorted(found, key=lambda one: (one.started, one.id))}

    return cloud.remembered("snapshots", ask)


def images(cloud: Cloud) -> dict[str, OwnedImage]:
    """By id, disabled and deprecated ones too.  Raises CloudError."""

    def ask() -> dict[str, OwnedImage]:
        hidden = {"IncludeDeprecated": "true", "IncludeDisabled": "true"}
        found = [
            _image(item) for page in _pages(cloud, "DescribeImages", **hidden) for item in items(page, "imagesSet")
        ]
        return {one.id: one for one in found}

    return cloud.remembered("images", ask)


def _pages(cloud: Cloud, action: str, **parameters: str) -> list[ET.Element]:
    ours = {"Owner.1": "self", "Filter.1.Name": "tag-key", "Filter.1.Value.1": KEY}
    return list(pages(cloud, action, **ours, **parameters))


def _snapshot(item: ET.Element) -> OwnedSnapshot:
    return OwnedSnapshot(text(item, "snapshotId"), _key(item), text(item, "status"), text(item, "startTime"))


def _image(item: ET.Element) -> OwnedImage:
    mapped = items(item, "blockDeviceMapping")
    ids = tuple(filter(None, (text(device, "ebs/snapshotId") for device in mapped)))
    return OwnedImage(text(item, "imageId"), _key(item), text(item, "imageState"), text(item, "name"), ids)


def _key(item: ET.Element) -> str:
    return next((text(tag, "value") for tag in items(item, "tagSet") if text(tag, "key") == KEY), "")
