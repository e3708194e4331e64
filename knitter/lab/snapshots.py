"""EC2's actions on snapshots, each a function of a call.  Rules: EC2 API reference, the action of the same name."""

from collections.abc import Callable, Mapping
from typing import Any

from knitter.lab.calls import Answer, Call, shown_time, tag_set
from knitter.lab.errors import ApiError
from knitter.lab.records import Snapshot


def describe_snapshots(call: Call) -> Answer:
    """Snapshots by id, owner and filters."""
    call.stop_if_dry()
    names = dict.fromkeys(call.get("SnapshotIds", []))
    found = [call.snapshot(name) for name in names or call.snapshots]
    owners = {call.account if owner == "self" else owner for owner in call.get("OwnerIds", [])}
    found = [snapshot for snapshot in found if not owners or snapshot.account in owners]
    return call.page("Snapshots", [described(one) for one in call.select(found, _FILTERS)], least=5)


def described(snapshot: Snapshot) -> Answer:
    """*snapshot* in the form of DescribeSnapshots."""
    answer = {
        "SnapshotId": snapshot.id,
        "VolumeId": snapshot.volume_id,
        "VolumeSize": snapshot.volume_size,
        "State": snapshot.state,
        "Progress": _progress(snapshot),
        "StartTime": snapshot.started,
        "OwnerId": snapshot.account,
        "Description": snapshot.description,
        "Encrypted": snapshot.encrypted,
        "KmsKeyId": snapshot.kms_key_id,
        "StorageTier": "standard",
        "FullSnapshotSizeInBytes": snapshot.written if snapshot.state == "completed" else None,
        "Tags": tag_set(snapshot.tags) or None,
    }
    return {name: value for name, value in answer.items() if value is not None}


def _progress(snapshot: Snapshot) -> str:
    """AWS tells no more of a direct snapshot before it is complete."""
    pending = "99%" if snapshot.completed else f"{snapshot.copied}%"
    return {"completed": "100%", "error": "0%"}.get(snapshot.state, pending)


_FILTERS: Mapping[str, Callable[[Snapshot], Any]] = {
    "description": lambda snapshot: snapshot.description,
    "encrypted": lambda snapshot: snapshot.encrypted,
    "owner-alias": lambda _: None,
    "owner-id": lambda snapshot: snapshot.account,
    "progress": _progress,
    "snapshot-id": lambda snapshot: snapshot.id,
    "start-time": lambda snapshot: shown_time(snapshot.started),
    "status": lambda snapshot: snapshot.state,
    "storage-tier": lambda _: "standard",
    "volume-id": lambda snapshot: snapshot.volume_id,
    "volume-size": lambda snapshot: snapshot.volume_size,
}


def delete_snapshot(call: Call) -> Answer:
    """Remove a snapshot, also a pending one, but not one that an image is made of."""
    snapshot = call.snapshot(call.need("SnapshotId"))
    for image in call.images.values():
        if snapshot.id in image.snapshots:
            raise ApiError("InvalidSnapshot.InUse", f"The snapshot {snapshot.id} is currently in use by {image.id}")
    call.stop_if_dry()
    call.ledger.forget(snapshot)
    return {}
