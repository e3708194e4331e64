"""Where an instance is put, and who may reach it: subnets, a temporary security group, this host's own address."""

import http.client
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from knitter.aws import wire
from knitter.aws.explain import explained
from knitter.aws.session import Cloud
from knitter.aws.tags import as_list
from knitter.aws.wait import SETTLING, wait_for, wait_known
from knitter.errors import CloudError, KnitterError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import IpPermissionTypeDef, SubnetTypeDef

Interface = Literal["public_ip", "private_ip", "ipv6", "dns"]

Block = ipaddress.IPv4Network | ipaddress.IPv6Network

CHECK: Final = "https://checkip.amazonaws.com"
"""Answers with the address a request came from; Amazon's own."""
UNUSED: Final = 5 * 60.0
"""Seconds until the interfaces of an ended instance let go of their security group, at most."""
_IN_USE: Final = {"DependencyViolation", "InvalidGroup.InUse"}
_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Subnet:
    """Where an instance can be."""

    id: str
    vpc: str
    zone: str
    cidr: str
    ipv6_cidr: str = ""


def find_subnets(cloud: Cloud, wanted: tuple[str, ...]) -> tuple[Subnet, ...]:
    """Those that are *wanted*, in that order; else the default VPC's, by zone.  Raises CloudError, KnitterError."""
    with explained("looking for subnets"):
        found = list_subnets(cloud, wanted)
    if absent := set(wanted) - {one["SubnetId"] for one in found}:
        raise KnitterError(
            f"there is no subnet {', '.join(sorted(absent))} in {cloud.region}", hint="correct surrogate_subnets"
        )
    if not found:
        raise KnitterError(f"there is no default VPC in {cloud.region}", hint="name surrogate_subnets in .doit.cfg")
    return tuple(map(subnet_of, found))


def list_subnets(cloud: Cloud, wanted: tuple[str, ...]) -> "list[SubnetTypeDef]":
    """Of those that are *wanted* what there is, in that order; else the default VPC's, by zone.

    By a filter: with SubnetIds, one that does not exist hides all others.
    """
    filters: Any = [{"Name": "default-for-az", "Values": ["true"]}]
    if wanted:
        filters = [{"Name": "subnet-id", "Values": list(wanted)}]
    found = cloud.ec2.describe_subnets(Filters=filters)["Subnets"]
    order = {name: number for number, name in enumerate(wanted)}
    return sorted(found, key=lambda one: (order.get(one["SubnetId"], 0), one["AvailabilityZone"], one["SubnetId"]))


def subnet_of(found: "SubnetTypeDef") -> Subnet:
    """What an instance needs to know of it."""
    ipv6 = next((one.get("Ipv6CidrBlock", "") for one in found.get("Ipv6CidrBlockAssociationSet", [])), "")
    return Subnet(found["SubnetId"], found["VpcId"], found["AvailabilityZone"], found["CidrBlock"], ipv6)


def find_source_block(cloud: Cloud, interface: Interface, subnet: Subnet) -> str:
    """The CIDR block of this host alone, as instances in *subnet* see it.  Raises KnitterError."""
    if cloud.name == "lab":
        return "127.0.0.1/32"
    match interface:
        case "private_ip":
            return f"{_local_address(subnet.cidr)}/32"
        case "ipv6":
            return f"{_local_address(subnet.ipv6_cidr)}/128"
        case "public_ip" | "dns":
            return f"{_public_address()}/32"


def _local_address(cidr: str) -> str:
    """This host's address on the way to *cidr*.  Connecting a UDP socket sends nothing."""
    try:
        network = ipaddress.ip_network(cidr)
        family = socket.AF_INET6 if network.version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(network[1]), 22))
            return str(probe.getsockname()[0])
    except (OSError, ValueError) as error:
        raise _unknown(f"no way to {cidr or 'the subnet, which has no IPv6 block'}: {error}") from None


