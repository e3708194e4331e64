"""An EBS volume: created once for a token, attached, detached, deleted.

Sources: Amazon EC2 API Reference, CreateVolume, AttachVolume, DetachVolume, ModifyInstanceAttribute; Amazon EBS User
Guide, "Device names for volumes" (f to p are recommended).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from knitter.aws.explain import explained
from knitter.aws.instances import find_instance, lost
from knitter.aws.session import Cloud
from knitter.aws.tags import as_list
from knitter.aws.wait import SETTLING, wait_for, wait_known
from knitter.errors import CloudError
from knitter.progress import say
from knitter.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import VolumeTypeDef

AVAILABLE: Final = 5 * 60.0
"""Seconds from CreateVolume, or DetachVolume, to `available`, at most."""
ATTACHED: Final = 5 * 60.0
DEVICES: Final = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")
_NOT_KNOWN: Final = "InvalidVolume.NotFound"
_TAKEN: Final = {"InvalidParameterValue", "InvalidDevice.InUse", "VolumeInUse"}


@dataclass(frozen=True, slots=True)
class VolumeOrder:
    """The empty volume that is wanted."""

    size: int
    """GiB."""
    zone: str
    type: str
    iops: int
    """0: the type's default."""
    throughput: int
    """MiB/s; 0: the type's default."""
    encrypted: bool
    kms_key: str
    """"": the account's default key."""
    token: str
    """Makes a repeated request create nothing twice."""
    tags: dict[str, str]


def plan_order(settings: Settings, size: int, zone: str, *, token: str, tags: dict[str, str]) -> VolumeOrder:
    """A volume of *size* GiB in *zone*, as *settings* want those that surrogates write."""
    return VolumeOrder(
        size=size,
        zone=zone,
        type=settings.volume_type,
        iops=settings.volume_iops,
        throughput=settings.volume_throughput,
        encrypted=settings.encrypted,
        kms_key=settings.kms_key,
        token=token,
        tags=tags,
    )


def create_volume(cloud: Cloud, order: VolumeOrder, *, made: Callable[[str], None] = lambda _: None) -> str:
    """Id of the volume, `available`; *made* is told of it as soon as it is there.  Raises CloudError."""
    say(f"creating a volume of {order.size} GiB in {order.zone}")
    with explained(f"creating a volume in {order.zone}"):
        volume = cloud.ec2.create_volume(**plan_request(order))["VolumeId"]
    made(volume)
    wait_available(cloud, volume, created=True)
    return volume


def plan_request(order: VolumeOrder) -> dict[str, Any]:
    """The parameters of CreateVolume."""
    plan = {
        "ClientToken": order.token,
        "AvailabilityZone": order.zone,
        "Size": order.size,
        "VolumeType": order.type,
        "Iops": order.iops or None,
        "Throughput": order.throughput or None,
        "Encrypted": order.encrypted or None,
        "KmsKeyId": order.kms_key or None,
        "TagSpecifications": [{"ResourceType": "volume", "Tags": as_list(order.tags)}],
    }
    return {name: value for name, value in plan.items() if value is not None}


def find_volume(cloud: Cloud, volume: str) -> "VolumeTypeDef | None":
    """As DescribeVolumes shows it; None if AWS does not know it: not yet, or no longer.  Raises CloudError."""
    try:
        with explained(f"looking at volume {volume}"):
            found = cloud.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    except CloudError as error:
        if error.code == _NOT_KNOWN:
            return None
        raise
    return next((one for one in found if one["State"] not in {"deleting", "deleted"}), None)


def wait_available(cloud: Cloud, volume: str, *, created: bool = False) -> None:
    """Wait until *volume* is `available`.  *created*: just now, so it may not be known yet.  Raises CloudError."""

    def look() -> bool | None:
        found = find_volume(cloud, volume)
        if found is None and not created:
            raise CloudError(f"volume {volume} is gone", code=_NOT_KNOWN, hint="run again: a new one is made")
        if found and found["State"] == "error":
            raise CloudError(
                f"volume {volume} could not be created",
                code="VolumeError",
                details="AWS gives no reason; a KMS key that does not exist, or that EBS may not use, ends so",
                hint="check kms_key in .doit.cfg, and the key's policy",
            )
        return True if found and found["State"] == "available" else None

    wait_for(f"volume {volume}", look, limit=AVAILABLE, hint="see the volume's state in the EC2 console")


