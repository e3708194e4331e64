"""RegisterImage's rules, without a server.  Source: EC2 API reference, RegisterImage and EbsBlockDevice."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knitter.lab import images
from knitter.lab.calls import Call
from knitter.lab.errors import ApiError
from knitter.lab.ledger import Ledger
from knitter.lab.rack import Rack
from knitter.lab.records import Snapshot, now
from tests.lab.fakes import Shelf

ACCOUNT = "123456789012"
DONE = "snap-0123456789abcdef0"
PENDING = "snap-0123456789abcdef1"
GOOD = {
    "Name": "image 1",
    "Architecture": "x86_64",
    "VirtualizationType": "hvm",
    "RootDeviceName": "/dev/xvda",
    "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": DONE}}],
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path)
    for name, done in ((DONE, time.time()), (PENDING, None)):
        ledger.blocks.create(name, size=1 << 30)
        ledger.keep(Snapshot(id=name, account=ACCOUNT, region="r", volume_size=4, started=now(), completed=done))
    yield ledger
    ledger.close()


def register(ledger: Ledger, **changes: Any) -> dict[str, Any]:
    """What DescribeImages shows of an image registered with GOOD and *changes*."""
    made = images.register_image(call(ledger, GOOD | changes))
    found: list[dict[str, Any]] = images.describe_images(call(ledger, {"ImageIds": [made["ImageId"]]}))["Images"]
    return found[0]


def call(ledger: Ledger, parameters: dict[str, Any]) -> Call:
    return Call(ledger, ACCOUNT, "r", parameters.get, Rack(ledger, Shelf(Path())), None, parameters)


def ebs(**fields: Any) -> list[dict[str, Any]]:
    return [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": DONE} | fields}]


def test_defaults_are_aws_s_traps(ledger: Ledger) -> None:
    """Default of Architecture: i386; of VirtualizationType: paravirtual; of VolumeSize: the snapshot's."""
    bare = {"Architecture": None, "VirtualizationType": None}
    image = register(ledger, **bare)
    assert (image["Architecture"], image["VirtualizationType"], image["EnaSupport"]) == ("i386", "paravirtual", False)
    assert image["BlockDeviceMappings"][0]["Ebs"] == {
        "SnapshotId": DONE,
        "VolumeSize": 4,
        "VolumeType": "gp2",
        "DeleteOnTermination": True,
        "Encrypted": False,
    }


def test_every_field_is_kept(ledger: Ledger) -> None:
    volume = {"VolumeSize": 8, "VolumeType": "gp3", "Iops": 4000, "Throughput": 500, "DeleteOnTermination": False}
    fields = {"BootMode": "uefi", "TpmSupport": "v2.0", "EnaSupport": True, "SriovNetSupport": "simple"}
    image = register(ledger, **fields, Description="text", ImdsSupport="v2.0", BlockDeviceMappings=ebs(**volume))
    assert fields.items() <= image.items()
    assert image["BlockDeviceMappings"][0]["Ebs"] == volume | {"SnapshotId": DONE, "Encrypted": False}
    assert (image["Description"], image["ImdsSupport"]) == ("text", "v2.0")
    assert (image["State"], image["Public"], image["OwnerId"]) == ("available", False, ACCOUNT)
    assert (image["RootDeviceName"], image["RootDeviceType"]) == ("/dev/xvda", "ebs")


def virtual(*names: str) -> list[dict[str, Any]]:
    stores = [
        {"DeviceName": f"/dev/sd{letter}", "VirtualName": name} for letter, name in zip("bcd", names, strict=False)
    ]
    return [*ebs(), *stores]


