"""EC2's actions that make a snapshot or an image of another thing.  Rules: EC2 API reference, action of the same name.

Encryption is recorded and shown, not done: the blocks lie as they are in files of this desk.
"""

from collections.abc import Mapping
from typing import Any

from knitter.lab import register
from knitter.lab.calls import Answer, Call, tag_set
from knitter.lab.errors import ApiError
from knitter.lab.records import Image, Snapshot, new_id, now


def copy_snapshot(call: Call) -> Answer:
    """Copy a completed snapshot from this or another region; encryption can be added, never removed."""
    source = _source(call, call.need("SourceSnapshotId"))
    tags = call.tags("snapshot")
    call.stop_if_dry()
    text = call.get("Description", f"[Copied {source.id} from {source.region}]")
    snapshot = _copy(call, source, text, tags)
    return {"SnapshotId": snapshot.id, "Tags": tag_set(tags)}


def copy_image(call: Call) -> Answer:
    """Copy an image and its snapshots into this region.  Launch permissions are not copied, tags only if asked."""
    register.check_name(call, call.need("Name"))
    register.check_description(call.get("Description", ""))
    image = call.elsewhere(call.need("SourceRegion")).image(call.need("SourceImageId"))
    tags = call.tags("image", others=("snapshot",))
    snapshot_tags = call.tags("snapshot", others=("image",))
    call.stop_if_dry()
    text = f"Copied for DestinationAmi from SourceAmi {image.id}"
    copies = {name: _copy(call, _source(call, name), text, snapshot_tags) for name in image.snapshots}
    made = Image(
        id=new_id("ami"),
        account=call.account,
        region=call.region,
        created=now().replace(microsecond=0),
        fields=_fields(call, image, copies),
        description=call.get("Description", image.description),
        imds_support=image.imds_support,
        uefi_data=image.uefi_data,
        tags=(image.tags if call.get("CopyImageTags", default=False) else {}) | tags,
    )
    call.ledger.keep(made)
    return {"ImageId": made.id}


def _source(call: Call, name: str) -> Snapshot:
    source = call.elsewhere(call.get("SourceRegion", call.region)).snapshot(name)
    if source.state != "completed":
        raise ApiError("IncorrectState", f"The snapshot '{name}' is {source.state}, not completed")
    return source


def _copy(call: Call, source: Snapshot, description: str, tags: dict[str, str]) -> Snapshot:
    snapshot = Snapshot(
        id=new_id("snap"),
        account=call.account,
        region=call.region,
        volume_size=source.volume_size,
        description=description,
        started=now(),
        tags=tags,
        encrypted=source.encrypted or call.get("Encrypted", default=False) or bool(call.get("KmsKeyId")),
        kms_key_id=call.get("KmsKeyId", source.kms_key_id),
    )
    call.ledger.add(snapshot, source=source)
    return snapshot


def _fields(call: Call, image: Image, copies: Mapping[str, Snapshot]) -> dict[str, Any]:
    mappings = []
    for mapping in image.fields["BlockDeviceMappings"]:
        ebs = mapping.get("Ebs", {})
        copied = copies.get(ebs.get("SnapshotId", ""))
        change = {"SnapshotId": copied.id, "Encrypted": copied.encrypted} if copied else {}
        mappings.append(mapping | ({"Ebs": ebs | change} if ebs else {}))
    name = call.get("Name")
    return image.fields | {
        "Name": name,
        "ImageLocation": f"{call.account}/{name}",
        "BlockDeviceMappings": mappings,
        "SourceImageId": image.id,
        "SourceImageRegion": image.region,
    }
