"""EC2's actions on volumes, each a function of a call.  Rules: EC2 API reference, the action of the same name."""

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from knitter.errors import KnitterError
from knitter.lab import register
from knitter.lab.calls import Answer, Call, shown_time, tag_set
from knitter.lab.errors import ApiError
from knitter.lab.records import Attachment, Snapshot, Volume, new_id, now

CREATION: Final = 0.2
"""Seconds a volume is `creating`, and one that is deleted `deleting`: clients must really wait."""
_ID: Final = re.compile(r"vol-[0-9a-f]{8}([0-9a-f]{9})?")


def create_volume(call: Call) -> Answer:
    """An empty volume, or one of a snapshot."""
    token = call.get("ClientToken", "")
    asked = call.request()
    if made := next((one for one in call.volumes.values() if token and one.token == token), None):
        if made.request != asked:
            raise ApiError("IdempotentParameterMismatch", f"The client token {token} was used with other parameters")
        return described(made)
    zone = call.need("AvailabilityZone")
    check_zone(call, zone)
    wanted = {"VolumeSize": call.get("Size")} | {name: call.get(name) for name in _WANTED}
    try:
        volume = plan_volume(call, wanted, zone, call.tags("volume"))
    except ApiError as error:
        if error.code == "InvalidBlockDeviceMapping":  # the same limits; this action has no mapping
            raise ApiError("InvalidParameterValue", error.message) from None
        raise
    volume.token, volume.request = token, asked
    call.stop_if_dry()
    call.ledger.add_volume(volume)
    threading.Timer(CREATION, _create, (call, volume)).start()
    return described(volume)


_WANTED: Final = ("VolumeType", "SnapshotId", "Iops", "Throughput", "Encrypted", "KmsKeyId")


def _create(call: Call, volume: Volume) -> None:
    try:
        call.rack.fill(volume)
    except (KnitterError, OSError):  # no room, most likely: AWS lets such a volume vanish
        with call.ledger.guard:
            call.ledger.forget(volume)


def check_zone(call: Call, zone: str) -> None:
    """The zone is one of the region's.  Raises ApiError."""
    if zone not in {one.name for one in call.backend.describe_availability_zones()}:
        raise ApiError("InvalidParameterValue", f"Value ({zone}) for parameter availabilityZone is invalid.")


def plan_volume(
    call: Call, asked: Mapping[str, Any], zone: str, tags: Mapping[str, str], *, is_root: bool = False
) -> Volume:
    """The volume that an EbsBlockDevice asks for, `creating`.  Raises ApiError."""
    ebs: dict[str, Any] = {name: value for name, value in asked.items() if value not in (None, "")}
    snapshot = _snapshot(call, ebs)
    if "VolumeSize" not in ebs:
        if snapshot is None:
            raise ApiError("MissingParameter", "The request must contain the parameter size/snapshot")
        ebs["VolumeSize"] = snapshot.volume_size
    register.check_volume(ebs, is_root=is_root)
    encrypted = bool(ebs.get("Encrypted")) or bool(snapshot and snapshot.encrypted)
    if "KmsKeyId" in ebs and not encrypted:
        raise ApiError(
            "InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set."
        )
    kind = ebs.get("VolumeType", "gp2")
    return Volume(
        id=new_id("vol"),
        account=call.account,
        region=call.region,
        zone=zone,
        size=ebs["VolumeSize"],
        type=kind,
        iops=ebs.get("Iops", 3000 if kind == "gp3" else None),
        throughput=ebs.get("Throughput", 125 if kind == "gp3" else None),
        encrypted=encrypted,
        kms_key_id=_key(call, ebs, snapshot) if encrypted else None,
        snapshot_id=snapshot.id if snapshot else "",
        created=now(),
        tags=dict(tags),
    )


def _snapshot(call: Call, ebs: Mapping[str, Any]) -> Snapshot | None:
    if "SnapshotId" not in ebs:
        return None
    snapshot = call.snapshot(ebs["SnapshotId"])
    if snapshot.state != "completed":
        raise ApiError("IncorrectState", f"Snapshot is in invalid state - {snapshot.state}")
    if ebs.get("VolumeSize", snapshot.volume_size) < snapshot.volume_size:
        raise ApiError(
            "InvalidBlockDeviceMapping",
            f"Volume of size {ebs['VolumeSize']}GB is smaller than snapshot '{snapshot.id}', "
            f"expect size >= {snapshot.volume_size}GB",
        )
    return snapshot


