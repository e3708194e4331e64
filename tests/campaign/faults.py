"""What may go wrong with a request, in the words of the service that is asked.  Pure: drawn from a seed alone.

Sources: Amazon EC2 API Reference, "Error codes for the Amazon EC2 API"; EBS direct API Reference, "Common Errors";
AWS STS API Reference, "Common Errors".
"""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qsl

from knitter.lab.tally import name_action, name_block_action

Kind = Literal["throttled", "internal", "unavailable", "reset before", "reset after", "slow"]
KINDS: Final[tuple[Kind, ...]] = ("throttled", "internal", "unavailable", "reset before", "reset after", "slow")
SLOW: Final = (0.5, 2.5)
"""Seconds that a slow answer takes longer, at least and at most."""

READING: Final = re.compile(r"\w+:(Describe|Get|List)\w*")
"""Actions that change nothing."""
UNKNOWING: Final = re.compile(r"ec2:(Describe|Attach|Authorize|Modify|RunInstances|CreateTags)\w*|ebs:PutSnapshotBlock")
"""Actions that may not know what was made just now."""
MAKERS: Final = {
    "ec2:RunInstances": rb"<instanceId>(i-\w+)<",
    "ec2:CreateVolume": rb"<volumeId>(vol-\w+)<",
    "ec2:CreateSnapshot": rb"<snapshotId>(snap-\w+)<",
    "ec2:CreateSecurityGroup": rb"<groupId>(sg-\w+)<",
    "ec2:RegisterImage": rb"<imageId>(ami-\w+)<",
    "ebs:StartSnapshot": rb'"SnapshotId": *"(snap-\w+)"',
}
"""Action -> where its answer has the id of what it made."""
NOT_FOUND: Final = {
    "i": "InvalidInstanceID.NotFound",
    "vol": "InvalidVolume.NotFound",
    "snap": "InvalidSnapshot.NotFound",
    "sg": "InvalidGroup.NotFound",
    "ami": "InvalidAMIID.NotFound",
}


@dataclass(frozen=True)
class Asked:
    """One request."""

    action: str
    """Such as `ec2:RunInstances`."""
    subject: str
    """What it is about, if that tells it from others of its action: the index of a block."""
    parameters: Mapping[str, str]
    """Of the query protocol, and those of a block."""

    @property
    def key(self) -> str:
        return f"{self.action} {self.subject}".rstrip()

    @property
    def service(self) -> str:
        return self.action.partition(":")[0]

    @property
    def changes(self) -> bool:
        return not READING.fullmatch(self.action) and "DryRun" not in self.parameters

    @property
    def place(self) -> str:
        """Type, subnet and market that RunInstances asks for."""
        market = self.parameters.get("InstanceMarketOptions.MarketType", "on-demand")
        subnet = next((value for name, value in self.parameters.items() if name.endswith("SubnetId")), "")
        return f"{self.parameters.get('InstanceType')} {subnet} {market}"

    def names(self, thing: str) -> bool:
        """Whether it names the id *thing*, other than in a filter."""
        return any(value == thing for name, value in self.parameters.items() if not name.startswith("Filter."))


def asked(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Asked:
    """What is asked for.  *headers* have lower-case names."""
    if path.startswith("/snapshots"):
        bare = path.partition("?")[0]
        action = name_block_action(method, bare)
        block = re.fullmatch(r"/snapshots/(?P<SnapshotId>[^/]+)/blocks/(?P<BlockIndex>\d+)", bare)
        return Asked(action, block["BlockIndex"] if block else "", block.groupdict() if block else {})
    form = dict(parse_qsl(body.decode("latin-1"))) if "form" in headers.get("content-type", "") else {}
    return Asked(name_action(headers, body), "", form)


@dataclass(frozen=True)
class Plan:
    """What goes wrong in one run of knitter."""

    seed: str = ""
    chances: Mapping[Kind, float] = field(default_factory=dict)
    """Of each request; what is left to 1 goes well."""
    settling: float = 0.0
    """Seconds in which what was made may be unknown, at most."""
    full: int = 0
    """Places (type, subnet, market) without capacity: the first ones that are asked for."""
    expired: tuple[int, int] | None = None
    """The first and the last request, from 1, whose credentials have expired."""
    interrupted: float | None = None
    """Seconds from RunInstances until the instance is taken away."""
    struck: tuple[int, float] | None = None
    """The request at which somebody else acts (kills knitter, say), and how many seconds after it came."""

    def draw(self, key: str, number: int) -> Kind | None:
        """What happens to the n-th request with this key; the same each time."""
        point = random.Random(f"{self.seed} {key} {number}").random()
        for kind, chance in self.chances.items():
            point -= chance
            if point < 0:
                return kind
        return None

    def delay(self, key: str, number: int) -> float:
        """Seconds of a slow answer."""
        return random.Random(f"{self.seed} {key} {number} delay").uniform(*SLOW)

    def settled_after(self, thing: str, number: int) -> float:
        """Seconds for which the n-th *thing* that was made is unknown."""
        kind = thing.partition("-")[0]
        return random.Random(f"{self.seed} {kind} {number} settling").uniform(0, self.settling)


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


_REFUSALS: Final = {
    # kind: (code and status of EC2, of EBS direct, of others)
    "throttled": (("RequestLimitExceeded", 503), ("RequestThrottledException", 400), ("Throttling", 400)),
    "internal": (("InternalError", 500), ("InternalServerException", 500), ("InternalFailure", 500)),
    "unavailable": (("Unavailable", 503), ("ServiceUnavailable", 503), ("ServiceUnavailable", 503)),
    "expired": (("RequestExpired", 400), ("ExpiredTokenException", 403), ("ExpiredToken", 403)),
    "full": (("InsufficientInstanceCapacity", 500),) * 3,
}
_TEXTS: Final = {
    "throttled": "Request limit exceeded.",
    "internal": "An internal error has occurred",
    "unavailable": "The server is overloaded and can't handle the request.",
    "expired": "The security token included in the request is expired",
    "full": "We currently do not have sufficient capacity in the Availability Zone you requested.",
}


def refusal(service: str, kind: str) -> Answer:
    """How *service* refuses."""
    code, status = _REFUSALS[kind][{"ec2": 0, "ebs": 1}.get(service, 2)]
    return refused(service, code, status, _TEXTS[kind])


def unknown(service: str, thing: str) -> Answer:
    """*thing* does not exist, as far as *service* knows."""
    if service == "ebs":
        text = f"The snapshot '{thing}' does not exist."
        return refused(service, "ResourceNotFoundException", 404, text, reason="SNAPSHOT_NOT_FOUND")
    return refused(service, NOT_FOUND[thing.partition("-")[0]], 400, f"The ID '{thing}' does not exist")


def refused(service: str, code: str, status: int, message: str, *, reason: str = "ACCOUNT_THROTTLED") -> Answer:
    """An error in the form of *service*: EC2's XML, the query protocol's, or JSON."""
    match service:
        case "ec2":
            inner = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            body = f"<Response>{inner}<RequestID>injected</RequestID></Response>"
        case "sts":
            inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            body = f"<ErrorResponse>{inner}<RequestId>injected</RequestId></ErrorResponse>"
        case _:
            told = {"__type": code, "message": message} | ({"Reason": reason} if service == "ebs" else {})
            headers = (("Content-Type", "application/json"), ("x-amzn-ErrorType", code))
            return Answer(status, headers, json.dumps(told).encode())
    return Answer(status, (("Content-Type", "text/xml"),), body.encode())
