"""What RegisterImage takes and refuses.

Rules: EC2 API reference, RegisterImage, BlockDeviceMapping and EbsBlockDevice; EC2 user guide, "Boot modes" and
"NitroTPM".  Where AWS documents a rule but not its error code, the code here is the nearest that AWS lists.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from knitter.lab.calls import Answer, Call
from knitter.lab.errors import ApiError

_NAME: Final = re.compile(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}")
DEVICE: Final = re.compile(r"/dev/(sd[a-z]\d{0,2}|xvd[a-z]{1,2}\d{0,2})")
_VIRTUAL: Final = re.compile(r"ephemeral(1?\d|2[0-3])")
_CHOICES: Final = {
    "Architecture": ("i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac"),
    "VirtualizationType": ("hvm", "paravirtual"),
    "BootMode": ("legacy-bios", "uefi", "uefi-preferred"),
    "TpmSupport": ("v2.0",),
    "ImdsSupport": ("v2.0",),
    "SriovNetSupport": ("simple",),
}
_SIZES: Final = {
    "gp2": (1, 16384), "gp3": (1, 65536), "io1": (4, 16384), "io2": (4, 65536),
    "st1": (125, 16384), "sc1": (125, 16384), "standard": (1, 1024),
}  # fmt: skip
_IOPS: Final = {"gp3": (3000, 80000), "io1": (100, 64000), "io2": (100, 256000)}
_THROUGHPUT: Final = (125, 2000)


def plan_image(call: Call) -> Answer:
    """What never changes of the image that is asked for, in the form of DescribeImages.  Raises ApiError."""
    check_name(call, call.need("Name"))
    check_description(call.get("Description", ""))
    for name, allowed in _CHOICES.items():
        check_choice(name, call.get(name), allowed)
    _check_boot(call)
    mappings = _mappings(call)
    virtualization = call.get("VirtualizationType", "paravirtual")
    return {
        "Name": call.get("Name"),
        "ImageLocation": f"{call.account}/{call.get('Name')}",
        "ImageType": "machine",
        "Architecture": call.get("Architecture", "i386"),
        "VirtualizationType": virtualization,
        "Hypervisor": "xen",
        "RootDeviceName": call.get("RootDeviceName"),
        "RootDeviceType": "ebs",
        "BlockDeviceMappings": mappings,
        "BootMode": call.get("BootMode"),
        "TpmSupport": call.get("TpmSupport"),
        "EnaSupport": call.get("EnaSupport", default=False),
        "SriovNetSupport": call.get("SriovNetSupport"),
        "KernelId": call.get("KernelId"),
        "RamdiskId": call.get("RamdiskId"),
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
    }


def check_name(call: Call, name: str) -> None:
    """3 to 128 allowed characters, and not the name of another image of the account in the region."""
    if not _NAME.fullmatch(name):
        raise ApiError(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '[', "
            "']', ' ', '.', '/', '-', ''', '@' and '_'",
        )
    for image in call.images.values():
        if image.name == name:
            raise ApiError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")


def check_description(text: str) -> None:
    """At most 255 characters."""
    if len(text) > 255:
        raise ApiError("InvalidParameterValue", "The description is longer than 255 characters")


def check_choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """None, or one of *allowed*."""
    if value is not None and value not in allowed:
        raise ApiError(
            "InvalidParameterValue",
            f"Value ({value}) for parameter {name} is invalid. Valid values: {', '.join(allowed)}",
        )


def _check_boot(call: Call) -> None:
    """arm64 boots by UEFI only; NitroTPM and UEFI variables need UEFI; each of these needs hvm."""
    mode = call.get("BootMode")
    if call.get("Architecture") == "arm64" and mode not in (None, "uefi"):
        raise _contradiction(f"Architecture arm64 does not boot in mode {mode}")
    for name in ("TpmSupport", "UefiData"):
        if call.get(name) and mode not in ("uefi", "uefi-preferred"):
            raise _contradiction(f"{name} needs BootMode uefi")
    if len(str(call.get("UefiData", ""))) > 64000:
        raise ApiError("InvalidParameterValue", "UefiData is longer than 64000 characters")
    if call.get("VirtualizationType", "paravirtual") != "hvm":
        for name in ("BootMode", "TpmSupport", "EnaSupport", "SriovNetSupport"):
            if call.get(name):
                raise _contradiction(f"{name} needs VirtualizationType hvm")


def _mappings(call: Call) -> list[Answer]:
    asked = call.get("BlockDeviceMappings", [])
    if not asked:
        raise ApiError("MissingParameter", "The request must contain the parameter imageLocation or blockDeviceMapping")
    root = call.need("RootDeviceName")
    names = [one.get("DeviceName", "") for one in asked]
    for name in names:
        if names.count(name) > 1:
            raise _bad_mapping(f"The device '{name}' is used in more than one block-device mapping")
        if not DEVICE.fullmatch(name) and "NoDevice" not in asked[names.index(name)]:
            raise _bad_mapping(f"Invalid device name '{name}'")
    if root not in names:
        raise _bad_mapping(f"The root device '{root}' is not in the block device mapping")
    _check_virtual([one["VirtualName"] for one in asked if one.get("VirtualName") is not None])
    if not asked[names.index(root)].get("Ebs", {}).get("SnapshotId"):
        raise _bad_mapping(f"The mapping of the root device '{root}' has no snapshot")
    return [_mapping(call, one, is_root=one["DeviceName"] == root) for one in asked]


def _check_virtual(names: Sequence[str]) -> None:
    """Devices of the instance store: ephemeral0 to ephemeral23, each once."""
    for name in names:
        if not _VIRTUAL.fullmatch(name):
            raise _bad_mapping(f"Invalid virtual name '{name}'")
        if names.count(name) > 1:
            raise _bad_mapping(f"The virtual name '{name}' is used in more than one block-device mapping")


def _mapping(call: Call, asked: Mapping[str, Any], *, is_root: bool) -> Answer:
    if "Ebs" not in asked:
        return dict(asked)  # VirtualName (instance store) or NoDevice
    ebs: dict[str, Any] = {name: value for name, value in asked["Ebs"].items() if value is not None}
    if "KmsKeyId" in ebs:
        raise _bad_mapping("KmsKeyId is taken by RunInstances only")
    least = 1
    if "SnapshotId" in ebs:
        snapshot = _snapshot(call, ebs)
        least, ebs["Encrypted"] = snapshot.volume_size, snapshot.encrypted
    elif "VolumeSize" not in ebs:
        raise ApiError("MissingParameter", "The request must contain the parameter size/snapshot")
    size = ebs.setdefault("VolumeSize", least)
    if size < least:
        raise _bad_mapping(
            f"Volume of size {size}GB is smaller than snapshot '{ebs['SnapshotId']}', expect size >= {least}GB"
        )
    check_volume(ebs, is_root=is_root)
    defaults = {"DeleteOnTermination": True, "VolumeType": "gp2", "Encrypted": False}
    return {"DeviceName": asked["DeviceName"], "Ebs": defaults | ebs}


def _snapshot(call: Call, ebs: Mapping[str, Any]) -> Any:
    if "Encrypted" in ebs:
        raise _bad_mapping("Encrypted cannot be given together with SnapshotId: the snapshot decides")
    snapshot = call.snapshot(ebs["SnapshotId"])
    if snapshot.state != "completed":
        raise ApiError("IncorrectState", f"The snapshot '{snapshot.id}' is {snapshot.state}, not completed")
    return snapshot


def check_volume(ebs: Mapping[str, Any], *, is_root: bool) -> None:
    """The limits of each volume type."""
    kind, size = ebs.get("VolumeType", "gp2"), ebs["VolumeSize"]
    check_choice("volumeType", kind, tuple(_SIZES))
    low, high = _SIZES[kind]
    if not low <= size <= high:
        raise _bad_mapping(f"Volume size {size} is not between {low} and {high} GiB, the sizes of {kind}")
    if is_root and kind in ("st1", "sc1"):
        raise _bad_mapping(f"{kind} volumes cannot be boot volumes")
    _check_range("iops", ebs.get("Iops"), kind, _IOPS.get(kind))
    _check_range("throughput", ebs.get("Throughput"), kind, _THROUGHPUT if kind == "gp3" else None)
    if kind in ("io1", "io2") and "Iops" not in ebs:
        raise ApiError("MissingParameter", f"The request must contain the parameter iops for {kind} volumes")


def _check_range(name: str, value: int | None, kind: str, allowed: tuple[int, int] | None) -> None:
    if value is None:
        return
    if allowed is None:
        raise ApiError("InvalidParameterCombination", f"The parameter {name} is not supported for {kind} volumes.")
    if not allowed[0] <= value <= allowed[1]:
        raise ApiError(
            "InvalidParameterValue", f"{name} is {value}, not between {allowed[0]} and {allowed[1]} for {kind}"
        )


def _bad_mapping(message: str) -> ApiError:
    return ApiError("InvalidBlockDeviceMapping", message)


def _contradiction(message: str) -> ApiError:
    return ApiError("InvalidParameterCombination", message)
