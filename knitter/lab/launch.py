"""RunInstances, a function of a call.  Rules: EC2 API reference, RunInstances; EC2 user guide, "Boot modes"."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, Literal

from knitter.errors import KnitterError
from knitter.lab import enrolment, register
from knitter.lab.calls import Answer, Call
from knitter.lab.errors import ApiError
from knitter.lab.machines import SLOTS, Architecture, Spec
from knitter.lab.rack import Seat
from knitter.lab.records import Attachment, Image, Volume, now
from knitter.lab.volumes import check_zone, plan_volume
from knitter.units import GIB, MIB

MEMORY: Final = (1 * GIB, 2 * GIB)
"""Bytes a machine has at least and at most, whatever its type."""
CPUS: Final = 2
_LIMIT: Final = 16384
"""Bytes of user data."""
_KINDS: Final = ("instance", "volume", "network-interface", "spot-instances-request")


def run_instances(call: Call) -> Answer:
    """Launch instances of an image."""
    token, asked = call.get("ClientToken", ""), call.request()
    launches = call.rack.launches
    if token and (made := launches.get((call.account, call.region, token))):
        if made[0] != asked:
            message = (
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
            )
            raise ApiError("IdempotentParameterMismatch", message)
        return _answer(made[1])
    image, kind = _image(call), _type(call)
    uefi = _boots_by_uefi(image, kind)
    _check_ena(image, kind)
    wanted = _mappings(call, image)
    _check(call)
    data, zone = _user_data(call), _zone(call)
    for device, ebs in wanted.items():
        _volume(call, image, ebs, zone, device)  # all that is wrong with it is told before anything is made
    _check_machines(call, image)
    call.stop_if_dry()
    reservation = enrolment.enrol(call.backend, call.get, image.id, _count(call))
    launches[call.account, call.region, token] = asked, reservation
    for instance in reservation.instances:
        spec = _plan(call, instance, image, kind, uefi=uefi, data=data)
        _launch(call, instance, spec, image, wanted)
    return _answer(reservation)


def _answer(reservation: Any) -> Answer:
    return {"ReservationId": reservation.id, "OwnerId": reservation.owner_id, "Instances": reservation.instances}


def _image(call: Call) -> Image:
    image = call.image()
    if image.disabled:
        raise ApiError("InvalidAMIID.Unavailable", f"The image id '[{image.id}]' is disabled")
    return image


def _type(call: Call) -> Mapping[str, Any]:
    name = call.get("InstanceType", "m1.small")
    for kind in call.backend.instance_types:
        if kind["InstanceType"] == name:
            found: Mapping[str, Any] = kind
            return found
    raise ApiError("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")


def _boots_by_uefi(image: Image, kind: Mapping[str, Any]) -> bool:
    """Whether the image boots by UEFI on the type.  Raises ApiError if one cannot run the other."""
    architectures = kind["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in architectures:
        raise ApiError(
            "InvalidParameterValue",
            f"The architecture '{','.join(architectures)}' of the specified instance type does not match the "
            f"architecture '{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have "
            "matching architectures, and try again.",
        )
    modes = kind.get("SupportedBootModes", ["legacy-bios"])
    default = "uefi" if image.architecture == "arm64" else "legacy-bios"
    mode = image.fields.get("BootMode") or default
    if mode == "uefi-preferred":
        return "uefi" in modes
    if mode not in modes:
        message = f"The instance type '{kind['InstanceType']}' does not support the boot mode '{mode}' of the AMI."
        raise ApiError("InvalidParameterCombination", message)
    return bool(mode == "uefi")


def _check_ena(image: Image, kind: Mapping[str, Any]) -> None:
    """Most types need an image that says it has ENA."""
    if kind["NetworkInfo"]["EnaSupport"] == "required" and not image.fields["EnaSupport"]:
        message = (
            "Enhanced networking with the Elastic Network Adapter (ENA) is required for the "
            f"'{kind['InstanceType']}' instance type. Ensure that you are using an AMI that is enabled for ENA."
        )
        raise ApiError("InvalidParameterCombination", message)


def _check_machines(call: Call, image: Image) -> None:
    """Raises ApiError if this desk has no machine for the image: AWS has no such error, and no such lack."""
    architecture: Architecture = "arm64" if image.architecture == "arm64" else "x86_64"
    try:
        call.rack.machines.check(architecture)
    except KnitterError as error:
        text = f"knitter's lab cannot run {architecture} instances here: {error.brief} {error.hint}"
        raise ApiError("Unsupported", text) from None


def _check(call: Call) -> None:
    """What concerns neither disks nor type."""
    if call.get("LaunchTemplate"):
        raise ApiError("UnsupportedOperation", "knitter's lab launches without templates")
    register.check_choice(
        "InstanceInitiatedShutdownBehavior", call.get("InstanceInitiatedShutdownBehavior"), ("stop", "terminate")
    )
    if call.get("InstanceMarketOptions"):
        register.check_choice("MarketType", call.get("InstanceMarketOptions").get("MarketType"), ("spot",))
    for kind in _KINDS:
        call.tags(kind, others=_KINDS)
    key = call.get("KeyName")
    if key is not None and key not in call.backend.key_pairs:
        raise ApiError("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    for group in call.get("SecurityGroupIds", []):
        if call.backend.get_security_group_from_id(group) is None:
            raise ApiError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    enrolment.check_profile(call.account, call.get("IamInstanceProfile", {}))


def _user_data(call: Call) -> bytes:
    try:
        data = base64.b64decode(call.get("UserData", ""), validate=True)
    except binascii.Error:
        raise ApiError("InvalidParameterValue", "Invalid BASE64 encoding of user data.") from None
    if len(data) > _LIMIT:
        raise ApiError("InvalidParameterValue", "User data is limited to 16384 bytes")
    return data


def _count(call: Call) -> int:
    least, most = call.get("MinCount", 1), call.get("MaxCount", 1)
    if not 1 <= least <= most:
        raise ApiError("InvalidParameterValue", f"MinCount {least} and MaxCount {most}: at least 1, and not the larger")
    return int(most)


def _zone(call: Call) -> str:
    """Of the subnet, or the one asked for, or the region's first; moto checks whether the subnet exists."""
    asked = call.get("Placement", {}).get("AvailabilityZone")
    if asked:
        check_zone(call, asked)
    interfaces = call.get("NetworkInterfaces", [])
    subnet = call.get("SubnetId") or next((one["SubnetId"] for one in interfaces if "SubnetId" in one), None)
    if subnet:
        zone = str(call.backend.get_subnet(subnet).availability_zone)
        if asked not in (None, zone):
            message = f"The subnet '{subnet}' is in the availability zone {zone}, not in {asked}"
            raise ApiError("InvalidParameterValue", message)
        return zone
    return str(asked or f"{call.region}a")


