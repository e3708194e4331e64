"""`doit preflight`, `doit iam-policy` and `doit gc`, as a user runs them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knitter.aws.policy import allows
from knitter.aws.tags import as_list, run_tag, stamp
from tests.desk import Desk

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("account"), tmp_path_factory.mktemp("cache"))
    yield desk
    desk.stop_lab()


def leave_snapshot(desk: Desk) -> str:
    """A snapshot that was begun, and nobody goes on with."""
    tags: Any = as_list(stamp(key="a" * 64, recipe="debian-12", stage="snapshot", name="x") | run_tag())
    return desk.site.cloud().ebs.start_snapshot(VolumeSize=1, Tags=tags)["SnapshotId"]


def test_gc_lists_then_removes_and_then_finds_nothing(desk: Desk) -> None:
    snapshot = leave_snapshot(desk)
    listed = desk.doit("gc")
    (line,) = [line for line in listed.splitlines() if snapshot in line]
    assert line.split()[0] == "snapshot"
    assert "debian-12" in line
    assert "pending" in line
    assert "gc --yes" in listed
    assert snapshot in desk.doit("gc"), "nothing was removed"
    assert f"snapshot {snapshot} is removed" in desk.doit("gc", "--yes")
    assert "nothing is left over" in desk.doit("gc")
    assert "nothing is left over" in desk.doit("gc", "--yes")


@pytest.mark.parametrize("name", ["snapshot.json", "snapshot.journal"])
def test_gc_keeps_what_a_receipt_or_a_journal_names(desk: Desk, name: str) -> None:
    snapshot = leave_snapshot(desk)
    path = desk.build / "a-recipe-that-is-gone" / "lab" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"snapshot": "{snapshot}"}}\n')
    assert snapshot not in desk.doit("gc", "--yes")
    path.unlink()
    assert f"{snapshot} is removed" in desk.doit("gc", "--yes")


def test_gc_fails_if_it_may_not_look(desk: Desk) -> None:
    desk.aws = {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x"}
    try:
        output = desk.doit("gc", fails=True, cloud="aws", endpoint=desk.site.cloud().endpoint)
    finally:
        desk.aws = {}
    assert "not everything could be listed" in output
    assert "access key" in output


def test_preflight_of_both_roads(desk: Desk) -> None:
    direct = desk.doit("preflight")
    assert "EBS direct APIs" in direct
    assert "instance type" not in direct
    surrogate = desk.doit("preflight:debian-12", via="surrogate")
    assert "EBS direct APIs" not in surrogate
    for told in ("ok       instance type ", "ok       subnet", "CreateVolume", "account 123456789012"):
        assert told in surrogate


def test_preflight_tells_all_problems_and_fails(desk: Desk) -> None:
    settings = {"surrogate_types": "t9.small", "surrogate_subnets": "subnet-0123456789abcdef0"}
    output = desk.doit("preflight", fails=True, via="surrogate", **settings)
    assert "2 problems stand in the way" in output
    assert output.count("t9.small") == 2, "in the list, and in the error"
    assert "surrogate_subnets in .doit.cfg" in output


def test_preflight_of_a_recipe_that_cannot_be_read(desk: Desk) -> None:
    folder = desk.write_recipe("broken", "nonsense = 1\n")
    try:
        output = desk.doit("preflight", fails=True)
        assert "recipe broken" in output
        assert "ok       credentials" in output
        assert "recipe broken" not in desk.doit("preflight:debian-12")
    finally:
        (folder / "recipe.toml").unlink()
        folder.rmdir()


def test_the_policy_is_json_and_nothing_else(desk: Desk) -> None:
    policy = json.loads(desk.doit("iam-policy", "--for", "build"))
    assert allows(policy, "ebs:PutSnapshotBlock")
    assert not allows(policy, "ec2:RunInstances")
    assert not allows(policy, "ec2:DeleteSnapshot")
    policy = json.loads(desk.doit("iam-policy", via="surrogate"))
    assert allows(policy, "ec2:AttachVolume")
    assert allows(policy, "ec2:DeleteSnapshot")
    assert not allows(policy, "ebs:PutSnapshotBlock")
    assert "there is no purpose 'fun'" in desk.doit("iam-policy", "--for", "fun", fails=True)


def test_the_policy_asks_nobody(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk", tmp_path / "cache", {"cloud": "aws", "region": "cn-north-1"})
    assert "arn:aws-cn:ec2:cn-north-1" in desk.doit("iam-policy")
    assert not (desk.build / "lab").exists()