def _public_address() -> str:
    connection = wire.connection(CHECK, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/", headers={"user-agent": wire.USER_AGENT})
        return str(ipaddress.IPv4Address(connection.getresponse().read(100).decode().strip()))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unknown(f"{CHECK}: {error}") from None
    finally:
        connection.close()


def _unknown(why: str) -> KnitterError:
    return KnitterError(
        "this host's own address cannot be found",
        details=why,
        hint="set surrogate_sources in .doit.cfg to the block it connects from, such as 192.0.2.7/32",
    )


def check_sources(sources: tuple[str, ...], *, allow_world: bool) -> None:
    """Raise KnitterError unless each of *sources* is a CIDR block, and they are not everybody without *allow_world*."""
    blocks = [_block(source) for source in sources]
    if _everybody(blocks) and not allow_world:
        raise KnitterError(
            "surrogate_sources: admits everybody to the SSH port of surrogates",
            hint="name the addresses you come from, or leave it empty: then only this host's; or set allow_world = yes",
        )


def _block(source: str) -> Block:
    try:
        return ipaddress.ip_network(source, strict=False)
    except ValueError as error:
        raise KnitterError(
            f"surrogate_sources: {source!r} is no CIDR block, such as 192.0.2.7/32",
            details=str(error),
            hint="correct it in .doit.cfg",
        ) from None


def _everybody(blocks: list[Block]) -> bool:
    """Whether *blocks* together are all addresses, in however many pieces."""
    four = ipaddress.collapse_addresses(one for one in blocks if isinstance(one, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(one for one in blocks if isinstance(one, ipaddress.IPv6Network))
    return any(one.prefixlen == 0 for one in four) or any(one.prefixlen == 0 for one in six)


def create_group(
    cloud: Cloud,
    *,
    name: str,
    vpc: str,
    sources: tuple[str, ...],
    tags: dict[str, str],
    made: Callable[[str], None] = lambda _: None,
) -> str:
    """Id of a new security group that admits *sources* to port 22, and nobody else.  Safe to repeat with one *name*.

    sources: CIDR blocks; none: nobody is admitted.
    made: told of the group as soon as it is there.
    """
    group = _ensure_group(cloud, name, vpc, tags)
    made(group)
    if not sources:
        return group
    doing = f"letting {', '.join(sources)} reach port 22"
    try:
        wait_known(
            doing,
            lambda: cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[_permission(sources)]),
            codes={"InvalidGroup.NotFound", "InvalidGroupId.NotFound"},
        )
    except CloudError as error:
        if error.code != "InvalidPermission.Duplicate":
            raise
    return group


def _ensure_group(cloud: Cloud, name: str, vpc: str, tags: dict[str, str]) -> str:
    doing = f"creating the security group {name}"
    try:
        with explained(doing):
            return cloud.ec2.create_security_group(
                GroupName=name,
                Description="of knitter: admits the host that writes a volume",
                VpcId=vpc,
                TagSpecifications=[{"ResourceType": "security-group", "Tags": as_list(tags)}],
            )["GroupId"]
    except CloudError as error:
        if error.code != "InvalidGroup.Duplicate":
            raise
        return wait_for(doing, lambda: _find_group(cloud, name, vpc), limit=SETTLING)


def _find_group(cloud: Cloud, name: str, vpc: str) -> str | None:
    filters: Any = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [vpc]}]
    with explained("looking for a security group"):
        found = cloud.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    return found[0]["GroupId"] if found else None


def _permission(sources: tuple[str, ...]) -> "IpPermissionTypeDef":
    blocks = [_block(source) for source in sources]
    return {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": str(block), "Description": "knitter"} for block in blocks if block.version == 4],
        "Ipv6Ranges": [{"CidrIpv6": str(block), "Description": "knitter"} for block in blocks if block.version == 6],
    }


def delete_group(cloud: Cloud, group: str) -> None:
    """Remove *group* once nothing uses it; one that is gone is fine.  Raises CloudError."""
    try:
        wait_known(
            f"deleting the security group {group}",
            lambda: cloud.ec2.delete_security_group(GroupId=group),
            codes=_IN_USE,
            limit=UNUSED,
        )
    except CloudError as error:
        if error.code not in {"InvalidGroup.NotFound", "InvalidGroupId.NotFound"}:
            raise
