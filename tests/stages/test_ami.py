"""Stage `ami` in the lab."""

import re
from typing import Any

import pytest

from knitter.aws.images import RefusedImageError
from knitter.aws.tags import as_dict
from knitter.errors import CloudError, KnitterError
from knitter.stages.ami import Ami, in_recipe_words
from knitter.stages.snapshot import Snapshot
from tests.aws.tap import Moment, Tap
from tests.stages.small import Desk
from tests.stages.test_snapshot import RUN

pytestmark = pytest.mark.lab


def described(desk: Desk, image: object) -> dict[str, Any]:
    return dict(desk.build().cloud().ec2.describe_images(ImageIds=[str(image)])["Images"][0])


def test_made_then_kept(desk: Desk) -> None:
    stored = desk.snapshot().receipt.facts["snapshot"]
    made = desk.ami()
    assert made.action == "made"
    facts = made.receipt.facts
    assert facts["name"] == f"small-20261121-{made.receipt.key[:8]}"
    assert (facts["snapshot"], facts["region"]) == (stored, "eu-central-1")
    assert desk.owned("images") == [facts["image"]]
    found = described(desk, facts["image"])
    assert (found["Architecture"], found["BootMode"], found["ImdsSupport"]) == ("x86_64", "uefi-preferred", "v2.0")
    assert found["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 1
    assert desk.ami().action == "kept"


def test_what_the_recipe_says_is_what_is_registered(desk: Desk) -> None:
    desk.snapshot()
    ami = {
        "name": "{architecture} {recipe} ({date})",
        "description": "For the tests",
        "root_device": "/dev/sda1",
        "boot_mode": "legacy-bios",
        "imds": "v1.0",
        "ena": False,
        "ephemeral": ("/dev/sdb", "/dev/sdc"),
        "volume": {"type": "io2", "size": "9GiB", "iops": 500, "delete_on_termination": False},
        "tags": {"team": "a"},
    }
    made = desk.ami(ami={**ami, "name": f"{ami['name']} {desk.root.name[:20]}"})
    found = described(desk, made.receipt.facts["image"])
    assert found["Name"].startswith("x86_64 small (20261121)")
    assert found["Description"] == "For the tests"
    assert (found["RootDeviceName"], found["BootMode"], found.get("ImdsSupport")) == ("/dev/sda1", "legacy-bios", None)
    assert (found["EnaSupport"], found.get("SriovNetSupport")) == (False, None)
    stores = [(one["DeviceName"], one["VirtualName"]) for one in found["BlockDeviceMappings"][1:]]
    assert stores == [("/dev/sdb", "ephemeral0"), ("/dev/sdc", "ephemeral1")]
    ebs = found["BlockDeviceMappings"][0]["Ebs"]
    assert (ebs["VolumeType"], ebs["VolumeSize"], ebs["Iops"], ebs["DeleteOnTermination"]) == ("io2", 9, 500, False)
    tags = as_dict(found["Tags"])
    assert (tags["team"], tags["knitter:recipe"], tags["knitter:stage"]) == ("a", "small", "ami")
    assert tags["knitter:key"] == made.receipt.key


@pytest.mark.parametrize("ami", [{"description": "Other"}, {"tags": {"a": "b"}}], ids=["description", "tags"])
def test_a_changed_ami_section_is_another_ami_of_the_same_snapshot(desk: Desk, ami: dict[str, Any]) -> None:
    stored = desk.snapshot().receipt
    first = desk.ami().receipt
    assert desk.snapshot(ami=ami).action == "kept"
    second = desk.ami(ami=ami)
    assert (second.action, second.reason) == ("made", f"ami.{next(iter(ami))} changed")
    assert second.receipt.facts["image"] != first.facts["image"]
    assert second.receipt.facts["snapshot"] == stored.facts["snapshot"]


def test_a_recreated_snapshot_is_another_ami(desk: Desk) -> None:
    first = desk.snapshot().receipt
    image = desk.ami().receipt.facts["image"]
    ec2 = desk.build().cloud().ec2
    ec2.deregister_image(ImageId=str(image))
    ec2.delete_snapshot(SnapshotId=str(first.facts["snapshot"]))
    assert desk.snapshot().action == "made"
    second = desk.ami()
    assert (second.action, second.reason) == ("made", "snapshot changed")
    assert second.receipt.facts["image"] != image


def test_without_the_receipt_it_is_adopted(desk: Desk) -> None:
    desk.snapshot()
    made = desk.ami()
    Ami().clean(desk.build())
    adopted = desk.ami()
    assert (adopted.action, adopted.receipt) == ("adopted", made.receipt)


def test_deregistered_it_is_made_anew(desk: Desk) -> None:
    desk.snapshot()
    first = desk.ami().receipt.facts["image"]
    desk.build().cloud().ec2.deregister_image(ImageId=str(first))
    again = desk.ami()
    assert (again.action, again.reason) == ("made", "what it made is gone or too old")
    assert desk.owned("images") == [again.receipt.facts["image"]]


def test_many_questions_are_two_requests(desk: Desk) -> None:
    """doit asks every stage of every recipe whether it is up to date."""
    desk.snapshot()
    desk.ami()
    with Tap(desk.endpoint) as tap:
        build = Desk(desk.root, tap.url).build()
        assert all(stage.is_current(build) for stage in (Snapshot(), Ami()) for _ in range(100))
        assert [re.search(r"Action=\w+", request)[0] for request in tap.heard] == [  # type: ignore[index]
            "Action=DescribeSnapshots",
            "Action=DescribeImages",
        ]


def test_a_snapshot_deleted_just_now_is_told(desk: Desk) -> None:
    stored = desk.snapshot().receipt.facts["snapshot"]
    desk.build().cloud().ec2.delete_snapshot(SnapshotId=str(stored))
    with pytest.raises(CloudError, match=str(stored)) as caught:
        desk.ami()
    assert (caught.value.code, "run the same command again" in caught.value.hint) == ("InvalidSnapshot.NotFound", True)
    assert desk.snapshot().action == "made"
    assert desk.ami().action == "made"


def test_a_refusal_is_told_in_the_recipes_words() -> None:
    refused = RefusedImageError(CloudError("registering x: no", code="InvalidParameterValue"), "TpmSupport")
    told = in_recipe_words(refused)
    assert (told.brief, told.hint) == ("registering x: no (parameter TpmSupport)", "correct ami.tpm in recipe.toml")


def test_a_taken_name_says_what_to_do(desk: Desk) -> None:
    desk.snapshot()
    name = f"fixed {desk.root.name[:30]}"
    first = desk.ami(ami={"name": name}).receipt.facts["image"]
    with pytest.raises(KnitterError, match=f"is taken by {first}") as caught:
        desk.ami(ami={"name": name, "description": "changed"})
    assert "{key}" in caught.value.hint


@pytest.mark.parametrize(
    "moment",
    [
        Moment("Action=DescribeImages", "before"),
        Moment("Action=RegisterImage", "before"),
        Moment("Action=RegisterImage", "after"),
    ],
    ids=str,
)
def test_killed_anywhere_the_next_run_finishes(desk: Desk, moment: Moment) -> None:
    desk.snapshot()
    with Tap(desk.endpoint) as tap:
        tap.kill(RUN, str(desk.root), "ami", moment=moment)
    assert not Ami().receipt_path(desk.build()).exists()
    done = desk.ami()
    assert desk.owned("images") == [done.receipt.facts["image"]]
