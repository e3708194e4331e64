"""An AMI: registered once, with nothing left to defaults, waited for, and read back.

Sources: Amazon EC2 API Reference, RegisterImage (its defaults are traps: i386, paravirtual, no ENA) and DescribeImages.
RegisterImage takes no ClientToken: the tag `knitter:key` and the name make it idempotent.
"""

from typing import TYPE_CHECKING, Any, Final

from knitter.aws import inventory
from knitter.aws.explain import explained
from knitter.aws.registration import Wanted, differences, plan_registration, refused_field
from knitter.aws.session import Cloud
from knitter.aws.tags import KEY, as_dict, ensure_tags
from knitter.aws.wait import SETTLING, wait_for
from knitter.errors import CloudError, KnitterError
from knitter.progress import say

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef

AVAILABLE: Final = 30 * 60.0
"""Seconds from RegisterImage to `available`, at most."""
_LOST: Final = frozenset({"invalid", "failed", "error", "deregistered"})
_DUPLICATE: Final = "InvalidAMIName.Duplicate"


class RefusedImageError(CloudError):
    """RegisterImage was refused.  `field` is the parameter at fault, such as `BootMode`; "" if AWS does not say."""

    def __init__(self, refusal: CloudError, field: str) -> None:
        super().__init__(refusal.brief, code=refusal.code, details=refusal.details, hint=refusal.hint)
        self.field = field


def find_available(cloud: Cloud, key: str) -> inventory.OwnedImage | None:
    """An AMI with this `knitter:key` that can be launched."""
    return next((one for one in inventory.images(cloud).values() if (one.key, one.state) == (key, "available")), None)


def find_built(cloud: Cloud, recipe: str) -> inventory.OwnedImage | None:
    """The newest AMI that was built of *recipe* and can be launched."""
    built = (one for one in inventory.images(cloud).values() if (one.recipe, one.stage) == (recipe, "ami"))
    return max((one for one in built if one.state == "available"), key=lambda one: (one.created, one.id), default=None)


def is_available(cloud: Cloud, image: str, *, snapshot: str) -> bool:
    """Whether the AMI *image* can be launched and is made of *snapshot*."""
    found = inventory.images(cloud).get(image)
    return found is not None and found.state == "available" and snapshot in found.snapshots


def ensure_image(cloud: Cloud, wanted: Wanted) -> str:
    """Id of the AMI *wanted*: available, tagged, and found to be what was asked for.  Safe to repeat.

    Raises RefusedImageError, CloudError, and KnitterError when the name is taken or what came back differs.
    """
    image = _find(cloud, wanted) or _register(cloud, wanted)
    cloud.forget()
    ensure_tags(cloud, [wanted.snapshot], wanted.snapshot_tags)
    check(image, differences(wanted, _wait_available(cloud, image)))
    return image


def check(image: str, different: list[tuple[str, str, str]]) -> None:
    """Raise KnitterError if a (field, expected, found) is there."""
    if different:
        width = max(len(field) for field, _, _ in different)
        rows = [f"{field:<{width}}  expected {expected}, found {found}" for field, expected, found in different]
        raise KnitterError(
            f"AMI {image} is not what was asked for",
            details="\n".join(rows),
            hint=f"deregister it (aws ec2 deregister-image --image-id {image}) and run again",
        )


def _find(cloud: Cloud, wanted: Wanted) -> str | None:
    """The AMI by its key, else by its name.  Raises KnitterError if another key has the name."""
    key = wanted.tags[KEY]
    by_key = _describe(cloud, Filters=[{"Name": f"tag:{KEY}", "Values": [key]}])
    if alive := [image for image in by_key if image["State"] not in _LOST | {"disabled"}]:
        return min(alive, key=lambda image: (image["CreationDate"], image["ImageId"]))["ImageId"]
    for image in _describe(cloud, Filters=[{"Name": "name", "Values": [wanted.name]}]):
        if as_dict(image.get("Tags", [])).get(KEY) != key or image["State"] == "disabled":
            raise _taken(wanted.name, image)
        return image["ImageId"]
    return None


def _taken(name: str, image: "ImageTypeDef") -> KnitterError:
    tags = as_dict(image.get("Tags", []))
    whose = f"made by knitter from another build (knitter:key {tags[KEY][:8]})" if KEY in tags else "not knitter's"
    return KnitterError(
        f"the AMI name {name} is taken by {image['ImageId']}",
        details=f"{image['ImageId']}: {image['State']}, created {image['CreationDate']}, {whose}",
        hint="put {key} into ami.name of the recipe, or deregister the other AMI if nobody needs it",
    )


def _register(cloud: Cloud, wanted: Wanted) -> str:
    doing = f"registering {wanted.name}"
    say(doing)
    try:
        with explained(doing):
            return cloud.ec2.register_image(**plan_registration(wanted))["ImageId"]
    except CloudError as error:
        # A run killed just now, or a retried request, may have registered it before Describe could show it.
        if error.code == _DUPLICATE:
            return wait_for(f"finding who has the name {wanted.name}", lambda: _find(cloud, wanted), limit=SETTLING)
        raise RefusedImageError(error, refused_field(error.code, error.details)) from error


def _wait_available(cloud: Cloud, image: str) -> "ImageTypeDef":
    def look() -> "ImageTypeDef | None":
        found = next(iter(_describe(cloud, ImageIds=[image])), None)
        if found is not None and found["State"] in _LOST:
            reason = found.get("StateReason", {}).get("Message", "")
            raise CloudError(f"AMI {image} is {found['State']}", details=reason, hint="deregister it and run again")
        return found if found is not None and found["State"] == "available" else None

    say(f"waiting for {image}")
    return wait_for(f"AMI {image}", look, limit=AVAILABLE, hint="it may still come: run the same command again")


def _describe(cloud: Cloud, **which: Any) -> "list[ImageTypeDef]":
    """AMIs of this account, disabled and deprecated ones too; one just registered may be unknown for a while."""
    try:
        with explained("looking at AMIs"):
            answer = cloud.ec2.describe_images(Owners=["self"], IncludeDeprecated=True, IncludeDisabled=True, **which)
            return answer["Images"]
    except CloudError as error:
        if error.code == "InvalidAMIID.NotFound":
            return []
        raise
