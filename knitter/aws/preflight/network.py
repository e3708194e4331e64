"""The network of surrogates: subnets with free addresses, the way in, security groups of the same VPC.

Source: Amazon VPC User Guide, "Subnet routing" (a subnet without a route table of its own has the VPC's main one) and
"Internet gateways".
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from knitter.aws.network import list_subnets
from knitter.aws.preflight.finding import Finding, asked, note, ok, problem, warning
from knitter.aws.session import Cloud
from knitter.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        IpPermissionOutputTypeDef,
        RouteTableTypeDef,
        SecurityGroupTypeDef,
        SubnetTypeDef,
    )

SSH: Final = 22
_NAMED: Final = "correct surrogate_subnets in .doit.cfg"
_EVERYWHERE: Final = {"ipv6": ("DestinationIpv6CidrBlock", "::/0")}
_EVERYWHERE_4: Final = ("DestinationCidrBlock", "0.0.0.0/0")


def check_network(cloud: Cloud, settings: Settings) -> "tuple[list[Finding], list[SubnetTypeDef]]":
    """Whether a surrogate can start somewhere and be reached there; and the subnets, in order."""
    subnets: list[SubnetTypeDef] = []

    def look() -> Iterator[Finding]:
        subnets.extend(list_subnets(cloud, settings.surrogate_subnets))
        yield from _exist(subnets, settings)

    found = asked("subnets", look)
    if subnets:
        found += asked("way in", lambda: _way_in(cloud, settings, subnets))
    return found + asked("security groups", lambda: _groups(cloud, settings, subnets)), subnets


def _exist(subnets: "Sequence[SubnetTypeDef]", settings: Settings) -> Iterator[Finding]:
    known = {one["SubnetId"] for one in subnets}
    for name in settings.surrogate_subnets:
        if name not in known:
            yield problem(f"subnet {name}", "does not exist in this region", _NAMED)
    if not settings.surrogate_subnets and not subnets:
        yield problem("subnets", "there is no default VPC in this region", "name surrogate_subnets in .doit.cfg")
    if subnets and not any(one["AvailableIpAddressCount"] for one in subnets):
        yield problem("subnets", "none has a free address", "name others as surrogate_subnets")
        return
    for one in subnets:
        about = f"subnet {one['SubnetId']}"
        free = one["AvailableIpAddressCount"]
        if free:
            yield ok(about, f"{one['AvailabilityZone']}, {free} free addresses")
        else:
            yield warning(about, "has no free address; the others are tried")


def _way_in(cloud: Cloud, settings: Settings, subnets: "Sequence[SubnetTypeDef]") -> Iterator[Finding]:
    if settings.ssh_proxy_command:
        yield note("way in", "ssh_proxy_command; whether it works shows when it is used")
        return
    if settings.ssh_interface == "private_ip":
        yield note("way in", "private addresses: this host must be in the VPC, or reach it by VPN or peering")
        return
    if cloud.name == "lab" and not settings.surrogate_subnets:
        yield ok("way in", "the lab's instances answer on loopback")
        return
    filters: Any = [{"Name": "vpc-id", "Values": sorted({one["VpcId"] for one in subnets})}]
    tables = cloud.ec2.describe_route_tables(Filters=filters)["RouteTables"]
    for one in subnets:
        yield from _reached(one, _table_of(one, tables), settings)


def _table_of(subnet: "SubnetTypeDef", tables: "Sequence[RouteTableTypeDef]") -> "RouteTableTypeDef | None":
    """Its own, else its VPC's main one."""
    own = [t for t in tables for link in t["Associations"] if link.get("SubnetId") == subnet["SubnetId"]]
    main = [
        table
        for table in tables
        for link in table["Associations"]
        if link.get("Main") and table["VpcId"] == subnet["VpcId"]
    ]
    return next(iter([*own, *main]), None)


def _reached(subnet: "SubnetTypeDef", table: "RouteTableTypeDef | None", settings: Settings) -> Iterator[Finding]:
    about = f"way in to {subnet['SubnetId']}"
    field, everywhere = _EVERYWHERE.get(settings.ssh_interface, _EVERYWHERE_4)
    if settings.ssh_interface == "ipv6" and not subnet.get("Ipv6CidrBlockAssociationSet"):
        yield problem(about, "the subnet has no IPv6 addresses", "give it some, or set ssh_interface = public_ip")
    elif not _leads_out(table, field, everywhere):
        yield problem(
            about,
            f"its route table has no route from {everywhere} to an internet gateway",
            "name another as surrogate_subnets; or set ssh_interface = private_ip, or ssh_proxy_command",
        )
    else:
        asks = "" if subnet.get("MapPublicIpOnLaunch") else "; the surrogate asks for a public address"
        yield ok(about, f"an internet gateway{asks}")


def _leads_out(table: "RouteTableTypeDef | None", field: str, everywhere: str) -> bool:
    routes: list[Any] = list(table["Routes"]) if table else []
    return any(
        route.get(field) == everywhere and route.get("GatewayId", "").startswith("igw-") and route["State"] == "active"
        for route in routes
    )


def _groups(cloud: Cloud, settings: Settings, subnets: "Sequence[SubnetTypeDef]") -> Iterator[Finding]:
    named = settings.surrogate_security_groups
    if not named:
        own = "nobody" if settings.ssh_proxy_command else "this host's address"
        yield ok("security groups", f"a temporary one, which admits {', '.join(settings.surrogate_sources) or own}")
        return
    filters: Any = [{"Name": "group-id", "Values": list(named)}]
    found = {one["GroupId"]: one for one in cloud.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]}
    for name in named:
        if name in found:
            yield _fits(found[name], subnets)
        else:
            hint = "correct surrogate_security_groups in .doit.cfg"
            yield problem(f"security group {name}", "does not exist in this region", hint)
    if found and not settings.ssh_proxy_command:
        yield from _admit(list(found.values()), settings.ssh_port or SSH)


def _fits(group: "SecurityGroupTypeDef", subnets: "Sequence[SubnetTypeDef]") -> Finding:
    about = f"security group {group['GroupId']}"
    for subnet in subnets:
        if subnet["VpcId"] != group["VpcId"]:
            where = f"is of {group['VpcId']}, but subnet {subnet['SubnetId']} of {subnet['VpcId']}"
            return problem(about, where, "name surrogate_subnets and surrogate_security_groups of one VPC")
    return ok(about, f"of {group['VpcId']}")


def _admit(groups: "Sequence[SecurityGroupTypeDef]", port: int) -> Iterator[Finding]:
    if not any(_admits(rule, port) for group in groups for rule in group["IpPermissions"]):
        names = ", ".join(group["GroupId"] for group in groups)
        yield warning("security groups", f"no rule of {names} admits TCP port {port}", "add one")


def _admits(rule: "IpPermissionOutputTypeDef", port: int) -> bool:
    if rule["IpProtocol"] == "-1":
        return True
    return rule["IpProtocol"] == "tcp" and rule.get("FromPort", 0) <= port <= rule.get("ToPort", 65535)
