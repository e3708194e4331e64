"""EC2's instance metadata service for one guest: what it answers, apart from how it is carried (knitter.vm.channel).

The tree and the rules of its tokens: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
and .../configuring-instance-metadata-service.html.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Literal

ADDRESS: Final = "169.254.169.254"
GUEST_ADDRESS: Final = "169.254.169.15"
SUBNET: Final = "169.254.169.0/24"
"""The service must lie in the guest's own network: QEMU forwards no other address."""
MAC: Final = "02:16:3e:a1:b2:c3"
ACCOUNT: Final = "123456789012"
VERSIONS: Final = ("1.0", "2009-04-04", "2016-09-02", "2021-03-23", "latest")
"""A few of the many EC2 lists; cloud-init asks for some of them by date."""
TTL_LONGEST: Final = 21600
"""Seconds a token may live: six hours."""

Imds = Literal["v2.0", "v1.0", "disabled", "none"]
Tree = dict[str, "Tree | str"]


@dataclass(frozen=True, slots=True)
class Instance:
    """What the guest is told about itself."""

    user_data: bytes
    public_key: str
    """One authorized_keys line; "" if no key pair was named."""
    imds: Imds = "v2.0"
    """v2.0: only requests with a token are answered; disabled: all are refused; none: nobody is there."""
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    root_device: str = "/dev/xvda"
    region: str = "us-east-1"
    id: str = "i-0123456789abcdef0"
    image: str = "ami-0123456789abcdef0"
    account: str = ACCOUNT
    instance_type: str = ""
    """A small Nitro type if it is empty."""
    availability_zone: str = ""
    """The region's first if it is empty."""
    life_cycle: Literal["on-demand", "spot"] = "on-demand"
    tags: tuple[tuple[str, str], ...] | None = None
    """Names and values; None if the instance is not told of its tags."""

    @property
    def type(self) -> str:
        """Instance type."""
        return self.instance_type or ("t4g.micro" if self.architecture == "arm64" else "t3.micro")

    @property
    def zone(self) -> str:
        """Availability zone."""
        return self.availability_zone or f"{self.region}a"


def plan_tree(instance: Instance) -> Tree:
    """Everything below /latest/; a folder is a dictionary, and what is not there is a 404 (iam, spot)."""
    identity = json.dumps(_identity(instance), indent=2)
    data = instance.user_data.decode("latin-1")
    return {
        "dynamic": {"instance-identity": {"document": identity}},
        "meta-data": _meta_data(instance),
        **({"user-data": data} if data else {}),
    }


def _meta_data(instance: Instance) -> Tree:
    name = f"ip-{GUEST_ADDRESS.replace('.', '-')}.ec2.internal"
    return {
        "ami-id": instance.image,
        "ami-launch-index": "0",
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": {"ami": instance.root_device, "root": instance.root_device},
        "hostname": name,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": instance.life_cycle,
        "instance-type": instance.type,
        "local-hostname": name,
        "local-ipv4": GUEST_ADDRESS,
        "mac": MAC,
        "network": {"interfaces": {"macs": {MAC: _interface(instance, name)}}},
        "placement": {"availability-zone": instance.zone, "region": instance.region},
        "profile": "default-hvm",
        **({"public-keys": {"0": {"openssh-key": instance.public_key}}} if instance.public_key else {}),
        "reservation-id": "r-0123456789abcdef0",
        "security-groups": "default",
        "services": {"domain": "amazonaws.com", "partition": "aws"},
        **({"tags": {"instance": dict(instance.tags)}} if instance.tags is not None else {}),
    }


def _interface(instance: Instance, name: str) -> Tree:
    return {
        "device-number": "0",
        "interface-id": "eni-0123456789abcdef0",
        "local-hostname": name,
        "local-ipv4s": GUEST_ADDRESS,
        "mac": MAC,
        "owner-id": instance.account,
        "security-group-ids": "sg-0123456789abcdef0",
        "security-groups": "default",
        "subnet-id": "subnet-0123456789abcdef0",
        "subnet-ipv4-cidr-block": SUBNET,
        "vpc-id": "vpc-0123456789abcdef0",
        "vpc-ipv4-cidr-block": SUBNET,
        "vpc-ipv4-cidr-blocks": SUBNET,
    }


