"""The account: who we are, what it encrypts, what it may still have, whether a name is free.

Sources: Service Quotas, the codes below; EBS User Guide, "Encryption by default" and "EBS direct APIs: encryption".
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from knitter.aws.preflight.finding import Finding, asked, note, ok, problem, warning
from knitter.aws.preflight.plan import Coming
from knitter.aws.preflight.reach import identify, reach_blocks
from knitter.aws.session import Cloud
from knitter.aws.tags import KEY, RECIPE, as_dict
from knitter.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

VCPUS: Final = ("ec2", "L-1216C47A")
"""Running on-demand instances of the families A, C, D, H, I, M, R, T and Z: vCPUs."""
GP3: Final = ("ebs", "L-7A658B76")
"""Storage in gp3 volumes: TiB."""
PENDING: Final = ("ebs", "L-94D7AB7D")
"""Pending snapshots."""
_STANDARD: Final = frozenset("acdhimrtz")


def check_identity(cloud: Cloud) -> list[Finding]:
    """Whether the cloud answers and knows us; nothing else can be asked if not."""
    return asked("credentials", lambda: [ok("credentials", f"account {identify(cloud)}, region {cloud.region}")])


def check_blocks(cloud: Cloud) -> list[Finding]:
    """Whether the EBS direct APIs can be reached."""

    def ask() -> Iterator[Finding]:
        reach_blocks(cloud)
        yield ok("EBS direct APIs", f"{cloud.endpoint_url('ebs')} answers")

    return asked("EBS direct APIs", ask)


def check_encryption(cloud: Cloud, settings: Settings) -> list[Finding]:
    """Whether what is stored will be encrypted as the settings say, and whether their key can be used."""
    found = asked("encryption by default", lambda: _by_default(cloud, settings))
    if settings.encrypted and settings.kms_key:
        found += asked("kms_key", lambda: _key(cloud, settings.kms_key))
    return found


def _by_default(cloud: Cloud, settings: Settings) -> Iterator[Finding]:
    about = "encryption by default"
    on = cloud.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]
    if on and not settings.encrypted:
        yield warning(
            about,
            f"is on in {cloud.region}: volume and snapshot will be encrypted with the account's default key, "
            "and an AMI encrypted with AWS's own key cannot be shared",
            "set encrypted = yes, and kms_key to a key that others may use; or turn it off for the region",
        )
    else:
        yield ok(about, "on" if on else "off")


def _key(cloud: Cloud, key: str) -> Iterator[Finding]:
    hint = "correct kms_key in .doit.cfg: an id, ARN or alias/..., in the region of the snapshot"
    if key.startswith("arn:") and key.split(":")[3] != cloud.region:
        yield problem("kms_key", f"{key} is a key of another region than {cloud.region}", hint)
        return
    about: dict[str, Any] = cloud.client("kms").describe_key(KeyId=key)["KeyMetadata"]
    if about["KeyState"] != "Enabled":
        yield problem("kms_key", f"{key} is {about['KeyState']}", "enable the key, or name another as kms_key")
    elif about.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT" or about.get("KeyUsage") == "SIGN_VERIFY":
        yield problem("kms_key", f"{key} is not symmetric: EBS encrypts with symmetric keys only", hint)
    else:
        yield ok("kms_key", f"{about['Arn']} is enabled")


def check_quotas(cloud: Cloud, *, direct: bool, vcpus: int, disks: int) -> list[Finding]:
    """Whether the quotas leave room.

    direct: whether a pending snapshot is made; vcpus: of all surrogates; disks: bytes of the volumes they write.
    """
    found: list[Finding] = []
    if direct:
        found += asked("pending snapshots", lambda: _pending(cloud))
    if vcpus:
        found += asked("running vCPUs", lambda: _vcpus(cloud, vcpus))
    if disks:
        found += asked("gp3 storage", lambda: _gp3(cloud, disks / 2**40))
    return found


def _pending(cloud: Cloud) -> Iterator[Finding]:
    allowed = _quota(cloud, PENDING)
    filters: Any = [{"Name": "status", "Values": ["pending"]}]
    used = len(cloud.ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"])
    yield _room("pending snapshots", allowed, used, 1, "complete or delete some: doit gc")


def _vcpus(cloud: Cloud, needed: int) -> Iterator[Finding]:
    allowed = _quota(cloud, VCPUS)
    filters: Any = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    pages = cloud.ec2.get_paginator("describe_instances").paginate(Filters=filters)
    used = sum(_cores(one) for page in pages for group in page["Reservations"] for one in group["Instances"])
    yield _room("running vCPUs", allowed, used, needed, "end instances, or choose smaller surrogate_types")


def _cores(instance: "InstanceTypeDef") -> int:
    """The vCPUs that count for the quota."""
    counts = instance["InstanceType"][0] in _STANDARD and instance.get("InstanceLifecycle") != "spot"
    cpu = instance.get("CpuOptions", {})
    return cpu.get("CoreCount", 0) * cpu.get("ThreadsPerCore", 0) if counts else 0


def _gp3(cloud: Cloud, needed: float) -> Iterator[Finding]:
    allowed = _quota(cloud, GP3)
    filters: Any = [{"Name": "volume-type", "Values": ["gp3"]}]
    pages = cloud.ec2.get_paginator("describe_volumes").paginate(Filters=filters)
    used = sum(volume["Size"] for page in pages for volume in page["Volumes"]) / 1024
    yield _room("gp3 storage", allowed, used, needed, "remove volumes: doit gc")


def _quota(cloud: Cloud, which: tuple[str, str]) -> float:
    service, code = which
    answer = cloud.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)
    return float(answer["Quota"]["Value"])


def _room(about: str, allowed: float, used: float, needed: float, hint: str) -> Finding:
    said = f"{used:g} of {allowed:g} in use, {needed:.3g} needed"
    if used + needed > allowed:
        return problem(about, said, f"{hint}; or raise the quota in Service Quotas")
    return ok(about, said)


def check_name(cloud: Cloud, coming: Coming) -> list[Finding]:
    """Whether the AMI may be called so: names are unique in an account's region."""
    about = f"AMI name {coming.image_name}"
    return asked(about, lambda: [_name(cloud, coming, about)])


def _name(cloud: Cloud, coming: Coming, about: str) -> Finding:
    filters: Any = [{"Name": "name", "Values": [coming.image_name]}]
    found = cloud.ec2.describe_images(Owners=["self"], IncludeDeprecated=True, IncludeDisabled=True, Filters=filters)
    for image in found["Images"]:
        tags = as_dict(image.get("Tags", []))
        if KEY in tags and tags.get(RECIPE) == coming.name:
            return note(about, f"{image['ImageId']} of this recipe has it; another build of it needs another")
        hint = f"put {{key}} into ami.name of the recipe {coming.name}, or deregister {image['ImageId']}"
        return problem(about, f"is taken by {image['ImageId']}", hint)
    return ok(about, "is free")
