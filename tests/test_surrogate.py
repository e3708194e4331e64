"""The surrogate's road with real machines: guests of the lab write the volumes, and boot the AMIs made of them."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knitter.aws.tags import RUN
from knitter.disk import blocks
from tests.desk import LOCAL, Desk
from tests.folders import shared
from tests.lab.conftest import read_digests

pytestmark = pytest.mark.boot


@pytest.fixture(scope="module")
def desk(debian: Desk, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """With debian-12's booted disk, and a lab of its own, in which nothing is yet."""
    with shared(request, "surrogate") as root:
        desk = Desk(root, debian.cache, settings={"via": "surrogate", "boot_check": "no"})
        take_over(debian.build / "debian-12", desk.build / "debian-12")
        print(desk.doit("build:debian-12"))
        yield desk
        desk.stop_lab()


def take_over(folder: Path, own: Path) -> None:
    """What the local stages made in *folder*, without copying it."""
    own.mkdir(parents=True)
    for name in ("packages.lock", "rootfs.tar", "disk.raw", "disk.blocks", *(f"{stage}.json" for stage in LOCAL)):
        shutil.copy2(folder / name, own) if name.endswith(".json") else (own / name).hardlink_to(folder / name)


def calls(desk: Desk) -> dict[str, int]:
    """What knitter asked the lab for."""
    with urllib.request.urlopen(f"{desk.site.cloud().endpoint}/knitter/calls") as answer:
        counted: dict[str, int] = json.load(answer)["knitter"]
    return counted


def test_the_snapshot_holds_just_the_disk(desk: Desk) -> None:
    facts = desk.receipt("debian-12", "snapshot").facts
    found = read_digests(desk.site.cloud().ebs, str(facts["snapshot"]))
    assert found == dict(blocks.read(desk.build / "debian-12" / "disk.blocks"))


def test_both_roads_give_the_same_content(desk: Desk, debian: Desk) -> None:
    ours, theirs = (str(one.receipt("debian-12", "snapshot").facts["snapshot"]) for one in (desk, debian))
    assert read_digests(desk.site.cloud().ebs, ours) == read_digests(debian.site.cloud().ebs, theirs)


def test_nothing_of_it_is_left_in_the_account(desk: Desk) -> None:
    ec2 = desk.site.cloud().ec2
    ours: Any = [{"Name": "tag-key", "Values": [RUN]}]
    assert ec2.describe_volumes(Filters=ours)["Volumes"] == []
    assert ec2.describe_security_groups(Filters=ours)["SecurityGroups"] == []
    found = ec2.describe_instances(Filters=ours)["Reservations"]
    assert [one["State"]["Name"] for group in found for one in group["Instances"]] == ["terminated"]
    assert "nothing is left over" in desk.doit("gc")


def test_a_second_run_starts_nothing(desk: Desk) -> None:
    before = calls(desk)
    assert "up to date" in desk.doit("build:debian-12")
    assert calls(desk)["ec2:RunInstances"] == before["ec2:RunInstances"]


def test_the_ami_boots_in_the_cloud_and_passes_its_checks(desk: Desk) -> None:
    output = desk.doit("launch:debian-12")
    facts = desk.receipt("debian-12", "launch").facts
    assert facts["image"] == desk.receipt("debian-12", "ami").facts["image"]
    assert "the root is on the NVMe or Xen volume" in str(facts["checks"])
    assert "cloud-init" in (desk.build / "debian-12" / "logs" / "console-launch.log").read_text(errors="replace")
    assert "removing security group" in output
    assert "nothing is left over" in desk.doit("gc")