def _identity(instance: Instance) -> dict[str, object]:
    """cloud-init's Ec2 source asks for this document and waits minutes for it."""
    return {
        "accountId": instance.account,
        "architecture": instance.architecture,
        "availabilityZone": instance.zone,
        "billingProducts": None,
        "imageId": instance.image,
        "instanceId": instance.id,
        "instanceType": instance.type,
        "privateIp": GUEST_ADDRESS,
        "region": instance.region,
        "version": "2017-09-30",
    }


def find(tree: Tree, path: str) -> str | None:
    """The text at *path*, below a version: of a leaf its value, of a folder the list of what is in it."""
    node: Tree | str = tree
    words = [word for word in path.split("/") if word]
    for word in words:
        if isinstance(node, str) or word not in node:
            return None
        node = node[word]
    if isinstance(node, str):
        return node
    if words[-1:] == ["public-keys"]:
        return "0=knitter"
    return "\n".join(name if isinstance(below, str) else f"{name}/" for name, below in node.items())


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: HTTPStatus
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came, and how it ended."""

    method: str
    path: str
    status: HTTPStatus
    with_token: bool


class Service:
    """The service of one guest: its tokens, and the record of what was asked.  Thread-safe."""

    def __init__(self, instance: Instance, *, now: Callable[[], float] = time.monotonic) -> None:
        self._instance = instance
        self._tree = plan_tree(instance)
        self._now = now
        self._tokens: dict[str, tuple[float, int]] = {}
        self._asked: list[Asked] = []
        self._guard = threading.Lock()

    @property
    def asked(self) -> tuple[Asked, ...]:
        """All requests so far."""
        with self._guard:
            return tuple(self._asked)

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """The answer to one request.  *headers* has lower-case names."""
        with self._guard:
            answer = self._route(method, path.partition("?")[0], headers)
            self._asked.append(Asked(method, path, answer.status, "x-aws-ec2-metadata-token" in headers))
        return answer

    def _route(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        if self._instance.imds in ("disabled", "none"):
            return Answer(HTTPStatus.FORBIDDEN)
        match method, path:
            case "PUT", "/latest/api/token":
                return self._token(headers)
            case (("GET" | "HEAD"), _):
                return self._read(path, headers.get("x-aws-ec2-metadata-token"))
            case _:
                return Answer(HTTPStatus.METHOD_NOT_ALLOWED)

    def _token(self, headers: Mapping[str, str]) -> Answer:
        if "x-forwarded-for" in headers:
            return Answer(HTTPStatus.FORBIDDEN)  # a proxy must not fetch tokens for others
        ttl = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if not (ttl.isascii() and ttl.isdigit() and 1 <= int(ttl) <= TTL_LONGEST):
            return Answer(HTTPStatus.BAD_REQUEST)
        token = secrets.token_urlsafe(42)
        self._tokens[token] = (self._now() + int(ttl), int(ttl))
        return Answer(HTTPStatus.OK, token.encode(), {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": ttl})

    def _read(self, path: str, token: str | None) -> Answer:
        if token is None and self._instance.imds == "v2.0":
            return Answer(HTTPStatus.UNAUTHORIZED)
        if token is not None and self._tokens.get(token, (0.0, 0))[0] <= self._now():
            return Answer(HTTPStatus.UNAUTHORIZED)  # a wrong token is refused where none would do
        version, _, rest = path.strip("/").partition("/")
        if not version:
            return Answer(HTTPStatus.OK, "\n".join(VERSIONS).encode())
        text = find(self._tree, rest) if version in VERSIONS else None
        if text is None:
            return Answer(HTTPStatus.NOT_FOUND)
        return Answer(HTTPStatus.OK, text.encode("latin-1"))