def attach(cloud: Cloud, volume: str, instance: str) -> str:
    """Attach *volume*, to go when the instance ends.  The device name that was given it.  Raises CloudError."""
    device = _attach(cloud, volume, instance)
    wait_for(f"volume {volume} on {instance}", lambda: _attached(cloud, volume, instance), limit=ATTACHED)
    mapping: Any = {"DeviceName": device, "Ebs": {"VolumeId": volume, "DeleteOnTermination": True}}
    wait_known(
        f"marking {volume} to go with {instance}",
        lambda: cloud.ec2.modify_instance_attribute(InstanceId=instance, BlockDeviceMappings=[mapping]),
        codes={"InvalidInstanceAttributeValue"},
        limit=SETTLING / 2,
    )
    return device


def _attach(cloud: Cloud, volume: str, instance: str) -> str:
    """Ask for it; a request repeated after a lost answer finds it done."""
    taken = set[str]()
    while True:
        device = _free_device(cloud, instance, taken)
        try:
            _ask_to_attach(cloud, volume, instance, device)
        except CloudError as error:
            if error.code not in _TAKEN:
                raise
            if already := _device_on(cloud, volume, instance):
                return already
            if error.code == "VolumeInUse" or "use" not in error.details.lower():
                raise
            taken.add(device)
            continue
        return device


def _ask_to_attach(cloud: Cloud, volume: str, instance: str, device: str) -> None:
    wait_known(
        f"attaching {volume} to {instance}",
        lambda: cloud.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device),
        codes={_NOT_KNOWN, "InvalidInstanceID.NotFound", "IncorrectState"},
        limit=SETTLING / 2,
    )


def _free_device(cloud: Cloud, instance: str, taken: set[str]) -> str:
    found = find_instance(cloud, instance)
    if found is None or found["State"]["Name"] != "running":
        raise lost(instance, found)
    used = {mapping["DeviceName"] for mapping in found["BlockDeviceMappings"]} | taken
    free = [device for device in DEVICES if device not in used]
    if not free:
        raise CloudError(f"instance {instance} has no place for another volume", code="AttachmentLimitExceeded")
    return free[0]


def _device_on(cloud: Cloud, volume: str, instance: str) -> str:
    found = find_volume(cloud, volume)
    places = found["Attachments"] if found else []
    return next((one["Device"] for one in places if one["InstanceId"] == instance), "")


def _attached(cloud: Cloud, volume: str, instance: str) -> bool | None:
    found = find_volume(cloud, volume)
    places = found["Attachments"] if found else []
    state = next((one["State"] for one in places if one["InstanceId"] == instance), "")
    if state != "attached" and ((host := find_instance(cloud, instance)) is None or host["State"]["Name"] != "running"):
        raise lost(instance, host)
    return True if state == "attached" else None


def detach(cloud: Cloud, volume: str) -> None:
    """Detach *volume* and wait until it is `available`; one that is, is fine.  Raises CloudError."""
    try:
        with explained(f"detaching {volume}"):
            cloud.ec2.detach_volume(VolumeId=volume)
    except CloudError as error:
        if error.code not in {"IncorrectState", "InvalidAttachment.NotFound"}:
            raise
    wait_available(cloud, volume)


def delete(cloud: Cloud, volume: str) -> None:
    """Remove *volume*; one that is gone is fine.  Raises CloudError."""
    try:
        wait_known(
            f"deleting {volume}",
            lambda: cloud.ec2.delete_volume(VolumeId=volume),
            codes={"VolumeInUse"},
            limit=SETTLING / 2,
        )
    except CloudError as error:
        if error.code != _NOT_KNOWN:
            raise
