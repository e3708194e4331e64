"""An EC2 instance is started, wherever there is capacity.

Sources: Amazon EC2 API Reference, RunInstances, "Error codes for the Amazon EC2 API"; Amazon EC2 User Guide, "Ensuring
idempotency" (ClientToken).
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from knitter.aws.explain import explained
from knitter.aws.network import Interface, Subnet
from knitter.aws.session import Cloud
from knitter.aws.source import SourceImage
from knitter.aws.tags import as_list
from knitter.aws.wait import wait_known
from knitter.errors import CloudError, KnitterError
from knitter.progress import say
from knitter.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeInfoTypeDef

USUAL_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "x86_64": ("t3.medium", "t3a.medium", "m6i.large", "m5.large"),
    "arm64": ("t4g.medium", "m6g.large", "m7g.large"),
}
"""By architecture: the cheapest that burst to 2 Gbit/s to EBS, more than a default gp3 volume takes, then others."""
XEN_TYPES: Final = ("t2.medium", "m4.large")
"""For an image without ENA, which all current types need."""
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
AGAIN: Final = frozenset(
    {
        "InvalidGroup.NotFound",  # made just now, and not known everywhere
        "RequestLimitExceeded",
        "InternalError",
        "InternalFailure",
        "Unavailable",
        "ServiceUnavailable",
        "Unreachable",
    }
)
"""Troubles that pass: the same again, in the same place; the ClientToken sees to it that nothing starts twice."""


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
    key_name: str = ""
    """A key pair of EC2's."""
    tokens: bool = True
    """Whether metadata want a token."""


def plan_launch(
    settings: Settings,
    image: SourceImage,
    *,
    subnets: tuple[Subnet, ...],
    groups: tuple[str, ...],
    tags: dict[str, str],
    user_data: str = "",
    encrypted: bool = True,
) -> Launch:
    """The instance of *image* as *settings* want surrogates; its token is new."""
    return Launch(
        image=image,
        types=settings.surrogate_types or usual_types(image),
        subnets=subnets,
        groups=groups,
        user_data=user_data,
        token=token_hex(16),
        tags=tags,
        interface=settings.ssh_interface,
        spot=settings.surrogate_spot,
        profile=settings.surrogate_profile,
        tenancy=settings.surrogate_tenancy,
        encrypted=encrypted,
    )


def launch(cloud: Cloud, wanted: Launch) -> str:
    """Id of an instance that was started, `pending`.  Raises CloudError: with every refusal, if nowhere is capacity."""
    refused: list[str] = []
    known = _find_types(cloud, wanted.types)
    _check_ena(wanted.image, known)
    optimized = {name for name, one in known.items() if one["EbsInfo"]["EbsOptimizedSupport"] != "unsupported"}
    for market, kind, subnet in _places(wanted):
        if _needs_ena(known.get(kind)) and not wanted.image.ena:
            continue
        say(f"starting a {kind} in {subnet.zone}{' (spot)' if market == 'spot' else ''}")
        try:
            request = plan_request(wanted, market, kind, subnet, optimized=kind in optimized)
            return _start(cloud, request, f"starting a {kind} in {subnet.zone}")
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


def _start(cloud: Cloud, request: dict[str, Any], doing: str) -> str:
    """Not by the client that repeats: to that a lack of capacity, whose status is 500, is worth a minute of waiting."""
    answer = wait_known(doing, lambda: cloud.ec2_once.run_instances(**request), codes=AGAIN)
    return answer["Instances"][0]["InstanceId"]


def _places(wanted: Launch) -> Iterator[tuple[str, str, Subnet]]:
    """Market, type and subnet, in the order in which they are tried."""
    for market in ("spot", "on-demand") if wanted.spot else ("on-demand",):
        for kind in wanted.types:
            for subnet in wanted.subnets:
                yield market, kind, subnet


def usual_types(image: SourceImage) -> tuple[str, ...]:
    """The types that *image* is started on if nobody names others."""
    return USUAL_TYPES[image.architecture] if image.ena else XEN_TYPES


def _needs_ena(kind: "InstanceTypeInfoTypeDef | None") -> bool:
    return kind is not None and kind["NetworkInfo"]["EnaSupport"] == "required"


def _check_ena(image: SourceImage, known: "Mapping[str, InstanceTypeInfoTypeDef]") -> None:
    """Raise KnitterError if *image* has no ENA and no type does without."""
    if known and not image.ena and all(map(_needs_ena, known.values())):
        raise KnitterError(
            f"AMI {image.id} starts on none of the instance types",
            details=f"it says it has no ENA, which {', '.join(known)} need",
            hint=f"name types that run on Xen as surrogate_types in .doit.cfg, such as {' '.join(XEN_TYPES)}; some "
            "regions have none",
        )


def _find_types(cloud: Cloud, types: tuple[str, ...]) -> "dict[str, InstanceTypeInfoTypeDef]":
    """What is known of *types*, by name; nothing if that is not to be learned."""
    names: Any = list(types)
    try:
        with explained("asking what the instance types can do"):
            found = cloud.ec2.describe_instance_types(InstanceTypes=names)["InstanceTypes"]
    except CloudError:
        return {}  # RunInstances will say what is wrong with them
    return {one["InstanceType"]: one for one in found}


def plan_request(wanted: Launch, market: str, kind: str, subnet: Subnet, *, optimized: bool = False) -> dict[str, Any]:
    """The parameters of RunInstances.  optimized: ask for bandwidth to EBS of its own."""
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
        "UserData": wanted.user_data or None,
        "KeyName": wanted.key_name or None,
        "NetworkInterfaces": [_interface(wanted, subnet)],
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required" if wanted.tokens else "optional",
            "HttpPutResponseHopLimit": 1,
        },
        "BlockDeviceMappings": [{"DeviceName": wanted.image.root_device, "Ebs": root}],
        "EbsOptimized": True if optimized else None,
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
