"""An EC2 instance: started wherever there is capacity, waited for, ended.

Sources: Amazon EC2 API Reference, RunInstances, "Error codes for the Amazon EC2 API"; Amazon EC2 User Guide, "Ensuring
idempotency" (ClientToken).
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from knitter.aws.explain import explained
from knitter.aws.network import Interface, Subnet
from knitter.aws.session import Cloud
from knitter.aws.source import SourceImage
from knitter.aws.tags import as_list
from knitter.aws.wait import SETTLING, wait_for, wait_known
from knitter.errors import CloudError
from knitter.progress import say

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

RUNNING: Final = 10 * 60.0
"""Seconds from RunInstances to `running`, at most."""
ENDED: Final = 10 * 60.0
"""Seconds from TerminateInstances to `terminated`, at most; a bare metal type takes longest."""
ELSEWHERE: Final = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InstanceLimitExceeded",
        "VcpuLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        "Unsupported",
    }
)
"""Refusals that another type, zone or market may not know."""
LOST: Final = frozenset({"shutting-down", "terminated", "stopping", "stopped"})
_NOT_KNOWN: Final = "InvalidInstanceID.NotFound"


@dataclass(frozen=True, slots=True)
class Launch:
    """The instance that is wanted."""

    image: SourceImage
    types: tuple[str, ...]
    """Tried in this order, each in every subnet."""
    subnets: tuple[Subnet, ...]
    groups: tuple[str, ...]
    """Security groups."""
    user_data: str
    token: str
    """Makes a repeated request start nothing twice; of this launch alone."""
    tags: dict[str, str]
    """Of the instance, its volumes and its interface."""
    interface: Interface = "public_ip"
    spot: bool = False
    """Ask for spot capacity everywhere before asking for any on demand."""
    profile: str = ""
    tenancy: str = "default"
    encrypted: bool = True
    """The root volume."""


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


def launch(cloud: Cloud, wanted: Launch) -> str:
    """Id of an instance that was started, `pending`.  Raises CloudError: with every refusal, if nowhere is capacity."""
    refused: list[str] = []
    for market, kind, subnet in _places(wanted):
        say(f"starting a {kind} in {subnet.zone}{' (spot)' if market == 'spot' else ''}")
        try:
            with explained(f"starting a {kind} in {subnet.zone}"):
                answer = cloud.ec2.run_instances(**plan_request(wanted, market, kind, subnet))
                return answer["Instances"][0]["InstanceId"]
        except CloudError as error:
            if error.code not in ELSEWHERE:
                raise
            refused.append(f"{kind} in {subnet.zone}, {market}: {error.code}")
    raise CloudError(
        "no instance could be started",
        code="InsufficientInstanceCapacity",
        details="\n".join(refused),
        hint="name more surrogate_types or surrogate_subnets in .doit.cfg, or try again later",
    )


def _places(wanted: Launch) -> Iterator[tuple[str, str, Subnet]]:
    """Market, type and subnet, in the order in which they are tried."""
    for market in ("spot", "on-demand") if wanted.spot else ("on-demand",):
        for kind in wanted.types:
            for subnet in wanted.subnets:
                yield market, kind, subnet


def plan_request(wanted: Launch, market: str, kind: str, subnet: Subnet) -> dict[str, Any]:
    """The parameters of RunInstances."""
    place = f"{wanted.token}{market}{kind}{subnet.id}"
    spot = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
    root = {"DeleteOnTermination": True} | ({"Encrypted": True} if wanted.encrypted else {})
    kinds = ("instance", "volume", "network-interface", *(("spot-instances-request",) if market == "spot" else ()))
    plan = {
        "ClientToken": hashlib.sha256(place.encode()).hexdigest(),
        "ImageId": wanted.image.id,
        "InstanceType": kind,
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": wanted.user_data,
        "NetworkInterfaces": [_interface(wanted, subnet)],
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [{"DeviceName": wanted.image.root_device, "Ebs": root}],
        "InstanceMarketOptions": spot if market == "spot" else None,
        "IamInstanceProfile": _profile(wanted.profile),
        "Placement": {"Tenancy": wanted.tenancy} if wanted.tenancy != "default" else None,
        "TagSpecifications": [{"ResourceType": one, "Tags": as_list(wanted.tags)} for one in kinds],
    }
    return {name: value for name, value in plan.items() if value is not None}


def _interface(wanted: Launch, subnet: Subnet) -> dict[str, Any]:
    interface = {
        "DeviceIndex": 0,
        "SubnetId": subnet.id,
        "Groups": list(wanted.groups),
        "DeleteOnTermination": True,
    }
    match wanted.interface:
        case "public_ip" | "dns":
            return interface | {"AssociatePublicIpAddress": True}
        case "ipv6":
            return interface | {"Ipv6AddressCount": 1}
        case "private_ip":
            return interface | {"AssociatePublicIpAddress": False}


def _profile(name: str) -> dict[str, str] | None:
    return {"Arn" if name.startswith("arn:") else "Name": name} if name else None


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
    )


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
        answer = cloud.ec2.get_console_output(InstanceId=instance)
    return base64.b64decode(answer.get("Output", "")).decode(errors="replace")
