"""EC2's actions on images, each a function of a call.  Rules: EC2 API reference, the action of the same name."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from knitter.lab import register
from knitter.lab.calls import Answer, Call, shown_time, tag_set
from knitter.lab.errors import ApiError
from knitter.lab.records import Image, new_id, now

COOLDOWN: Final = 86400.0
"""Seconds that deregistration protection may outlive its end."""


def register_image(call: Call) -> Answer:
    """Make an image of snapshots."""
    fields = register.plan_image(call)
    tags = call.tags("image")
    call.stop_if_dry()
    image = Image(
        id=new_id("ami"),
        account=call.account,
        region=call.region,
        created=now().replace(microsecond=0),
        fields=fields,
        description=call.get("Description", ""),
        imds_support=call.get("ImdsSupport"),
        uefi_data=call.get("UefiData"),
        tags=tags,
    )
    call.ledger.keep(image)
    return {"ImageId": image.id}


def describe_images(call: Call) -> Answer:
    """Images by id, owner and filters; disabled ones only if asked for."""
    call.stop_if_dry()
    found = _by_id(call) if call.get("ImageIds") else list(call.images.values())
    if not call.get("IncludeDisabled", default=False):
        found = [image for image in found if not image.disabled]
    owners = {call.account if owner == "self" else owner for owner in call.get("Owners", [])}
    found = [image for image in found if not owners or image.account in owners]
    users = {call.account if user == "self" else user for user in call.get("ExecutableUsers", [])}
    found = [image for image in found if not users or _executable(image, users)]
    return call.page("Images", [_described(image) for image in call.select(found, _FILTERS)], least=1)


def _by_id(call: Call) -> list[Image]:
    """Each must exist; one deregistered a while ago is left out without an error."""
    names = dict.fromkeys(call.get("ImageIds"))
    return [call.image(name) for name in names if name not in call.ledger.deregistered]


def _executable(image: Image, users: set[str]) -> bool:
    granted = {user for permission in image.launch_permissions for user in permission.values()}
    return bool(granted & users)


def _described(image: Image) -> Answer:
    answer = image.fields | {
        "ImageId": image.id,
        "OwnerId": image.account,
        "State": image.state,
        "Public": image.public,
        "CreationDate": image.created,
        "Description": image.description or None,
        "ImdsSupport": image.imds_support,
        "DeprecationTime": image.deprecation,
        "DeregistrationProtection": image.protection,
        "Tags": tag_set(image.tags) or None,
    }
    return {name: value for name, value in answer.items() if value is not None}


def _field(name: str) -> Callable[[Image], Any]:
    return lambda image: image.fields.get(name)


def _ebs(name: str) -> Callable[[Image], Any]:
    return lambda image: [one["Ebs"][name] for one in image.fields["BlockDeviceMappings"] if name in one.get("Ebs", {})]


_FILTERS: Mapping[str, Callable[[Image], Any]] = {
    "architecture": _field("Architecture"),
    "block-device-mapping.delete-on-termination": _ebs("DeleteOnTermination"),
    "block-device-mapping.device-name": lambda image: [
        one["DeviceName"] for one in image.fields["BlockDeviceMappings"]
    ],
    "block-device-mapping.encrypted": _ebs("Encrypted"),
    "block-device-mapping.snapshot-id": _ebs("SnapshotId"),
    "block-device-mapping.volume-size": _ebs("VolumeSize"),
    "block-device-mapping.volume-type": _ebs("VolumeType"),
    "boot-mode": _field("BootMode"),
    "creation-date": lambda image: shown_time(image.created),
    "description": lambda image: image.description,
    "ena-support": _field("EnaSupport"),
    "hypervisor": _field("Hypervisor"),
    "image-id": lambda image: image.id,
    "image-type": _field("ImageType"),
    "is-public": lambda image: image.public,
    "kernel-id": _field("KernelId"),
    "manifest-location": _field("ImageLocation"),
    "name": lambda image: image.name,
    "owner-alias": lambda _: None,
    "owner-id": lambda image: image.account,
    "platform": lambda _: None,
    "product-code": lambda _: None,
    "product-code.type": lambda _: None,
    "ramdisk-id": _field("RamdiskId"),
    "root-device-name": _field("RootDeviceName"),
    "root-device-type": _field("RootDeviceType"),
    "source-image-id": _field("SourceImageId"),
    "source-image-region": _field("SourceImageRegion"),
    "sriov-net-support": _field("SriovNetSupport"),
    "state": lambda image: image.state,
    "virtualization-type": _field("VirtualizationType"),
}


def deregister_image(call: Call) -> Answer:
    """Remove an image, and its snapshots if asked; a snapshot of another image too is left."""
    image = call.image()
    if image.protection != "disabled" or time.time() < image.unprotected_after:
        raise ApiError("OperationNotPermitted", f"{image.id} is protected from deregistration")
    call.stop_if_dry()
    call.ledger.forget(image)
    if not call.get("DeleteAssociatedSnapshots", default=False):
        return {"Return": True}
    return {"Return": True, "DeleteSnapshotResults": [_deleted(call, name) for name in image.snapshots]}


def _deleted(call: Call, name: str) -> Answer:
    if any(name in image.snapshots for image in call.images.values()):
        return {"SnapshotId": name, "ReturnCode": "skipped"}
    if snapshot := call.snapshots.get(name):
        call.ledger.forget(snapshot)
    return {"SnapshotId": name, "ReturnCode": "success"}


def disable_image(call: Call) -> Answer:
    """An image that cannot be launched, and that nobody shares any more."""
    return _changed(call, disabled=True, launch_permissions=[])


def enable_image(call: Call) -> Answer:
    """Make a disabled image available; it stays private."""
    return _changed(call, disabled=False)


def enable_image_deprecation(call: Call) -> Answer:
    """Deprecate from a moment on: not in the past, at most 10 years away, 2 from creation for a public image."""
    image, moment = call.image(), _moment(call.get("DeprecateAt"))
    latest = image.created + timedelta(days=730) if image.public else now() + timedelta(days=3652)
    if not now() <= moment <= latest:
        raise ApiError("InvalidParameterValue", f"DeprecateAt is not between now and {shown_time(latest)}")
    return _changed(call, deprecation=shown_time(moment))


def _moment(value: Any) -> datetime:
    """A timestamp, rounded to the minute as AWS does."""
    if value is None:
        raise ApiError("MissingParameter", "The request must contain the parameter DeprecateAt")
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise ApiError("InvalidParameterValue", f"{value} is not a time") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment + timedelta(seconds=30)).replace(second=0, microsecond=0)


def disable_image_deprecation(call: Call) -> Answer:
    """Take the deprecation back."""
    return _changed(call, deprecation=None)


def enable_image_deregistration_protection(call: Call) -> Answer:
    """Refuse DeregisterImage until disabled, and a day longer if a cool-down is asked for."""
    cooldown = call.get("WithCooldown", default=False)
    _changed(call, protection="enabled-with-cooldown" if cooldown else "enabled", unprotected_after=0.0)
    return {"Return": "true"}


def disable_image_deregistration_protection(call: Call) -> Answer:
    """Allow DeregisterImage again."""
    cooling = call.image().protection == "enabled-with-cooldown"
    _changed(call, protection="disabled", unprotected_after=time.time() + COOLDOWN if cooling else 0.0)
    return {"Return": "true"}


def get_image_block_public_access_state(call: Call) -> Answer:
    """New accounts block public sharing; the lab's is one."""
    blocked = not call.ledger.public_sharing[call.account, call.region]
    return {"ImageBlockPublicAccessState": "block-new-sharing" if blocked else "unblocked", "ManagedBy": "account"}


def enable_image_block_public_access(call: Call) -> Answer:
    """Refuse to share images with everyone from now on; those shared stay so.  At once, where AWS takes minutes."""
    register.check_choice(
        "ImageBlockPublicAccessState", call.need("ImageBlockPublicAccessState"), ("block-new-sharing",)
    )
    call.stop_if_dry()
    call.ledger.allow_public_sharing((call.account, call.region), allowed=False)
    return {"ImageBlockPublicAccessState": "block-new-sharing"}


def disable_image_block_public_access(call: Call) -> Answer:
    """Allow it."""
    call.stop_if_dry()
    call.ledger.allow_public_sharing((call.account, call.region), allowed=True)
    return {"ImageBlockPublicAccessState": "unblocked"}


def _changed(call: Call, **changes: Any) -> Answer:
    image = call.image()
    call.stop_if_dry()
    call.ledger.keep(image.model_copy(update=changes))
    return {"Return": True}
