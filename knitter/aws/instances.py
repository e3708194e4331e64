"""An EC2 instance that was started: waited for, looked at, ended.

Source: Amazon EC2 API Reference, DescribeInstances, TerminateInstances, GetConsoleOutput.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from knitter.aws.explain import explained
from knitter.aws.network import Interface
from knitter.aws.session import Cloud
from knitter.aws.wait import SETTLING, wait_for, wait_known
from knitter.errors import CloudError
from knitter.progress import say

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

RUNNING: Final = 10 * 60.0
"""Seconds from RunInstances to `running`, at most."""
ENDED: Final = 10 * 60.0
"""Seconds from TerminateInstances to `terminated`, at most; a bare metal type takes longest."""
LOST: Final = frozenset({"shutting-down", "terminated", "stopping", "stopped"})
_NOT_KNOWN: Final = "InvalidInstanceID.NotFound"


@dataclass(frozen=True, slots=True)
class Instance:
    """One that runs."""

    id: str
    type: str
    zone: str
    market: str
    """`on-demand` or `spot`."""
    boot_mode: str
    """How it booted: `legacy-bios` or `uefi`."""
    addresses: dict[Interface, str]
    """Those it has."""
    root_volume: str
    """"" if it is none of EBS."""


def wait_running(cloud: Cloud, instance: str) -> Instance:
    """The instance once it is `running`.  Raises CloudError if it ends instead, with AWS's reason."""

    def look() -> Instance | None:
        found = find_instance(cloud, instance)
        state = found["State"]["Name"] if found else ""
        if found and state in LOST:
            raise lost(instance, found)
        return _running(found) if found and state == "running" else None

    say(f"waiting for {instance}")
    return wait_for(f"instance {instance}", look, limit=RUNNING, hint="see the instance's state in the EC2 console")


class InstanceLostError(CloudError):
    """An instance ended by itself, or AWS ended it: a spot interruption, a KMS key that may not be used, its timer."""


def lost(instance: str, found: "InstanceTypeDef | None") -> InstanceLostError:
    """The error of an instance that ended by itself."""
    reason = (found or {}).get("StateReason", {})
    state = (found or {}).get("State", {}).get("Name", "gone")
    return InstanceLostError(
        f"instance {instance} is {state}",
        code=reason.get("Code", ""),
        details=reason.get("Message", ""),
        hint="run again: another one is started",
    )


def _running(found: "InstanceTypeDef") -> Instance:
    ipv6 = next((one["Ipv6Address"] for nic in found["NetworkInterfaces"] for one in nic.get("Ipv6Addresses", [])), "")
    addresses: dict[Interface, str] = {
        "public_ip": found.get("PublicIpAddress", ""),
        "private_ip": found.get("PrivateIpAddress", ""),
        "ipv6": ipv6,
        "dns": found.get("PublicDnsName", "") or found.get("PrivateDnsName", ""),
    }
    return Instance(
        id=found["InstanceId"],
        type=found["InstanceType"],
        zone=found["Placement"]["AvailabilityZone"],
        market=found.get("InstanceLifecycle", "on-demand"),
        boot_mode=str(found.get("CurrentInstanceBootMode", "")),
        addresses={name: value for name, value in addresses.items() if value},
        root_volume=_root_volume(found),
    )


def _root_volume(found: "InstanceTypeDef") -> str:
    devices = {one["DeviceName"]: one["Ebs"]["VolumeId"] for one in found["BlockDeviceMappings"] if "Ebs" in one}
    return devices.get(found.get("RootDeviceName", ""), "")


def find_instance(cloud: Cloud, instance: str) -> "InstanceTypeDef | None":
    """As DescribeInstances shows it; None if AWS does not know it: not yet, or no longer.  Raises CloudError."""
    try:
        with explained(f"looking at instance {instance}"):
            answer = cloud.ec2.describe_instances(InstanceIds=[instance])
    except CloudError as error:
        if error.code == _NOT_KNOWN:
            return None
        raise
    return next((one for group in answer["Reservations"] for one in group["Instances"]), None)


def terminate(cloud: Cloud, instance: str) -> None:
    """End *instance* and wait until it is `terminated`; one that is gone is fine.  Raises CloudError."""

    def look() -> bool | None:
        found = find_instance(cloud, instance)
        return True if found is None or found["State"]["Name"] == "terminated" else None

    try:
        wait_known(
            f"ending instance {instance}",
            lambda: cloud.ec2.terminate_instances(InstanceIds=[instance]),
            codes={_NOT_KNOWN},
            limit=SETTLING / 2,
        )
    except CloudError as error:
        if error.code == _NOT_KNOWN:
            return
        raise
    wait_for(f"the end of instance {instance}", look, limit=ENDED)


def console(cloud: Cloud, instance: str) -> str:
    """The serial console's last 64 KiB, as far as AWS has them; "" if it has none yet.  Raises CloudError."""
    with explained(f"reading the console of {instance}"):
        try:
            answer = cloud.ec2.get_console_output(InstanceId=instance, Latest=True)
        except cloud.ec2.exceptions.ClientError:  # a Xen type knows no Latest
            answer = cloud.ec2.get_console_output(InstanceId=instance)
    return answer.get("Output", "")  # decoded by botocore