def _key(call: Call, ebs: Mapping[str, Any], snapshot: Snapshot | None) -> str:
    """The key that is named, the snapshot's, or the account's own for EBS."""
    inherited = snapshot.kms_key_id if snapshot else None
    return str(ebs.get("KmsKeyId") or inherited or f"arn:aws:kms:{call.region}:{call.account}:alias/aws/ebs")


def find_volume(call: Call, name: str) -> Volume:
    """The volume *name*.  Raises ApiError."""
    if not _ID.fullmatch(name):
        message = f"Value ({name}) for parameter volumeId is invalid. Expected: 'vol-...'."
        raise ApiError("InvalidParameterValue", message)
    if name not in call.volumes:
        raise ApiError("InvalidVolume.NotFound", f"The volume '{name}' does not exist.")
    return call.volumes[name]


def describe_volumes(call: Call) -> Answer:
    """Volumes by id and filters."""
    call.stop_if_dry()
    names = dict.fromkeys(call.get("VolumeIds", []))
    found = [find_volume(call, name) for name in names or list(call.volumes)]
    return call.page("Volumes", [described(one) for one in call.select(found, _FILTERS)], least=5)


def described(volume: Volume) -> Answer:
    """*volume* in the form of DescribeVolumes."""
    answer = {
        "VolumeId": volume.id,
        "AvailabilityZone": volume.zone,
        "Size": volume.size,
        "State": volume.state,
        "VolumeType": volume.type,
        "Iops": volume.iops,
        "Throughput": volume.throughput,
        "Encrypted": volume.encrypted,
        "KmsKeyId": volume.kms_key_id,
        "SnapshotId": volume.snapshot_id,
        "CreateTime": volume.created,
        "MultiAttachEnabled": False,
        "Attachments": [attached(volume, volume.attachment)] if volume.attachment else [],
        "Tags": tag_set(volume.tags) or None,
    }
    return {name: value for name, value in answer.items() if value is not None}


def attached(volume: Volume, attachment: Attachment) -> Answer:
    """One attachment."""
    return {
        "VolumeId": volume.id,
        "InstanceId": attachment.instance,
        "Device": attachment.device,
        "State": attachment.state,
        "AttachTime": attachment.since,
        "DeleteOnTermination": attachment.delete,
    }


def _of_attachment(read: Callable[[Attachment], Any]) -> Callable[[Volume], Any]:
    return lambda volume: read(volume.attachment) if volume.attachment else None


_FILTERS: Mapping[str, Callable[[Volume], Any]] = {
    "attachment.attach-time": _of_attachment(lambda one: shown_time(one.since)),
    "attachment.delete-on-termination": _of_attachment(lambda one: one.delete),
    "attachment.device": _of_attachment(lambda one: one.device),
    "attachment.instance-id": _of_attachment(lambda one: one.instance),
    "attachment.status": _of_attachment(lambda one: one.state),
    "availability-zone": lambda volume: volume.zone,
    "create-time": lambda volume: shown_time(volume.created),
    "encrypted": lambda volume: volume.encrypted,
    "size": lambda volume: volume.size,
    "snapshot-id": lambda volume: volume.snapshot_id,
    "status": lambda volume: volume.state,
    "volume-id": lambda volume: volume.id,
    "volume-type": lambda volume: volume.type,
}


def delete_volume(call: Call) -> Answer:
    """Remove a volume that is plugged in nowhere."""
    volume = find_volume(call, call.need("VolumeId"))
    if volume.attachment:
        message = f"Volume {volume.id} is currently attached to {volume.attachment.instance}"
        raise ApiError("VolumeInUse", message)
    if volume.phase == "creating":
        raise ApiError("IncorrectState", f"The volume '{volume.id}' is 'creating'")
    call.stop_if_dry()
    if volume.phase == "there":
        volume.phase = "deleting"
        call.ledger.keep(volume)
        threading.Timer(CREATION, _delete, (call, volume)).start()
    return {}


def _delete(call: Call, volume: Volume) -> None:
    call.ledger.storage.wait_free(volume.id)
    with call.ledger.guard:
        call.ledger.forget(volume)