def _mappings(call: Call, image: Image) -> dict[str, dict[str, Any]]:
    """Device -> EbsBlockDevice, the image's and over it what is asked for; the root's first."""
    root = image.root_device_name
    found = {one["DeviceName"]: dict(one["Ebs"]) for one in image.fields["BlockDeviceMappings"] if "Ebs" in one}
    inherited = {name: ebs.pop("Encrypted", None) for name, ebs in found.items()}
    for one in call.get("BlockDeviceMappings", []):
        name = one.get("DeviceName", "")
        if not register.DEVICE.fullmatch(name):
            raise ApiError("InvalidBlockDeviceMapping", f"Invalid device name '{name}'")
        if "NoDevice" in one:
            found.pop(name, None)
        elif "Ebs" in one:
            found[name] = found.get(name, {}) | {key: value for key, value in one["Ebs"].items() if value is not None}
            if inherited.get(name) and one["Ebs"].get("Encrypted") is False:
                message = f"The snapshot of '{name}' is encrypted, its volume cannot be unencrypted"
                raise ApiError("InvalidBlockDeviceMapping", message)
    if root not in found:
        raise ApiError("InvalidBlockDeviceMapping", f"The root device '{root}' must be in the block device mapping")
    if len(found) > SLOTS:
        raise ApiError("AttachmentLimitExceeded", f"An instance can have {SLOTS} volumes")
    return {root: found.pop(root), **found}


def _volume(call: Call, image: Image, ebs: Mapping[str, Any], zone: str, device: str) -> Volume:
    wanted = {name: value for name, value in ebs.items() if name != "DeleteOnTermination"}
    tags = call.tags("volume", others=_KINDS)
    return plan_volume(call, wanted, zone, tags, is_root=device == image.root_device_name)


def _plan(call: Call, instance: Any, image: Image, kind: Mapping[str, Any], *, uefi: bool, data: bytes) -> Spec:
    memory = kind["MemoryInfo"]["SizeInMiB"] * MIB
    options = instance.metadata_options
    key = call.backend.key_pairs.get(call.get("KeyName"))
    tags = call.tags("instance", others=_KINDS)
    return Spec(
        id=instance.id,
        type=kind["InstanceType"],
        architecture="arm64" if image.architecture == "arm64" else "x86_64",
        firmware="uefi" if uefi else "bios",
        memory=max(MEMORY[0], min(MEMORY[1], memory)),
        cpus=CPUS,
        address=enrolment.free_address(),
        image=image.id,
        account=call.account,
        region=call.region,
        zone=instance.placement.zone,
        imds=_imds(call, image, options),
        user_data=data,
        public_key=key.public_key.strip() if key else "",
        spot=bool(call.get("InstanceMarketOptions")),
        tags=tuple(tags.items()) if options.instance_metadata_tags == "enabled" else None,
        root_device=image.root_device_name,
        disks=(),
    )


def _imds(call: Call, image: Image, options: Any) -> Literal["v1.0", "v2.0", "disabled"]:
    """MetadataOptions; what they leave open, the image says."""
    if image.imds_support == "v2.0" and "HttpTokens" not in call.get("MetadataOptions", {}):
        options.http_tokens, options.http_put_response_hop_limit = "required", 2
    if options.http_endpoint == "disabled":
        return "disabled"
    return "v2.0" if options.http_tokens == "required" else "v1.0"


def _launch(call: Call, instance: Any, spec: Spec, image: Image, wanted: Mapping[str, dict[str, Any]]) -> None:
    enrolment.move(instance, "pending")
    enrolment.show_boot(instance, image, uefi=spec.firmware == "uefi")
    enrolment.settle(instance, spec.address, call.tags("network-interface", others=_KINDS))
    for device, ebs in wanted.items():
        volume = _volume(call, image, ebs, spec.zone, device)
        delete = ebs.get("DeleteOnTermination", False)
        volume.attachment = Attachment(
            instance=instance.id, device=device, state="attaching", since=now(), delete=delete
        )
        call.ledger.add_volume(volume)
    call.rack.launch(Seat(instance, spec, (call.account, call.region)))
