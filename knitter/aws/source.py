"""The AMI that a surrogate starts from: by id, by SSM public parameter, or by owner and name.

Sources: Amazon EC2 API Reference, DescribeImages; AWS Systems Manager User Guide, "Calling AMI public parameters".
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from knitter.aws.explain import explained
from knitter.aws.session import Cloud
from knitter.errors import CloudError, KnitterError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef

AMAZON_LINUX: Final = "ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}"
USERS: Final = {
    # account that owns the AMI: whom its cloud-init lets in
    "136693071363": "admin",  # Debian
    "099720109477": "ubuntu",  # Canonical
    "125523088429": "fedora",  # Fedora
}
OTHERS: Final = "ec2-user"
"""Amazon Linux, RHEL, SUSE."""
_HINT: Final = "correct surrogate_image in .doit.cfg"


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An AMI that an instance can be started from."""

    id: str
    name: str
    architecture: str
    """`x86_64` or `arm64`."""
    root_device: str
    boot_mode: str
    """`legacy-bios`, `uefi`, `uefi-preferred`; "" if the AMI does not say."""
    ena: bool
    user: str
    """Whom its cloud-init lets in."""


def find_source(cloud: Cloud, text: str, architecture: str, *, user: str = "") -> SourceImage:
    """The AMI that *text* means: `ami-...`, `ssm:/parameter` or `name:OWNER/PATTERN`; "" is Amazon Linux 2023.

    user: who logs in; "": by the AMI's owner.
    Raises CloudError if there is none, KnitterError if it is of another architecture or cannot be used.
    """
    wanted = (text or AMAZON_LINUX).replace("{architecture}", architecture)
    kind, _, rest = wanted.partition(":")
    match kind:
        case "ssm":
            found = _by_id(cloud, _parameter(cloud, rest))
        case "name":
            found = _by_name(cloud, *rest.split("/", 1), architecture=architecture)
        case _:
            found = _by_id(cloud, wanted)
    _check(found, wanted, architecture)
    return SourceImage(
        id=found["ImageId"],
        name=found.get("Name", ""),
        architecture=found["Architecture"],
        root_device=found.get("RootDeviceName", ""),
        boot_mode=str(found.get("BootMode", "")),
        ena=found.get("EnaSupport", False),
        user=user or USERS.get(found.get("OwnerId", ""), OTHERS),
    )


def _parameter(cloud: Cloud, name: str) -> str:
    try:
        with explained(f"reading the SSM parameter {name}"):
            return str(cloud.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    except CloudError as error:
        if error.code != "ParameterNotFound":
            raise
        raise CloudError(f"there is no SSM parameter {name} in {cloud.region}", code=error.code, hint=_HINT) from error


def _by_id(cloud: Cloud, image: str) -> "ImageTypeDef":
    try:
        found = _describe(cloud, ImageIds=[image])
    except CloudError as error:
        if not error.code.startswith("InvalidAMIID"):
            raise
        found = []
    if not found:
        raise CloudError(
            f"there is no AMI {image} in {cloud.region}",
            code="InvalidAMIID.NotFound",
            details="it does not exist, is in another region, or is not shared with this account",
            hint=_HINT,
        )
    return found[0]


def _by_name(cloud: Cloud, owner: str, pattern: str, *, architecture: str) -> "ImageTypeDef":
    """The newest; of any owner but the one that is named, nobody knows what is in it."""
    filters = {"name": pattern, "architecture": architecture, "state": "available", "root-device-type": "ebs"}
    listed = [{"Name": name, "Values": [value]} for name, value in filters.items()]
    found = _describe(cloud, Owners=[owner], Filters=listed)
    if not found:
        raise CloudError(
            f"{owner} has no {architecture} AMI called {pattern} in {cloud.region}",
            code="InvalidAMIID.NotFound",
            hint=_HINT,
        )
    return max(found, key=lambda image: (image.get("CreationDate", ""), image["ImageId"]))


def _describe(cloud: Cloud, **which: Any) -> "list[ImageTypeDef]":
    with explained("looking for the surrogate's AMI"):
        return cloud.ec2.describe_images(**which)["Images"]


def _check(image: "ImageTypeDef", wanted: str, architecture: str) -> None:
    faults = {
        f"it is {image['Architecture']}, the surrogate must be {architecture}": image["Architecture"] != architecture,
        f"it is {image.get('State')}": image.get("State") != "available",
        "its root is no EBS volume": image.get("RootDeviceType") != "ebs",
    }
    if fault := next((text for text, is_so in faults.items() if is_so), None):
        raise KnitterError(
            f"AMI {image['ImageId']} cannot be the surrogate's", details=f"{wanted}: {fault}", hint=_HINT
        )
