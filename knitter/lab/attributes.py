"""DescribeImageAttribute, ModifyImageAttribute, ResetImageAttribute.  Rules: EC2 API reference."""

import re
from typing import Any, Final

from knitter.lab import register
from knitter.lab.calls import Answer, Call
from knitter.lab.errors import ApiError
from knitter.lab.records import Image

_VALUES: Final = {
    "bootMode": "BootMode",
    "kernel": "KernelId",
    "ramdisk": "RamdiskId",
    "sriovNetSupport": "SriovNetSupport",
    "tpmSupport": "TpmSupport",
}
"""Attribute -> field of DescribeImages."""


def describe_image_attribute(call: Call) -> Answer:
    """One attribute."""
    image, name = call.image(), call.need("Attribute")
    call.stop_if_dry()
    answer: Answer = {"ImageId": image.id}
    match name:
        case "launchPermission":
            answer["LaunchPermissions"] = image.launch_permissions
        case "productCodes":
            answer["ProductCodes"] = []
        case "blockDeviceMapping":  # AWS answers so even to the owner: aws-cli issue 1083
            raise ApiError("AuthFailure", "Unauthorized attempt to access restricted resource")
        case _:
            member, value = _value(image, name)
            answer[member] = {"Value": value}
    return answer


def _value(image: Image, name: str) -> tuple[str, Any]:
    member = {"kernel": "KernelId", "ramdisk": "RamdiskId"}.get(name, name[:1].upper() + name[1:])
    match name:
        case "description":
            return member, image.description
        case "imdsSupport":
            return member, image.imds_support
        case "uefiData":
            return member, image.uefi_data
        case "deregistrationProtection":
            return member, image.protection
        case "lastLaunchedTime":
            return member, None
        case _ if name in _VALUES:
            return member, image.fields.get(_VALUES[name])
        case _:
            raise ApiError("InvalidRequest", f"The request received was invalid: there is no attribute {name}")


def modify_image_attribute(call: Call) -> Answer:
    """Change one attribute: the description, IMDS support (which cannot be taken back), or who may launch."""
    image = call.image()
    changes = _simple_changes(call) or {"launch_permissions": _permissions(call, image)}
    call.stop_if_dry()
    call.ledger.keep(image.model_copy(update=changes))
    return {}


def _simple_changes(call: Call) -> dict[str, Any]:
    """Given as a structure of its own, or as Attribute and Value."""
    attribute, value = call.get("Attribute"), call.get("Value")
    description = call.get("Description", {}).get("Value", value if attribute == "description" else None)
    imds = call.get("ImdsSupport", {}).get("Value", value if attribute == "imdsSupport" else None)
    if description is not None:
        register.check_description(description)
        return {"description": description}
    if imds is not None:
        if imds != "v2.0":
            raise ApiError("InvalidParameterValue", f"Value ({imds}) for parameter imdsSupport is invalid.")
        return {"imds_support": imds}
    return {}


def _permissions(call: Call, image: Image) -> list[dict[str, str]]:
    """The launch permissions after the change."""
    if image.disabled:
        raise ApiError("IncorrectState", f"{image.id} is disabled, it cannot be shared")
    change = call.get("LaunchPermission", {})
    flat = _flat(call)
    add = [*change.get("Add", []), *(flat if call.get("OperationType") == "add" else [])]
    remove = [*change.get("Remove", []), *(flat if call.get("OperationType") == "remove" else [])]
    if not add and not remove:
        raise ApiError("InvalidParameterCombination", "No attributes specified.")
    for one in (*add, *remove):
        _check_permission(one)
    if {"Group": "all"} in add and not call.ledger.public_sharing[call.account, call.region]:
        raise ApiError("OperationNotPermitted", "You can't publicly share this image: block public access is enabled")
    kept = [one for one in image.launch_permissions if one not in remove]
    return kept + [one for number, one in enumerate(add) if one not in kept and one not in add[:number]]


def _flat(call: Call) -> list[dict[str, str]]:
    lists = {
        "UserId": "UserIds",
        "Group": "UserGroups",
        "OrganizationArn": "OrganizationArns",
        "OrganizationalUnitArn": "OrganizationalUnitArns",
    }
    return [{name: value} for name, values in lists.items() for value in call.get(values, [])]


def _check_permission(permission: dict[str, str]) -> None:
    user, group = permission.get("UserId"), permission.get("Group")
    if user is not None and not re.fullmatch(r"\d{12}", user):
        raise ApiError("InvalidAMIAttributeItemValue", f'Invalid attribute item value "{user}" for userId item type.')
    if group is not None and group != "all":
        raise ApiError(
            "InvalidAMIAttributeItemValue", f'Invalid attribute item value "{group}" for userGroup item type.'
        )


def reset_image_attribute(call: Call) -> Answer:
    """Only launchPermission can be reset: the image becomes private."""
    image = call.image()
    if call.need("Attribute") != "launchPermission":
        raise ApiError("InvalidRequest", "Only launchPermission can be reset")
    call.stop_if_dry()
    call.ledger.keep(image.model_copy(update={"launch_permissions": []}))
    return {}
