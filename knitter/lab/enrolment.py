"""Instances in moto's books: what DescribeInstances tells of them, and the answers to be kept in step with.

moto's own instance objects are used: their network interfaces, tags, filters and long descriptions are right.  What
they say of states, disks and addresses is written here; `corrections` checks that moto still has all these names.
"""

import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Final

from moto.core.exceptions import ServiceException
from moto.ec2.utils import filter_iam_instance_profiles

from knitter.lab.errors import ApiError
from knitter.lab.machines import SSH_PORT
from knitter.lab.records import Image, Volume

CODES: Final = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
MEMORY: Final = 3600.0
"""Seconds that a terminated instance is still shown: AWS's hour."""
USER: Final = ("Client.UserInitiatedShutdown", "User initiated shutdown")
GUEST: Final = ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")


def move(instance: Any, state: str, reason: tuple[str, str] | None = None) -> None:
    """*instance* is in *state* now.  reason: AWS's code and text, why it ends."""
    instance.instance_state.name, instance.instance_state.code = state, CODES[state]
    if state in ("pending", "running"):
        reason = ("", "")
    if reason is not None:
        code, text = reason
        instance.state_reason.code = code
        instance.state_reason.message = f"{code}: {text}" if code else ""
        vars(instance)["_reason"] = text


def told_state(instance: Any) -> dict[str, Any]:
    """Its state in the form of AWS's answers."""
    return {"Code": instance.instance_state.code, "Name": instance.instance_state.name}


def show_boot(instance: Any, image: Image, *, uefi: bool) -> None:
    """What the image decides."""
    instance.boot_mode = image.fields.get("BootMode")
    instance.current_instance_boot_mode = "uefi" if uefi else "legacy-bios"
    instance.ena_support = image.fields.get("EnaSupport", False)
    instance.platform_details, instance.usage_operation = "Linux/UNIX", "RunInstances"


def show_disks(instance: Any, volumes: Iterable[Volume]) -> None:
    """The volumes that are plugged into *instance*."""
    instance.block_device_mapping.clear()
    for volume in volumes:
        plugged = volume.attachment
        if plugged and plugged.instance == instance.id:
            instance.block_device_mapping[plugged.device] = SimpleNamespace(
                volume_id=volume.id,
                status=plugged.state,
                attach_time=plugged.since,
                delete_on_termination=plugged.delete,
            )


def free_address() -> str:
    """An address of this host's loopback network at which nobody serves SSH."""
    while True:
        address = f"127.{64 + secrets.randbelow(64)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
        with socket.socket() as trial:
            try:
                trial.bind((address, SSH_PORT))
            except OSError:
                continue
        return address


def settle(instance: Any, address: str, tags: dict[str, str]) -> None:
    """Its first network interface has *address*, also as its public one if it has any; all of them end with it."""
    for interface in instance.nics.values():
        interface.delete_on_termination = True
        interface.add_tags(tags)
    first = instance.nics[0]
    for one in first.private_ip_addresses:
        if one.get("PrivateIpAddress") == first.private_ip_address:
            one["PrivateIpAddress"] = address
    first.private_ip_address = address
    show_address(instance, address)


def show_address(instance: Any, address: str) -> None:
    """Its public address, while it is on."""
    first = instance.nics[0]
    if first.public_ip_auto_assign or first.public_ip:
        first.public_ip = address


def hide_address(instance: Any) -> None:
    """A stopped instance has no public address."""
    instance.nics[0].public_ip = None


def retire(instance: Any, reason: tuple[str, str]) -> None:
    """It is terminated: interfaces and profile are released."""
    instance.block_device_mapping.clear()
    instance.terminate()
    move(instance, "terminated", reason)
    instance.ended = time.time()


def forget_old(backend: Any, now: float) -> None:
    """Let go of instances that were terminated an hour ago."""
    for name, reservation in list(backend.reservations.items()):
        kept = [one for one in reservation.instances if getattr(one, "ended", now) > now - MEMORY]
        reservation.instances = kept
        if not kept:
            del backend.reservations[name]


def groups_of(instance: Any) -> set[str]:
    """Ids of the security groups that *instance* uses: none once it is terminated."""
    if instance.instance_state.name == "terminated":
        return set()
    ours = {group.id for group in instance.security_groups}
    return ours | {group.id for interface in instance.nics.values() for group in interface.group_set}


def check_profile(account: str, profile: Mapping[str, str]) -> None:
    """The instance profile exists, if one is named.  Raises ApiError."""
    if not profile:
        return
    try:
        filter_iam_instance_profiles(account, "aws", profile.get("Arn"), profile.get("Name"))
    except ServiceException:
        named = profile.get("Name") or profile.get("Arn")
        message = f"Value ({named}) for parameter iamInstanceProfile is invalid. Invalid IAM Instance Profile"
        raise ApiError("InvalidParameterValue", message) from None


def enrol(backend: Any, get: Callable[..., Any], image: str, count: int) -> Any:
    """Enter *count* instances without disks; *get* tells the call's parameters.  Gives moto's reservation."""
    forget_old(backend, time.time())
    reservation = backend.run_instances(
        image,
        count,
        get("UserData"),
        get("SecurityGroups", []),
        instance_type=get("InstanceType", "m1.small"),
        is_instance_type_default=False,
        placement=get("Placement", {}).get("AvailabilityZone"),
        region_name=backend.region_name,
        subnet_id=get("SubnetId"),
        key_name=get("KeyName"),
        security_group_ids=list(get("SecurityGroupIds", [])),
        nics=get("NetworkInterfaces", []),
        private_ip=None,
        associate_public_ip=None,
        tags={"instance": _tags(get, "instance")},
        ebs_optimized=get("EbsOptimized", False),
        disable_api_stop=get("DisableApiStop", False),
        disable_api_termination=get("DisableApiTermination", False),
        instance_market_options="spot" if get("InstanceMarketOptions") else {},
        instance_initiated_shutdown_behavior=get("InstanceInitiatedShutdownBehavior"),
        launch_template={},
        hibernation_options={},
        monitoring_state="enabled" if get("Monitoring", {}).get("Enabled") else "disabled",
        metadata_options=get("MetadataOptions", {}),
        client_token=get("ClientToken", ""),
        block_device_mappings=[],
    )
    profile = get("IamInstanceProfile", {})
    for instance in reservation.instances if profile else ():
        backend.associate_iam_instance_profile(
            instance_id=instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )
    return reservation


def _tags(get: Callable[..., Any], kind: str) -> dict[str, str]:
    specifications = [one for one in get("TagSpecifications", []) if one.get("ResourceType") == kind]
    return {tag["Key"]: tag.get("Value", "") for one in specifications for tag in one.get("Tags", [])}
