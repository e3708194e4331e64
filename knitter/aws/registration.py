"""What is said to RegisterImage, what must come back, and which parameter a refusal is about.  Pure.

Sources: Amazon EC2 API Reference, RegisterImage, Image; "Error codes for the Amazon EC2 API".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from knitter.aws.tags import as_dict, as_list, run_tag


@dataclass(frozen=True, slots=True)
class Wanted:
    """The AMI that is wanted; every field is sent, and compared with what came back."""

    name: str
    description: str
    architecture: str
    """`x86_64` or `arm64`."""
    boot_mode: str
    """`legacy-bios`, `uefi` or `uefi-preferred`."""
    root_device: str
    """Such as `/dev/xvda`."""
    snapshot: str
    size: int
    """GiB of the root volume."""
    volume_type: str
    iops: int | None
    delete_on_termination: bool
    ephemeral: tuple[str, ...]
    """Devices of the instance store, the first of them for `ephemeral0`."""
    ena: bool
    """false: SR-IOV is not promised either, whose driver is as old as the image then."""
    imds: str
    """`v2.0` (tokens are required) or `v1.0`."""
    tpm: bool
    tags: dict[str, str]
    """Of the AMI; `knitter:key` is among them."""
    snapshot_tags: dict[str, str]
    """Given to the snapshot as well."""


def plan_registration(wanted: Wanted) -> dict[str, Any]:
    """The parameters of RegisterImage.  ImdsSupport knows no other value than v2.0, TpmSupport too."""
    ebs = {
        "SnapshotId": wanted.snapshot,
        "VolumeSize": wanted.size,
        "VolumeType": wanted.volume_type,
        "Iops": wanted.iops,
        "DeleteOnTermination": wanted.delete_on_termination,
    }
    plan = {
        "Name": wanted.name,
        "Description": wanted.description or None,
        "Architecture": wanted.architecture,
        "VirtualizationType": "hvm",
        "BootMode": wanted.boot_mode,
        "RootDeviceName": wanted.root_device,
        "BlockDeviceMappings": [{"DeviceName": wanted.root_device, "Ebs": _said(ebs)}, *_ephemeral(wanted)],
        "EnaSupport": wanted.ena,
        "SriovNetSupport": "simple" if wanted.ena else None,
        "ImdsSupport": "v2.0" if wanted.imds == "v2.0" else None,
        "TpmSupport": "v2.0" if wanted.tpm else None,
        "TagSpecifications": [{"ResourceType": "image", "Tags": as_list(wanted.tags | run_tag())}],
    }
    return _said(plan)


def differences(wanted: Wanted, found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(field, expected, found) of all that an Image of DescribeImages shows otherwise than *wanted*."""
    expected, shown = _expected(wanted), _shown(wanted, found)
    return [(field, value, shown[field]) for field, value in expected.items() if shown[field] != value]


def refused_field(code: str, message: str) -> str:
    """The parameter of RegisterImage that a refusal is about; "" if nothing tells."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    text = message.lower().replace(" ", "").replace("-", "")
    return next((field for words, field in _BY_WORDS if any(word in text for word in words)), "")


_BY_CODE: Final = {
    "InvalidAMIName.Duplicate": "Name",
    "InvalidAMIName.Malformed": "Name",
    "InvalidSnapshot.NotFound": "SnapshotId",
    "InvalidSnapshotID.Malformed": "SnapshotId",
    "IncorrectState": "SnapshotId",
    "InvalidTagKey.Malformed": "TagSpecifications",
    "TagLimitExceeded": "TagSpecifications",
}
_BY_WORDS: Final = (
    (("tpm",), "TpmSupport"),
    (("imds",), "ImdsSupport"),
    (("bootmode", "uefi", "legacybios"), "BootMode"),
    (("enasupport", "enhancednetworking"), "EnaSupport"),
    (("architecture",), "Architecture"),
    (("iops",), "Iops"),
    (("volumetype",), "VolumeType"),
    (("smallerthansnapshot", "volumesize", "volumeofsize", "expectsize"), "VolumeSize"),
    (("ephemeral", "virtualname"), "VirtualName"),
    (("rootdevice", "devicename", "blockdevicemapping"), "RootDeviceName"),
    (("description",), "Description"),
    (("taglimit", "tagkey", "tagvalue"), "TagSpecifications"),
)
"""In this order: a refusal of TPM speaks of the boot mode too."""


def _said(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _ephemeral(wanted: Wanted) -> list[dict[str, str]]:
    return [{"DeviceName": device, "VirtualName": f"ephemeral{n}"} for n, device in enumerate(wanted.ephemeral)]


def _virtual(mappings: Iterable[Mapping[str, Any]]) -> str:
    """The instance store's part of *mappings*: `/dev/sdb ephemeral0, /dev/sdc ephemeral1`."""
    return ", ".join(sorted(f"{one['DeviceName']} {one['VirtualName']}" for one in mappings if "VirtualName" in one))


def _expected(wanted: Wanted) -> dict[str, str]:
    fields: dict[str, Any] = {
        "Name": wanted.name,
        "Description": wanted.description,
        "Architecture": wanted.architecture,
        "VirtualizationType": "hvm",
        "RootDeviceType": "ebs",
        "RootDeviceName": wanted.root_device,
        "BootMode": wanted.boot_mode,
        "EnaSupport": wanted.ena,
        "SriovNetSupport": "simple" if wanted.ena else "",
        "ImdsSupport": "v2.0" if wanted.imds == "v2.0" else "",
        "TpmSupport": "v2.0" if wanted.tpm else "",
        "SnapshotId": wanted.snapshot,
        "VolumeSize": wanted.size,
        "VolumeType": wanted.volume_type,
        "DeleteOnTermination": wanted.delete_on_termination,
        "VirtualName": _virtual(_ephemeral(wanted)),
    }
    iops = {} if wanted.iops is None else {"Iops": wanted.iops}
    return {name: str(value) for name, value in {**fields, **iops}.items()} | {
        f"tag {key}": value for key, value in wanted.tags.items()
    }


def _shown(wanted: Wanted, found: Mapping[str, Any]) -> dict[str, str]:
    mappings = found.get("BlockDeviceMappings", [])
    devices = {device["DeviceName"]: device.get("Ebs", {}) for device in mappings}
    ebs = devices.get(wanted.root_device, {})
    tags = as_dict(found.get("Tags", []))
    merged: dict[str, Any] = {"EnaSupport": False, **found, **ebs, "VirtualName": _virtual(mappings)}
    return {name: str(merged.get(name, "")) for name in _expected(wanted)} | {
        f"tag {key}": tags.get(key, "") for key in wanted.tags
    }
