"""AttachVolume, DetachVolume, and what ModifyInstanceAttribute says of volumes.  Rules: EC2 API reference."""

from typing import Any, Final

from knitter.lab import register
from knitter.lab.calls import Answer, Call
from knitter.lab.errors import ApiError
from knitter.lab.machines import SLOTS
from knitter.lab.rack import Seat
from knitter.lab.records import Attachment, Volume, now
from knitter.lab.volumes import attached, find_volume

_READY: Final = ("running", "stopped")


def attach_volume(call: Call) -> Answer:
    """Plug an available volume into an instance of its zone that runs or is stopped."""
    device = call.need("Device")
    volume = find_volume(call, call.need("VolumeId"))
    instance = call.instance(call.need("InstanceId"))
    if volume.attachment:
        raise ApiError("VolumeInUse", f"{volume.id} is already attached to an instance")
    if volume.state != "available":
        raise ApiError("IncorrectState", f"Volume '{volume.id}' is not 'available'.")
    state = instance.instance_state.name
    if state not in _READY:
        raise ApiError("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if volume.zone != instance.placement.zone:
        message = f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'"
        raise ApiError("InvalidVolume.ZoneMismatch", message)
    seat = _seat(call, instance.id)
    _check_device(device, seat, call)
    call.stop_if_dry()
    volume.attachment = Attachment(instance=instance.id, device=device, state="attaching", since=now(), delete=False)
    call.ledger.keep(volume)
    call.rack.attach(seat, volume)
    return attached(volume, volume.attachment)


def _check_device(device: str, seat: Seat, call: Call) -> None:
    if not register.DEVICE.fullmatch(device):
        message = f"Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name."
        raise ApiError("InvalidParameterValue", message)
    plugged = call.rack.volumes_of(seat)
    if any(one.attachment and one.attachment.device == device for one in plugged):
        message = f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
        raise ApiError("InvalidParameterValue", message)
    if len(seat.slots) >= SLOTS:
        raise ApiError("AttachmentLimitExceeded", f"The instance has {SLOTS} volumes, the most that it can have")


def _seat(call: Call, instance: str) -> Seat:
    seat = call.rack.find(instance)
    assert seat is not None, "each instance in the books has one"
    return seat


def detach_volume(call: Call) -> Answer:
    """Unplug a volume; the root volume of a stopped instance only.  Force makes no difference."""
    volume = find_volume(call, call.need("VolumeId"))
    plugged = volume.attachment
    if plugged is None or plugged.state == "attaching":
        raise ApiError("IncorrectState", f"Volume '{volume.id}' is in the '{volume.state}' state.")
    name, device = call.get("InstanceId", plugged.instance), call.get("Device", plugged.device)
    instance = call.instance(name)
    if (name, device) != (plugged.instance, plugged.device):
        message = f"The volume '{volume.id}' is not attached to instance '{name}' as device '{device}'."
        raise ApiError("InvalidAttachment.NotFound", message)
    if device == instance.root_device_name and instance.instance_state.name != "stopped":
        raise ApiError("OperationNotPermitted", f"Unable to detach root volume '{volume.id}' from instance '{name}'")
    call.stop_if_dry()
    return attached(volume, _leave(call, volume, plugged))


def _leave(call: Call, volume: Volume, plugged: Attachment) -> Attachment:
    if plugged.state == "detaching":
        return plugged
    leaving = plugged.model_copy(update={"state": "detaching"})
    volume.attachment = leaving
    call.ledger.keep(volume)
    call.rack.detach(_seat(call, plugged.instance), volume)
    return leaving


def modify_instance_attribute(call: Call) -> Answer | None:
    """DeleteOnTermination of volumes; all other attributes are moto's."""
    mappings: list[Any] = call.get("BlockDeviceMappings", [])
    instance = call.instance(call.need("InstanceId"))
    if not mappings:
        return None
    seat = _seat(call, instance.id)
    by_device = {one.attachment.device: one for one in call.rack.volumes_of(seat) if one.attachment}
    for name in (one.get("DeviceName", "") for one in mappings):
        if name not in by_device:
            message = f"Invalid device name '{name}'"
            raise ApiError("InvalidInstanceAttributeValue", f"No device is currently mapped at {name}: {message}")
    call.stop_if_dry()
    for one in mappings:
        _mark(call, by_device[one["DeviceName"]], delete=one.get("Ebs", {}).get("DeleteOnTermination"))
    call.rack.show(seat)
    return {}


def _mark(call: Call, volume: Volume, *, delete: bool | None) -> None:
    if delete is not None and volume.attachment:
        volume.attachment = volume.attachment.model_copy(update={"delete": delete})
        call.ledger.keep(volume)
