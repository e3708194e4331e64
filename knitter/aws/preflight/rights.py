"""Permissions, by DryRun: EC2 says whether a call would be allowed, and makes nothing.

Source: EC2 API Reference, "Dry run": DryRunOperation if allowed, UnauthorizedOperation if not.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final

from knitter.aws import launching, volumes
from knitter.aws.explain import explained
from knitter.aws.launching import plan_launch
from knitter.aws.network import Subnet
from knitter.aws.preflight.finding import FORBIDDEN, UNKNOWN, Finding, note, ok, problem
from knitter.aws.preflight.plan import Place
from knitter.aws.session import Cloud
from knitter.aws.source import SourceImage
from knitter.aws.tags import RUN_ID, STAGE, as_list, run_tag
from knitter.errors import CloudError
from knitter.settings import Settings, Via

_HINT: Final = "an administrator must allow it: `doit iam-policy` prints the policy"
_INSTANCE: Final = "i-00000000000000000"
_VOLUME: Final = "vol-00000000000000000"
_SNAPSHOT: Final = "snap-00000000000000000"
_GROUP: Final = "sg-00000000000000000"
_DEVICE: Final = "/dev/sdf"


@dataclass(frozen=True, slots=True)
class Trial:
    """One call to try."""

    action: str
    """Such as `RunInstances`."""
    parameters: dict[str, Any]
    makes: bool = False
    """It makes something, so it is tried as it will be made.  Else it is about a thing that does not exist yet, and a
    policy that allows it only on things with knitter's tags refuses the trial, and rightly so."""


def check_rights(cloud: Cloud, settings: Settings, roads: Collection[Via], place: Place) -> list[Finding]:
    """Whether each call to EC2 that *roads* make is allowed; what would start nowhere is not tried."""
    return _summed([_try(cloud, one) for one in plan_trials(settings, roads, place)])


def plan_trials(settings: Settings, roads: Collection[Via], place: Place) -> list[Trial]:
    """The calls to try."""
    trials = [_register(), Trial("CreateTags", {"Resources": [_SNAPSHOT], "Tags": as_list(_tags("snapshot"))})]
    if "surrogate" in roads:
        trials += [*_making(settings, place), *_ABOUT_THINGS]
    return trials


def _register() -> Trial:
    """Of a snapshot that does not exist."""
    root = "/dev/xvda"
    parameters = {
        "Name": "knitter-preflight",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "RootDeviceName": root,
        "BlockDeviceMappings": [{"DeviceName": root, "Ebs": {"SnapshotId": _SNAPSHOT}}],
        "TagSpecifications": _specified("image", "ami"),
    }
    return Trial("RegisterImage", parameters)


def _making(settings: Settings, place: Place) -> Iterator[Trial]:
    subnet = place.subnet
    if place.source and place.type and subnet:
        yield Trial("RunInstances", _instance(settings, place.type, place.source, subnet), makes=True)
    if subnet:
        yield Trial("CreateVolume", _volume(settings, subnet.zone), makes=True)
    if subnet and not settings.surrogate_security_groups:
        group = {"GroupName": f"knitter-{RUN_ID}", "Description": "knitter preflight", "VpcId": subnet.vpc}
        yield Trial("CreateSecurityGroup", group | {"TagSpecifications": _specified("security-group")}, makes=True)
        yield Trial("AuthorizeSecurityGroupIngress", {"GroupId": _GROUP, "IpPermissions": [_ADMITTED]})
        yield Trial("DeleteSecurityGroup", {"GroupId": _GROUP})


def _instance(settings: Settings, kind: str, image: SourceImage, subnet: Subnet) -> dict[str, Any]:
    groups = settings.surrogate_security_groups
    wanted = plan_launch(settings, image, subnets=(subnet,), groups=groups, tags=_tags("surrogate"))
    return launching.plan_request(wanted, "spot" if wanted.spot else "on-demand", kind, subnet)


def _volume(settings: Settings, zone: str) -> dict[str, Any]:
    return volumes.plan_request(volumes.plan_order(settings, 8, zone, token=token_hex(16), tags=_tags("volume")))


def _tags(stage: str) -> dict[str, str]:
    return {STAGE: stage} | run_tag()


def _specified(kind: str, stage: str = "surrogate") -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": as_list(_tags(stage))}]


_ADMITTED: Final = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}
_ABOUT_THINGS: Final = (
    Trial("AttachVolume", {"InstanceId": _INSTANCE, "VolumeId": _VOLUME, "Device": _DEVICE}),
    Trial(
        "ModifyInstanceAttribute",
        {
            "InstanceId": _INSTANCE,
            "BlockDeviceMappings": [{"DeviceName": _DEVICE, "Ebs": {"VolumeId": _VOLUME, "DeleteOnTermination": True}}],
        },
    ),
    Trial("DetachVolume", {"VolumeId": _VOLUME}),
    Trial("CreateSnapshot", {"VolumeId": _VOLUME, "TagSpecifications": _specified("snapshot", "snapshot")}),
    Trial("DeleteVolume", {"VolumeId": _VOLUME}),
    Trial("TerminateInstances", {"InstanceIds": [_INSTANCE]}),
    Trial("GetConsoleOutput", {"InstanceId": _INSTANCE}),
)


def _try(cloud: Cloud, trial: Trial) -> Finding:
    about = f"ec2:{trial.action}"
    call = getattr(cloud.ec2, _method(trial.action))
    try:
        with explained(about):
            call(DryRun=True, **trial.parameters)
    except CloudError as error:
        return judge(trial, error)
    return note(about, "not asked: the endpoint ignores DryRun")


def judge(trial: Trial, error: CloudError) -> Finding:
    """What the refusal of *trial* tells: DryRunOperation is one, and means yes."""
    about = f"ec2:{trial.action}"
    if error.code == "DryRunOperation" or (not trial.makes and _is_missing(error.code)):
        return ok(about, "allowed")
    if error.code in UNKNOWN:
        return note(about, f"not asked: the endpoint does not know the question ({error.code})")
    if error.code in FORBIDDEN and not trial.makes:
        return note(about, "refused on a thing without knitter's tags; whether it is allowed with them shows later")
    if error.code in FORBIDDEN:
        return problem(about, "is not allowed", _HINT)
    return problem(about, error.brief.removeprefix(f"{about}: "), error.hint)


def _is_missing(code: str) -> bool:
    """Whether a refusal only says that there is no such thing: the call itself was allowed."""
    return code.endswith((".NotFound", ".NotFound.Unavailable")) or code in _MISSING


_MISSING: Final = frozenset({"IncorrectState", "InvalidParameterValue", "IncorrectInstanceState"})


def _method(action: str) -> str:
    """Boto3's name: `RunInstances` -> `run_instances`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in action).lstrip("_")


def _summed(findings: Sequence[Finding]) -> list[Finding]:
    """What is allowed in one line; the rest as it is."""
    allowed = [one.about.removeprefix("ec2:") for one in findings if one.state == "ok"]
    rest = [one for one in findings if one.state != "ok"]
    return [*([ok("EC2 permissions", f"allowed: {', '.join(allowed)}")] if allowed else []), *rest]
