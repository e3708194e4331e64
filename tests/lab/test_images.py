"""Images over the wire.  Source of the rules: EC2 API reference, the action named."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from knitter.lab.service import Lab
from tests.lab.conftest import REGION, boto_client, make_snapshot, read_blocks, refusal, wait_for

pytestmark = pytest.mark.lab
UNKNOWN = "ami-00000000000000000"
_numbers = count()


@pytest.fixture
def register(ec2: Any, snapshot: str) -> Callable[..., str]:
    """Registers a good image with changes; every name is new."""

    def register(**changes: Any) -> str:
        arguments: dict[str, Any] = {
            "Name": f"image {next(_numbers)}",
            "Architecture": "x86_64",
            "VirtualizationType": "hvm",
            "RootDeviceName": "/dev/xvda",
            "BlockDeviceMappings": [
                {
                    "DeviceName": "/dev/xvda",
                    "Ebs": {"SnapshotId": snapshot, "VolumeSize": 8, "VolumeType": "gp3", "DeleteOnTermination": True},
                }
            ],
        }
        return str(ec2.register_image(**(arguments | changes))["ImageId"])

    return register


def shown(ec2: Any, name: str, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_images(ImageIds=[name], **options)["Images"][0]
    return found


def test_what_is_registered_is_described(ec2: Any, register: Callable[..., str], snapshot: str) -> None:
    """RegisterImage, DescribeImages: moto keeps the name and the description only, and invents a 15 GiB snapshot."""
    asked = {
        "Name": "what is registered",
        "Description": "is described",
        "BootMode": "uefi-preferred",
        "EnaSupport": True,
        "SriovNetSupport": "simple",
        "ImdsSupport": "v2.0",
    }
    tags = [{"Key": "knitter:key", "Value": "0"}]
    name = register(**asked, TagSpecifications=[{"ResourceType": "image", "Tags": tags}])
    image = shown(ec2, name)
    expected = asked | {
        "Tags": tags,
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs",
        "ImageType": "machine",
        "ImageLocation": "123456789012/what is registered",
        "OwnerId": "123456789012",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "Public": False,
        "State": "available",
    }
    assert {field: image.get(field) for field in expected} == expected
    assert [mapping["Ebs"]["SnapshotId"] for mapping in image["BlockDeviceMappings"]] == [snapshot]
    age = datetime.now(UTC) - datetime.fromisoformat(image["CreationDate"])
    assert timedelta(seconds=-1) < age < timedelta(minutes=1)
    assert [one["SnapshotId"] for one in ec2.describe_snapshots()["Snapshots"]].count(snapshot) == 1
    wait_for(lambda: ec2.describe_volumes()["Volumes"] == [])  # another test's may be on its way out


def test_errors_travel_with_aws_s_codes(ec2: Any, register: Callable[..., str]) -> None:
    name = shown(ec2, register())["Name"]
    assert refusal(register, Name=name)[:2] == ("InvalidAMIName.Duplicate", 400)
    assert refusal(register, Name="a")[0] == "InvalidAMIName.Malformed"
    assert refusal(register, DryRun=True)[:2] == ("DryRunOperation", 412)
    assert refusal(ec2.describe_images, ImageIds=[UNKNOWN])[::2] == (
        "InvalidAMIID.NotFound",
        f"The image id '[{UNKNOWN}]' does not exist",
    )
    assert refusal(ec2.describe_images, ImageIds=["ami-x"])[0] == "InvalidAMIID.Malformed"


def test_filters(ec2: Any, register: Callable[..., str], snapshot: str) -> None:
    """DescribeImages: name, tag:<key>, tag-key, state, architecture, block-device-mapping.*, and others."""
    tags = [{"ResourceType": "image", "Tags": [{"Key": "colour", "Value": "red"}]}]
    name = register(Name="to be found/1", TagSpecifications=tags)

    def found(**filters: str) -> bool:
        query = [{"Name": key.replace("__", ":").replace("_", "-"), "Values": [text]} for key, text in filters.items()]
        return name in [one["ImageId"] for one in ec2.describe_images(Owners=["self"], Filters=query)["Images"]]

    assert found(name="to be *", tag__colour="red", state="available", architecture="x86_64", is_public="false")
    assert found(tag_key="colour", root_device_type="ebs", owner_id="123456789012")
    assert not found(name="to be")
    assert not found(tag__colour="blue")
    mapping = [{"Name": "block-device-mapping.snapshot-id", "Values": [snapshot]}]
    assert name in [one["ImageId"] for one in ec2.describe_images(Filters=mapping)["Images"]]
    assert ec2.describe_images(Owners=["amazon"])["Images"] == []
    assert refusal(found, colour="red")[0] == "InvalidParameterValue"


def test_a_snapshot_in_use_stays(ec2: Any, register: Callable[..., str], snapshot: str) -> None:
    """DeleteSnapshot: "You cannot delete a snapshot of the root device of an EBS volume used by a registered AMI"."""
    name = register()
    assert refusal(ec2.delete_snapshot, SnapshotId=snapshot)[0] == "InvalidSnapshot.InUse"
    ec2.deregister_image(ImageId=name)


def test_deregistering(ec2: Any, ebs: Any, register: Callable[..., str]) -> None:
    """DeregisterImage: DeleteAssociatedSnapshots deletes what no other image uses, and says what it did with each."""
    root = make_snapshot(ec2, ebs, {})
    mappings = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": root}}]
    first, second = (register(BlockDeviceMappings=mappings) for _ in range(2))
    answer = ec2.deregister_image(ImageId=first, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": root, "ReturnCode": "skipped"}]
    answer = ec2.deregister_image(ImageId=second, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": root, "ReturnCode": "success"}]
    assert refusal(ec2.describe_snapshots, SnapshotIds=[root])[0] == "InvalidSnapshot.NotFound"
    assert ec2.describe_images(ImageIds=[first])["Images"] == []
    assert refusal(ec2.deregister_image, ImageId=first)[0] == "InvalidAMIID.Unavailable"


def test_deprecation(ec2: Any, register: Callable[..., str]) -> None:
    """EnableImageDeprecation: rounded to the minute, not in the past, at most 10 years away."""
    name = register()
    ec2.enable_image_deprecation(ImageId=name, DeprecateAt="2030-01-02T03:04:40Z")
    assert shown(ec2, name)["DeprecationTime"] == "2030-01-02T03:05:00.000Z"
    for wrong in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"):
        found = refusal(ec2.enable_image_deprecation, ImageId=name, DeprecateAt=wrong)
        assert found[0] == "InvalidParameterValue"
    ec2.disable_image_deprecation(ImageId=name)
    assert "DeprecationTime" not in shown(ec2, name)


def test_deregistration_protection(ec2: Any, register: Callable[..., str]) -> None:
    """EnableImageDeregistrationProtection: no deregistration, and with a cool-down none for 24 hours after its end."""
    name = register()
    ec2.enable_image_deregistration_protection(ImageId=name)
    assert shown(ec2, name)["DeregistrationProtection"] == "enabled"
    assert refusal(ec2.deregister_image, ImageId=name)[0] == "OperationNotPermitted"
    ec2.disable_image_deregistration_protection(ImageId=name)
    ec2.deregister_image(ImageId=name)
    name = register()
    ec2.enable_image_deregistration_protection(ImageId=name, WithCooldown=True)
    ec2.disable_image_deregistration_protection(ImageId=name)
    assert refusal(ec2.deregister_image, ImageId=name)[0] == "OperationNotPermitted"


def test_a_disabled_image_is_private_and_hidden(ec2: Any, register: Callable[..., str]) -> None:
    """DisableImage removes all launch permissions; DescribeImages shows it with IncludeDisabled only."""
    name = register()
    ec2.modify_image_attribute(ImageId=name, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    ec2.disable_image(ImageId=name)
    assert ec2.describe_images(ImageIds=[name])["Images"] == []
    image = shown(ec2, name, IncludeDisabled=True)
    assert (image["State"], image["Public"]) == ("disabled", False)
    ec2.enable_image(ImageId=name)
    assert shown(ec2, name)["State"] == "available"
    assert ec2.describe_image_attribute(ImageId=name, Attribute="launchPermission")["LaunchPermissions"] == []


def test_attributes(ec2: Any, register: Callable[..., str]) -> None:
    """DescribeImageAttribute, ModifyImageAttribute: the description; ImdsSupport can be set, never unset."""
    name = register(BootMode="uefi", TpmSupport="v2.0", UefiData="AAAA")

    def attribute(which: str) -> str | None:
        answer = ec2.describe_image_attribute(ImageId=name, Attribute=which)
        value: str | None = answer[which[0].upper() + which[1:]].get("Value")
        return value

    assert (attribute("bootMode"), attribute("tpmSupport"), attribute("uefiData")) == ("uefi", "v2.0", "AAAA")
    assert attribute("imdsSupport") is None
    ec2.modify_image_attribute(ImageId=name, Description={"Value": "new"})
    ec2.modify_image_attribute(ImageId=name, Attribute="imdsSupport", Value="v2.0")
    assert (attribute("description"), attribute("imdsSupport")) == ("new", "v2.0")
    assert (shown(ec2, name)["Description"], shown(ec2, name)["ImdsSupport"]) == ("new", "v2.0")
    found = refusal(ec2.modify_image_attribute, ImageId=name, ImdsSupport={"Value": ""})
    assert found[0] == "InvalidParameterValue"


def test_launch_permissions(ec2: Any, register: Callable[..., str]) -> None:
    """ModifyImageAttribute takes a structure or the flat lists, of which moto keeps the first organization only."""
    name = register()
    organizations = [f"arn:aws:organizations::123456789012:organization/o-{n}" for n in range(2)]
    ec2.modify_image_attribute(ImageId=name, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    ec2.modify_image_attribute(
        ImageId=name, Attribute="launchPermission", OperationType="add", OrganizationArns=organizations
    )
    granted = ec2.describe_image_attribute(ImageId=name, Attribute="launchPermission")["LaunchPermissions"]
    assert granted == [{"UserId": "111122223333"}, *({"OrganizationArn": arn} for arn in organizations)]
    ec2.modify_image_attribute(ImageId=name, LaunchPermission={"Remove": [{"UserId": "111122223333"}]})
    assert len(ec2.describe_image_attribute(ImageId=name, Attribute="launchPermission")["LaunchPermissions"]) == 2
    ec2.reset_image_attribute(ImageId=name, Attribute="launchPermission")
    assert ec2.describe_image_attribute(ImageId=name, Attribute="launchPermission")["LaunchPermissions"] == []
    wrong = {"Add": [{"UserId": "me"}]}
    found = refusal(ec2.modify_image_attribute, ImageId=name, LaunchPermission=wrong)
    assert found[0] == "InvalidAMIAttributeItemValue"


def test_public_sharing_is_blocked_until_it_is_allowed(ec2: Any, register: Callable[..., str]) -> None:
    """EC2 user guide, "Block public access to your AMIs": enabled for new accounts; what is public stays so."""
    name = register()
    everyone = {"Add": [{"Group": "all"}]}
    assert refusal(ec2.modify_image_attribute, ImageId=name, LaunchPermission=everyone)[0] == "OperationNotPermitted"
    ec2.disable_image_block_public_access()
    assert ec2.get_image_block_public_access_state()["ImageBlockPublicAccessState"] == "unblocked"
    ec2.modify_image_attribute(ImageId=name, LaunchPermission=everyone)
    ec2.enable_image_block_public_access(ImageBlockPublicAccessState="block-new-sharing")
    assert ec2.get_image_block_public_access_state()["ImageBlockPublicAccessState"] == "block-new-sharing"
    assert shown(ec2, name)["Public"] is True


def test_an_image_goes_to_another_region(lab: Lab, ec2: Any, ebs: Any, register: Callable[..., str]) -> None:
    """CopyImage: called in the destination; all fields and blocks; tags if asked; launch permissions never."""
    tags = [{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]}]
    name = register(BootMode="uefi", EnaSupport=True, TagSpecifications=tags)
    ec2.modify_image_attribute(ImageId=name, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    far, far_ebs = (boto_client(lab, service, region="sa-east-1") for service in ("ec2", "ebs"))
    asked = {"Name": "a copy", "SourceImageId": name, "SourceRegion": REGION, "CopyImageTags": True}
    copy = shown(far, far.copy_image(**asked)["ImageId"])
    source = shown(ec2, name)
    assert (copy["SourceImageId"], copy["SourceImageRegion"]) == (name, REGION)
    granted = far.describe_image_attribute(ImageId=copy["ImageId"], Attribute="launchPermission")
    assert granted["LaunchPermissions"] == []
    assert [copy[field] for field in ("BootMode", "EnaSupport", "Tags")] == ["uefi", True, tags[0]["Tags"]]
    ours, theirs = (image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] for image in (source, copy))
    assert ours != theirs
    far.get_waiter("snapshot_completed").wait(SnapshotIds=[theirs], WaiterConfig={"Delay": 1, "MaxAttempts": 10})
    assert read_blocks(far_ebs, theirs) == read_blocks(ebs, ours)
    assert refusal(far.copy_image, **asked)[0] == "InvalidAMIName.Duplicate"


def test_actions_nobody_has_written_are_errors_of_the_api(ec2: Any) -> None:
    """Moto answers an HTML page, on which boto3 fails to parse."""
    assert refusal(ec2.describe_fast_snapshot_restores)[:2] == ("InvalidAction", 400)
    assert refusal(ec2.create_image, InstanceId="i-0123456789abcdef0", Name="image")[0] == "InvalidAction"


def test_every_service_checks_the_signature(lab: Lab) -> None:
    """EC2's common errors: AuthFailure 401; those of STS: 403."""
    wrong = {name: boto_client(lab, name, secret="wrong") for name in ("ec2", "sts", "ssm")}
    assert refusal(wrong["ec2"].describe_images)[:2] == ("AuthFailure", 401)
    assert refusal(wrong["sts"].get_caller_identity)[:2] == ("SignatureDoesNotMatch", 403)
    assert refusal(wrong["ssm"].describe_parameters)[:2] == ("InvalidSignatureException", 403)
    assert boto_client(lab, "sts").get_caller_identity()["Account"] == "123456789012"
    assert boto_client(lab, "ssm").describe_parameters()["Parameters"] == []
