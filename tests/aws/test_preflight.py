"""What preflight finds in an account: of the lab's, and of one that is poorer."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from knitter.aws.images import ensure_image
from knitter.aws.preflight import Coming, Finding, Plan, examine
from knitter.aws.preflight.finding import asked, ok
from knitter.aws.preflight.machines import refusal
from knitter.aws.preflight.rights import Trial, judge
from knitter.aws.session import Cloud
from knitter.aws.source import SourceImage
from knitter.errors import CloudError, KnitterError
from knitter.interrupt import Interrupted
from knitter.settings import Settings
from tests.aws.test_images import make_wanted
from tests.aws.test_snapshots import ensure, make_order

Via = Literal["direct", "surrogate"]


SMALL = SourceImage(
    "ami-0123456789abcdef0", "al2023", "x86_64", "/dev/xvda", "uefi-preferred", ena=True, user="ec2-user"
)


def kind(architecture: str = "x86_64", modes: tuple[str, ...] = ("legacy-bios", "uefi"), ena: str = "required") -> Any:
    return {
        "ProcessorInfo": {"SupportedArchitectures": [architecture]},
        "SupportedBootModes": list(modes),
        "NetworkInfo": {"EnaSupport": ena},
    }


@pytest.mark.parametrize(
    ("type_", "image", "says"),
    [
        (kind(), SMALL, ""),
        (kind("arm64"), SMALL, "arm64"),
        (kind(modes=("legacy-bios",)), replace(SMALL, boot_mode="uefi"), "the image by uefi"),
        (kind(modes=("legacy-bios",)), replace(SMALL, boot_mode="uefi-preferred"), ""),
        (kind(modes=("uefi",)), replace(SMALL, boot_mode=""), "by legacy-bios"),
        (kind("arm64", ("uefi",)), replace(SMALL, architecture="arm64", boot_mode=""), ""),
        (kind(), replace(SMALL, ena=False), "ENA"),
        (kind(ena="unsupported"), replace(SMALL, ena=False), ""),
    ],
)
def test_which_type_boots_which_image(type_: Any, image: SourceImage, says: str) -> None:
    assert (says in refusal(type_, image)) if says else refusal(type_, image) == ""


def _refusing(error: Exception) -> Callable[[], Iterator[Finding]]:
    def ask() -> Iterator[Finding]:
        raise error
        yield ok("", "")

    return ask


@pytest.mark.parametrize(
    ("code", "state"),
    [("InvalidAction", "note"), ("500", "note"), ("UnauthorizedOperation", "note"), ("InvalidSubnetID", "problem")],
)
def test_what_cannot_be_asked_is_no_failure(code: str, state: str) -> None:
    (found,) = asked("quotas", _refusing(CloudError("quotas: no", code=code)))
    assert found.state == state
    assert found.about == "quotas"


def test_other_errors_of_knitter_are_findings_and_an_interrupt_is_not() -> None:
    (found,) = asked("source", _refusing(KnitterError("there is no recipe x", hint="correct it")))
    assert found.line == "source: there is no recipe x (correct it)"
    with pytest.raises(Interrupted):
        asked("source", _refusing(Interrupted()))


@pytest.mark.parametrize(
    ("code", "makes", "state"),
    [
        ("DryRunOperation", True, "ok"),
        ("UnauthorizedOperation", True, "problem"),
        ("UnauthorizedOperation", False, "note"),
        ("InvalidVolume.NotFound", False, "ok"),
        ("InvalidParameterValue", True, "problem"),
        ("InvalidAction", True, "note"),
    ],
)
def test_what_a_dry_run_means(code: str, makes: bool, state: str) -> None:
    """What is about a thing that does not exist is refused by a policy that looks at its tags: that tells nothing."""
    assert judge(Trial("CreateVolume", {}, makes=makes), CloudError("no", code=code)).state == state


@pytest.fixture
def source(cloud: Cloud, tmp_path: Path) -> SourceImage:
    """An AMI that is there: RunInstances looks for it, even when it is asked by DryRun."""
    order = make_order(tmp_path, secrets.token_hex(32))
    return replace(SMALL, id=ensure_image(cloud, make_wanted(ensure(cloud, order).id, order.key)))


def look(
    cloud: Cloud, source: SourceImage | None = None, *, roads: tuple[Via, ...] = ("surrogate",), **values: Any
) -> list[Finding]:
    settings = Settings.model_validate({"region": cloud.region, **values})
    find = (lambda _: source) if source else None
    return examine(lambda: cloud, Plan(settings, roads, find_source=find))


def problems(found: list[Finding]) -> list[str]:
    return [one.line for one in found if one.state == "problem"]


@pytest.mark.lab
def test_the_lab_lacks_nothing(cloud: Cloud, source: SourceImage) -> None:
    found = look(cloud, source, roads=("direct", "surrogate"))
    assert problems(found) == []
    allowed = next(one.text for one in found if one.about == "EC2 permissions")
    for action in ("RunInstances", "CreateVolume", "CreateSecurityGroup", "AttachVolume", "CreateSnapshot"):
        assert action in allowed


@pytest.mark.lab
def test_subnets_groups_and_types_that_do_not_exist_are_told_at_once(cloud: Cloud) -> None:
    found = look(
        cloud,
        surrogate_subnets="subnet-0123456789abcdef0",
        surrogate_security_groups="sg-0123456789abcdef0",
        surrogate_types="t9.small",
        encrypted="yes",
        kms_key="alias/nobody",
    )
    told = " ".join(problems(found))
    for name in ("subnet-0123456789abcdef0", "sg-0123456789abcdef0", "t9.small", "kms_key"):
        assert name in told
    assert "surrogate_subnets" in told


@pytest.mark.lab
def test_a_subnet_without_a_way_in(cloud: Cloud) -> None:
    vpc = cloud.ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = cloud.ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24")["Subnet"]["SubnetId"]
    (told,) = problems(look(cloud, surrogate_subnets=subnet))
    assert "internet gateway" in told
    assert "ssh_interface = private_ip" in told
    assert problems(look(cloud, surrogate_subnets=subnet, ssh_interface="private_ip")) == []
    assert problems(look(cloud, surrogate_subnets=subnet, ssh_proxy_command="nc {address} {port}")) == []
    (told,) = problems(look(cloud, surrogate_subnets=subnet, ssh_interface="ipv6"))
    assert "IPv6" in told


@pytest.mark.lab
def test_a_subnet_with_a_way_in_and_a_group_of_another_vpc(cloud: Cloud) -> None:
    vpc = cloud.ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnet = cloud.ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
    gateway = cloud.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    cloud.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    (table,) = cloud.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    cloud.ec2.create_route(
        RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
    )  # by the VPC's main table
    assert problems(look(cloud, surrogate_subnets=subnet)) == []
    foreign = cloud.ec2.create_security_group(GroupName="elsewhere", Description="of the default VPC")["GroupId"]
    found = look(cloud, surrogate_subnets=subnet, surrogate_security_groups=foreign)
    (told,) = problems(found)
    assert vpc in told
    assert any(one.state == "warning" and "port 22" in one.text for one in found)


@pytest.mark.lab
def test_a_source_of_another_architecture(cloud: Cloud) -> None:
    told = problems(look(cloud, SMALL, surrogate_types="t4g.small"))
    assert any("ami-0123456789abcdef0 is x86_64" in line for line in told)
    assert any("instance type t4g.small: cannot boot al2023" in line for line in told)


@pytest.mark.lab
def test_an_ami_that_will_not_boot_on_the_types(cloud: Cloud) -> None:
    settings = Settings(region=cloud.region, surrogate_types=("m3.medium",))
    coming = [Coming("small", "x86_64", "uefi", ena=True), Coming("arm", "arm64", "uefi", ena=True)]
    (told,) = problems(examine(lambda: cloud, Plan(settings, ["surrogate"], coming=coming)))
    assert "AMI of small" in told
    assert "m3.medium" in told


@pytest.mark.lab
def test_an_ami_without_ena_does_not_stop_its_build_for_types_it_is_not_meant_for(cloud: Cloud) -> None:
    settings = Settings(region=cloud.region, surrogate_types=("t3.medium",))
    coming = [Coming("old", "x86_64", "legacy-bios", ena=False)]
    found = examine(lambda: cloud, Plan(settings, ["surrogate"], coming=coming))
    assert problems(found) == []
    assert any(one.state == "note" and "AMI of old: does not boot on t3.medium" in one.line for one in found)


@pytest.mark.lab
def test_a_source_that_is_not_found_does_not_hide_the_rest(cloud: Cloud) -> None:
    def missing(_: Cloud) -> SourceImage:
        raise CloudError("there is no AMI ami-1", code="InvalidAMIID.NotFound", hint="correct surrogate_image")

    settings = Settings(region=cloud.region, surrogate_types=("t9.small",))
    told = problems(examine(lambda: cloud, Plan(settings, ["surrogate"], find_source=missing)))
    assert len(told) == 2
    assert "surrogate_image (default): there is no AMI ami-1" in told[0]


@pytest.mark.lab
def test_keys(cloud: Cloud) -> None:
    kms = cloud.client("kms")
    key = kms.create_key()["KeyMetadata"]
    assert problems(look(cloud, encrypted="yes", kms_key=key["Arn"])) == []
    kms.disable_key(KeyId=key["KeyId"])
    (told,) = problems(look(cloud, roads=("direct",), encrypted="yes", kms_key=key["KeyId"]))
    assert "Disabled" in told
    (told,) = problems(
        look(cloud, roads=("direct",), encrypted="yes", kms_key=key["Arn"].replace(cloud.region, "us-west-1"))
    )
    assert "another region" in told


@pytest.mark.lab
def test_encryption_by_default_is_said(cloud: Cloud) -> None:
    cloud.ec2.enable_ebs_encryption_by_default()
    try:
        found = look(cloud, roads=("direct",))
        assert problems(found) == []
        assert any(one.state == "warning" and "encrypted" in one.text for one in found)
        assert not any(one.state == "warning" for one in look(cloud, roads=("direct",), encrypted="yes"))
    finally:
        cloud.ec2.disable_ebs_encryption_by_default()


@pytest.mark.lab
def test_a_name_that_is_taken(cloud: Cloud, tmp_path: Path) -> None:
    order = make_order(tmp_path, secrets.token_hex(32))
    wanted = make_wanted(ensure(cloud, order).id, order.key)
    image = ensure_image(cloud, wanted)
    settings = Settings(region=cloud.region)

    def ask(recipe: str, name: str) -> list[Finding]:
        coming = [Coming(recipe, "x86_64", "uefi", ena=True, image_name=name)]
        return examine(lambda: cloud, Plan(settings, ["direct"], coming=coming))

    (told,) = problems(ask("another", wanted.name))
    assert f"is taken by {image}" in told
    assert "{key}" in told
    assert problems(ask("small", wanted.name)) == []
    assert problems(ask("another", f"{wanted.name}-2")) == []
