"""AMIs: what is sent, what must come back, and what is said when it is refused."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from knitter.aws import images
from knitter.aws.images import RefusedImageError, check, ensure_image
from knitter.aws.registration import Wanted, differences, plan_registration, refused_field
from knitter.aws.session import Cloud
from knitter.aws.tags import as_dict, stamp
from knitter.errors import KnitterError
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY
from tests.aws.tap import Moment, Tap
from tests.aws.test_snapshots import ensure, make_order


def make_wanted(snapshot: str, key: str) -> Wanted:
    name = f"small-20261123-{key[:8]}"
    return Wanted(
        name=name,
        description="A small one",
        architecture="x86_64",
        boot_mode="uefi-preferred",
        root_device="/dev/xvda",
        snapshot=snapshot,
        size=2,
        volume_type="gp3",
        iops=3500,
        delete_on_termination=True,
        ephemeral=(),
        ena=True,
        imds="v2.0",
        tpm=False,
        tags=stamp(key=key, recipe="small", stage="ami", name=name) | {"team": "a"},
        snapshot_tags={"team": "a"},
    )


WANTED = make_wanted("snap-0123456789abcdef0", "f" * 64)


def test_nothing_is_left_to_aws_defaults() -> None:
    """API Reference, RegisterImage: the defaults are i386, paravirtual, no ENA, no boot mode."""
    plan = plan_registration(WANTED)
    ebs = plan["BlockDeviceMappings"][0].pop("Ebs")
    tags = as_dict(plan.pop("TagSpecifications")[0]["Tags"])
    assert plan == {
        "Name": WANTED.name,
        "Description": "A small one",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "BootMode": "uefi-preferred",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda"}],
        "EnaSupport": True,
        "SriovNetSupport": "simple",
        "ImdsSupport": "v2.0",
    }
    assert ebs == {
        "SnapshotId": WANTED.snapshot,
        "VolumeSize": 2,
        "VolumeType": "gp3",
        "Iops": 3500,
        "DeleteOnTermination": True,
    }
    assert {"knitter:key", "knitter:recipe", "knitter:stage", "knitter:run", "Name", "team"} == set(tags)


def test_imds_v1_and_tpm_are_said_as_the_api_wants_them() -> None:
    plan = plan_registration(replace(WANTED, imds="v1.0", tpm=True, iops=None, description=""))
    assert "ImdsSupport" not in plan
    assert "Description" not in plan
    assert plan["TpmSupport"] == "v2.0"
    assert "Iops" not in plan["BlockDeviceMappings"][0]["Ebs"]


def test_the_instance_store_is_mapped_in_order() -> None:
    plan = plan_registration(replace(WANTED, ephemeral=("/dev/sdc", "/dev/sdb")))
    assert plan["BlockDeviceMappings"][1:] == [
        {"DeviceName": "/dev/sdc", "VirtualName": "ephemeral0"},
        {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral1"},
    ]


def test_without_ena_there_is_no_enhanced_networking_at_all() -> None:
    plan = plan_registration(replace(WANTED, ena=False))
    assert (plan["EnaSupport"], "SriovNetSupport" in plan) == (False, False)


def _as_described(wanted: Wanted) -> dict[str, Any]:
    plan = plan_registration(wanted)
    return {**plan, "RootDeviceType": "ebs", "Tags": plan.pop("TagSpecifications")[0]["Tags"]}


def test_what_comes_back_as_sent_is_no_difference() -> None:
    for wanted in (WANTED, replace(WANTED, ephemeral=("/dev/sdc", "/dev/sdb"), ena=False)):
        assert differences(wanted, _as_described(wanted)) == []


def test_another_order_of_the_instance_store_is_a_difference() -> None:
    described = _as_described(replace(WANTED, ephemeral=("/dev/sdb",)))
    assert differences(WANTED, described) == [("VirtualName", "", "/dev/sdb ephemeral0")]
    turned = replace(WANTED, ephemeral=("/dev/sdc", "/dev/sdb"))
    described = _as_described(replace(WANTED, ephemeral=("/dev/sdb", "/dev/sdc")))
    expected, found = "/dev/sdb ephemeral1, /dev/sdc ephemeral0", "/dev/sdb ephemeral0, /dev/sdc ephemeral1"
    assert differences(turned, described) == [("VirtualName", expected, found)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"Architecture": "i386"}, "Architecture"),
        ({"BootMode": "legacy-bios"}, "BootMode"),
        ({"EnaSupport": False}, "EnaSupport"),
        ({"ImdsSupport": None}, "ImdsSupport"),
        ({"TpmSupport": "v2.0"}, "TpmSupport"),
        ({"Description": "other"}, "Description"),
        ({"Tags": []}, "tag team"),
    ],
)
def test_each_difference_is_found(change: dict[str, Any], field: str) -> None:
    described = _as_described(WANTED) | change
    assert field in [name for name, _, _ in differences(WANTED, described)]


def test_another_snapshot_is_a_difference() -> None:
    described = _as_described(WANTED)
    described["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] = "snap-1"
    assert differences(WANTED, described) == [("SnapshotId", WANTED.snapshot, "snap-1")]


def test_differences_are_shown_as_a_table() -> None:
    with pytest.raises(KnitterError) as caught:
        check("ami-1", [("BootMode", "uefi", "legacy-bios"), ("VolumeSize", "8", "15")])
    assert caught.value.details.splitlines() == [
        "BootMode    expected uefi, found legacy-bios",
        "VolumeSize  expected 8, found 15",
    ]


@pytest.mark.parametrize(
    ("code", "message", "field"),
    [
        ("InvalidAMIName.Duplicate", "", "Name"),
        ("InvalidAMIName.Malformed", "", "Name"),
        ("InvalidSnapshot.NotFound", "The snapshot 'snap-1' does not exist.", "SnapshotId"),
        (
            "InvalidBlockDeviceMapping",
            "Volume of size 15GB is smaller than snapshot 'snap-1', expect size >= 30GB",
            "VolumeSize",
        ),
        ("InvalidBlockDeviceMapping", "The root device '/dev/sda1' is not in the mapping", "RootDeviceName"),
        ("InvalidParameterCombination", "TPM support requires the boot mode to be UEFI", "TpmSupport"),
        ("InvalidParameterValue", "Value (bios) for parameter bootMode is invalid", "BootMode"),
        ("InvalidParameterValue", "legacy-bios is not supported for arm64", "BootMode"),
        ("InvalidParameterValue", "Value (mips) for parameter architecture is invalid", "Architecture"),
        ("InvalidParameterValue", "Value (gp9) for parameter volumeType is invalid", "VolumeType"),
        ("UnauthorizedOperation", "You are not authorized to perform this operation.", ""),
    ],
)
def test_refusals_are_traced_to_a_parameter(code: str, message: str, field: str) -> None:
    """Amazon EC2 API Reference, "Error codes for the Amazon EC2 API"."""
    assert refused_field(code, message) == field


@pytest.fixture(scope="session")
def snapshot(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    cloud = Cloud("lab", "eu-central-1", endpoint=endpoint, keys=(ACCESS_KEY, SECRET_KEY))
    return ensure(cloud, make_order(tmp_path_factory.mktemp("disk"), hashlib.sha256(b"images").hexdigest())).id


@pytest.fixture
def wanted(snapshot: str) -> Wanted:
    return make_wanted(snapshot, secrets.token_hex(32))


def with_key(cloud: Cloud, key: str) -> list[str]:
    filters: Any = [{"Name": "tag:knitter:key", "Values": [key]}]
    return [one["ImageId"] for one in cloud.ec2.describe_images(Owners=["self"], Filters=filters)["Images"]]


@pytest.mark.lab
def test_registered_once(cloud: Cloud, wanted: Wanted) -> None:
    image = ensure_image(cloud, wanted)
    assert ensure_image(cloud, wanted) == image
    assert with_key(cloud, wanted.tags["knitter:key"]) == [image]
    assert images.is_available(cloud, image, snapshot=wanted.snapshot)
    assert not images.is_available(cloud, image, snapshot="snap-00000000000000001")
    found = images.find_available(cloud, wanted.tags["knitter:key"])
    assert found is not None
    assert (found.id, found.name) == (image, wanted.name)
    tags = as_dict(cloud.ec2.describe_snapshots(SnapshotIds=[wanted.snapshot])["Snapshots"][0]["Tags"])
    assert tags["team"] == "a"
    assert tags["knitter:stage"] == "snapshot"


@pytest.mark.lab
def test_deregistered_is_gone(cloud: Cloud, wanted: Wanted) -> None:
    image = ensure_image(cloud, wanted)
    assert images.is_available(cloud, image, snapshot=wanted.snapshot)
    cloud.ec2.deregister_image(ImageId=image)
    cloud.forget()
    assert not images.is_available(cloud, image, snapshot=wanted.snapshot)
    assert ensure_image(cloud, wanted) != image


@pytest.mark.lab
@pytest.mark.parametrize("hide", [False, True], ids=["in use", "disabled"])
def test_a_name_that_is_taken_says_by_whom(cloud: Cloud, wanted: Wanted, *, hide: bool) -> None:
    image = ensure_image(cloud, wanted)
    if hide:
        cloud.ec2.disable_image(ImageId=image)
    key = secrets.token_hex(32)
    other = replace(wanted, tags=wanted.tags | {"knitter:key": key})
    with pytest.raises(KnitterError, match=f"{wanted.name} is taken by {image}") as caught:
        ensure_image(cloud, other)
    assert wanted.tags["knitter:key"][:8] in caught.value.details
    assert "{key}" in caught.value.hint
    assert with_key(cloud, key) == []


@pytest.mark.lab
def test_an_image_that_is_not_what_was_asked_for_is_named(cloud: Cloud, wanted: Wanted) -> None:
    image = ensure_image(cloud, wanted)
    with pytest.raises(KnitterError, match=f"{image} is not what was asked for") as caught:
        ensure_image(cloud, replace(wanted, boot_mode="uefi", size=3))
    assert caught.value.details.splitlines() == [
        "BootMode    expected uefi, found uefi-preferred",
        "VolumeSize  expected 3, found 2",
    ]


REFUSED: list[tuple[str, Callable[[Wanted], Wanted], str]] = [
    ("Name", lambda wanted: replace(wanted, name="no!"), "InvalidAMIName.Malformed"),
    ("SnapshotId", lambda wanted: replace(wanted, snapshot="snap-00000000000000001"), "InvalidSnapshot.NotFound"),
    ("BootMode", lambda wanted: replace(wanted, architecture="arm64"), "InvalidParameterCombination"),
    ("TpmSupport", lambda wanted: replace(wanted, tpm=True, boot_mode="legacy-bios"), "InvalidParameterCombination"),
    ("VolumeType", lambda wanted: replace(wanted, volume_type="gp9"), "InvalidParameterValue"),
    ("RootDeviceName", lambda wanted: replace(wanted, root_device="banana"), "InvalidBlockDeviceMapping"),
    ("Description", lambda wanted: replace(wanted, description="x" * 300), "InvalidParameterValue"),
]


@pytest.mark.lab
@pytest.mark.parametrize(("field", "change", "code"), REFUSED, ids=[field for field, _, _ in REFUSED])
def test_a_refusal_names_its_parameter(
    cloud: Cloud, wanted: Wanted, field: str, change: Callable[[Wanted], Wanted], code: str
) -> None:
    """As the lab, which follows the API Reference, refuses it."""
    with pytest.raises(RefusedImageError) as caught:
        ensure_image(cloud, change(wanted))
    assert (caught.value.field, caught.value.code) == (field, code)
    assert with_key(cloud, wanted.tags["knitter:key"]) == []


RUN = """
import sys
from knitter.aws.images import ensure_image
from knitter.aws.session import Cloud
from tests.aws.test_images import make_wanted
endpoint, snapshot, key, *keys = sys.argv[1:]
ensure_image(Cloud("lab", "eu-central-1", endpoint=endpoint, keys=tuple(keys)), make_wanted(snapshot, key))
"""


@pytest.mark.lab
@pytest.mark.parametrize(
    "moment",
    [
        Moment("Action=RegisterImage", "before"),
        Moment("Action=RegisterImage", "after"),
        Moment("Action=CreateTags", "before"),
        Moment("Action=CreateTags", "after"),
    ],
    ids=str,
)
def test_killed_anywhere_the_next_run_ends_with_one_ami(cloud: Cloud, wanted: Wanted, moment: Moment) -> None:
    key = wanted.tags["knitter:key"]
    with Tap(cloud.endpoint) as tap:
        tap.kill(RUN, wanted.snapshot, key, *(cloud.keys or ()), moment=moment)
    image = ensure_image(cloud, wanted)
    assert with_key(cloud, key) == [image]
