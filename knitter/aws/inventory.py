"""What knitter made that still exists in the cloud: a request of each kind, whatever the number of recipes.

doit asks for each stage of each recipe, so the answers are remembered for a few seconds (Cloud.remembered); whoever
makes something calls Cloud.forget.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Final

from knitter.aws.query import items, pages, text
from knitter.aws.session import Cloud
from knitter.aws.tags import ATTEMPT, KEY, RECIPE, STAGE, WRITTEN

_OWN: Final = {"Owner.1": "self"}


NO_VOLUME: Final = "vol-ffffffff"
"""As DescribeSnapshots calls the volume of a snapshot that has none."""


@dataclass(frozen=True, slots=True)
class OwnedSnapshot:
    """A snapshot with a `knitter:key`."""

    id: str
    key: str
    state: str
    """`pending`, `completed`, `error`, `recoverable`, `recovering`."""
    started: str
    """ISO 8601: texts sort as times do."""
    volume: str
    """That it was made of."""

    @property
    def is_direct(self) -> bool:
        """Whether its blocks were put through the EBS direct APIs: no volume has this id."""
        return self.volume == NO_VOLUME


@dataclass(frozen=True, slots=True)
class OwnedVolume:
    """A volume with a `knitter:key`."""

    id: str
    key: str
    state: str
    """`creating`, `available`, `in-use`, `deleting`, `deleted`, `error`."""
    attempt: str
    """`knitter:attempt`: which making of the stage's work it belongs to."""
    written: str
    """`knitter:written`: digest of the disk it holds; "" until it does."""


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
    recipe: str
    stage: str
    created: str
    """ISO 8601."""


def snapshots(cloud: Cloud) -> dict[str, OwnedSnapshot]:
    """By id, oldest first.  Raises CloudError."""

    def ask() -> dict[str, OwnedSnapshot]:
        listed = _pages(cloud, "DescribeSnapshots", **_OWN)
        found = [_snapshot(item) for page in listed for item in items(page, "snapshotSet")]
        return {one.id: one for one in sorted(found, key=lambda one: (one.started, one.id))}

    return cloud.remembered("snapshots", ask)


def images(cloud: Cloud) -> dict[str, OwnedImage]:
    """By id, disabled and deprecated ones too.  Raises CloudError."""

    def ask() -> dict[str, OwnedImage]:
        hidden = {"IncludeDeprecated": "true", "IncludeDisabled": "true"}
        listed = _pages(cloud, "DescribeImages", **_OWN, **hidden)
        found = [_image(item) for page in listed for item in items(page, "imagesSet")]
        return {one.id: one for one in found}

    return cloud.remembered("images", ask)


def volumes(cloud: Cloud) -> dict[str, OwnedVolume]:
    """By id; those that are being deleted are left out.  Raises CloudError."""

    def ask() -> dict[str, OwnedVolume]:
        listed = _pages(cloud, "DescribeVolumes")
        found = [_volume(item) for page in listed for item in items(page, "volumeSet")]
        return {one.id: one for one in found if one.state not in {"deleting", "deleted"}}

    return cloud.remembered("volumes", ask)


def _pages(cloud: Cloud, action: str, **parameters: str) -> list[ET.Element]:
    ours = {"Filter.1.Name": "tag-key", "Filter.1.Value.1": KEY}
    return list(pages(cloud, action, **ours, **parameters))


def _snapshot(item: ET.Element) -> OwnedSnapshot:
    values = (text(item, name) for name in ("snapshotId", "status", "startTime", "volumeId"))
    name, state, started, volume = values
    return OwnedSnapshot(name, _tag(item, KEY), state, started, volume)


def _volume(item: ET.Element) -> OwnedVolume:
    tags = (_tag(item, name) for name in (ATTEMPT, WRITTEN))
    return OwnedVolume(text(item, "volumeId"), _tag(item, KEY), text(item, "status"), *tags)


def _image(item: ET.Element) -> OwnedImage:
    mapped = items(item, "blockDeviceMapping")
    ids = tuple(filter(None, (text(device, "ebs/snapshotId") for device in mapped)))
    told = (_tag(item, RECIPE), _tag(item, STAGE), text(item, "creationDate"))
    return OwnedImage(text(item, "imageId"), _tag(item, KEY), text(item, "imageState"), text(item, "name"), ids, *told)


def _tag(item: ET.Element, name: str) -> str:
    return next((text(tag, "value") for tag in items(item, "tagSet") if text(tag, "key") == name), "")