def test_instance_store_is_kept(ledger: Ledger) -> None:
    image = register(ledger, BlockDeviceMappings=virtual("ephemeral0", "ephemeral23"))
    assert image["BlockDeviceMappings"][1:] == virtual("ephemeral0", "ephemeral23")[1:]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no name", {"Name": None}, "MissingParameter"),
    ("short name", {"Name": "ab"}, "InvalidAMIName.Malformed"),
    ("long name", {"Name": "a" * 129}, "InvalidAMIName.Malformed"),
    ("colon in the name", {"Name": "a:b:c"}, "InvalidAMIName.Malformed"),
    ("long description", {"Description": "d" * 256}, "InvalidParameterValue"),
    ("unknown architecture", {"Architecture": "riscv"}, "InvalidParameterValue"),
    ("unknown boot mode", {"BootMode": "bios"}, "InvalidParameterValue"),
    ("arm64 by BIOS", {"Architecture": "arm64", "BootMode": "legacy-bios"}, "InvalidParameterCombination"),
    ("TPM by BIOS", {"TpmSupport": "v2.0", "BootMode": "legacy-bios"}, "InvalidParameterCombination"),
    ("TPM without a boot mode", {"TpmSupport": "v2.0"}, "InvalidParameterCombination"),
    ("another TPM", {"TpmSupport": "v1.2", "BootMode": "uefi"}, "InvalidParameterValue"),
    ("another IMDS", {"ImdsSupport": "v1.0"}, "InvalidParameterValue"),
    ("ENA of a paravirtual image", {"VirtualizationType": None, "EnaSupport": True}, "InvalidParameterCombination"),
    ("no mappings", {"BlockDeviceMappings": []}, "MissingParameter"),
    ("no root device", {"RootDeviceName": None}, "MissingParameter"),
    ("root not mapped", {"RootDeviceName": "/dev/sda1"}, "InvalidBlockDeviceMapping"),
    ("a device twice", {"BlockDeviceMappings": ebs() * 2}, "InvalidBlockDeviceMapping"),
    ("an unknown virtual name", {"BlockDeviceMappings": virtual("ephemeral24")}, "InvalidBlockDeviceMapping"),
    ("a virtual name twice", {"BlockDeviceMappings": virtual("ephemeral0", "ephemeral0")}, "InvalidBlockDeviceMapping"),
    ("root without a snapshot", {"BlockDeviceMappings": ebs(SnapshotId=None)}, "InvalidBlockDeviceMapping"),
    ("malformed snapshot id", {"BlockDeviceMappings": ebs(SnapshotId="snap-0bad")}, "InvalidSnapshotID.Malformed"),
    ("no such snapshot", {"BlockDeviceMappings": ebs(SnapshotId="snap-00000000")}, "InvalidSnapshot.NotFound"),
    ("pending snapshot", {"BlockDeviceMappings": ebs(SnapshotId=PENDING)}, "IncorrectState"),
    ("smaller than the snapshot", {"BlockDeviceMappings": ebs(VolumeSize=3)}, "InvalidBlockDeviceMapping"),
    ("encrypted with a snapshot", {"BlockDeviceMappings": ebs(Encrypted=False)}, "InvalidBlockDeviceMapping"),
    ("a KMS key", {"BlockDeviceMappings": ebs(KmsKeyId="k")}, "InvalidBlockDeviceMapping"),
    ("unknown volume type", {"BlockDeviceMappings": ebs(VolumeType="gp9")}, "InvalidParameterValue"),
    ("unbootable type", {"BlockDeviceMappings": ebs(VolumeType="st1", VolumeSize=500)}, "InvalidBlockDeviceMapping"),
    ("volume too large", {"BlockDeviceMappings": ebs(VolumeType="gp2", VolumeSize=16385)}, "InvalidBlockDeviceMapping"),
    ("IOPS of gp2", {"BlockDeviceMappings": ebs(VolumeType="gp2", Iops=3000)}, "InvalidParameterCombination"),
    ("too few IOPS", {"BlockDeviceMappings": ebs(VolumeType="gp3", Iops=100)}, "InvalidParameterValue"),
    ("io2 without IOPS", {"BlockDeviceMappings": ebs(VolumeType="io2")}, "MissingParameter"),
    ("throughput of io1", {"BlockDeviceMappings": ebs(VolumeType="io1", Iops=100, Throughput=125)},
     "InvalidParameterCombination"),
    ("tags of a snapshot", {"TagSpecifications": [{"ResourceType": "snapshot", "Tags": []}]}, "InvalidParameterValue"),
    ("aws: tags", {"TagSpecifications": [{"ResourceType": "image", "Tags": [{"Key": "aws:x", "Value": ""}]}]},
     "InvalidParameterValue"),
    ("a dry run", {"DryRun": True}, "DryRunOperation"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "code"), [pytest.param(c, code, id=name) for name, c, code in REFUSED])
def test_what_is_refused(ledger: Ledger, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(ApiError) as caught:
        register(ledger, **changes)
    assert caught.value.code == code
    assert not ledger.images[ACCOUNT, "r"]


def test_a_name_is_unique_in_account_and_region(ledger: Ledger) -> None:
    first = register(ledger)
    with pytest.raises(ApiError, match=f"AMI name image 1 is already in use by AMI {first['ImageId']}"):
        register(ledger)
    assert register(ledger, Name="image 2")["ImageId"] != first["ImageId"]


def test_names_of_all_allowed_characters(ledger: Ledger) -> None:
    """Constraints of Name: 3-128 letters, digits, ( ) [ ] spaces . / - ' @ _"""
    name = "aZ09 ()[]./-'@_"
    assert register(ledger, Name=name)["Name"] == name
