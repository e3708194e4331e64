"""The AWS CLI, as a user would run it after `eval "$(doit lab)"`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from knitter.lab import service
from knitter.lab.service import Lab
from tests.lab.conftest import REGION, SIZE, make_snapshot, wait_for
from tests.lab.test_instances import make_image, state

pytestmark = pytest.mark.lab
AWS = Path(sys.executable).with_name("aws")


def aws(lab: Lab, *arguments: str) -> Any:
    """The JSON that the command prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ran = subprocess.run(
        [AWS, *arguments, "--output", "json"],
        env=kept | service.environment(lab, REGION),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_cli_reads_back_what_was_put(lab: Lab, ec2: Any, ebs: Any, tmp_path: Path) -> None:
    disk = bytearray(4 * SIZE)
    for index in (0, 3):
        disk[index * SIZE : (index + 1) * SIZE] = os.urandom(SIZE)
    blocks = {index: bytes(disk[index * SIZE : (index + 1) * SIZE]) for index in (0, 3)}
    name = make_snapshot(ec2, ebs, blocks, Tags=[{"Key": "cli", "Value": "yes"}])
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": name}}
    image = ec2.register_image(Name="seen by the CLI", RootDeviceName="/dev/xvda", BlockDeviceMappings=[mapping])

    images = aws(lab, "ec2", "describe-images", "--owners", "self", "--filters", "Name=name,Values=seen*")["Images"]
    assert [one["ImageId"] for one in images] == [image["ImageId"]]
    snapshots = aws(lab, "ec2", "describe-snapshots", "--filters", "Name=tag:cli,Values=yes")["Snapshots"]
    assert [(one["SnapshotId"], one["State"]) for one in snapshots] == [(name, "completed")]

    read = bytearray(len(disk))
    for block in aws(lab, "ebs", "list-snapshot-blocks", "--snapshot-id", name)["Blocks"]:
        index, token = block["BlockIndex"], block["BlockToken"]
        place = ("--snapshot-id", name, "--block-index", str(index), "--block-token", token)
        aws(lab, "ebs", "get-snapshot-block", *place, str(tmp_path / "block"))
        read[index * SIZE : (index + 1) * SIZE] = (tmp_path / "block").read_bytes()
    assert read == disk


def test_the_cli_launches_an_instance(lab: Lab, ec2: Any, snapshot: str) -> None:
    """As the user guide shows it: run, wait, describe, console, terminate."""
    image = make_image(ec2, snapshot)
    asked = ("--image-id", image, "--instance-type", "t3.micro", "--user-data", "#cloud-config")
    name = aws(lab, "ec2", "run-instances", *asked, "--count", "1")["Instances"][0]["InstanceId"]
    wait_for(lambda: state(ec2, name) == "running")
    reservation = aws(lab, "ec2", "describe-instances", "--instance-ids", name)["Reservations"][0]
    assert reservation["Instances"][0]["PublicIpAddress"].startswith("127.")
    output = aws(lab, "ec2", "get-console-output", "--instance-id", name, "--latest")["Output"]
    assert output.startswith("on: bios")
    ended = aws(lab, "ec2", "terminate-instances", "--instance-ids", name)["TerminatingInstances"][0]
    assert ended["CurrentState"]["Name"] == "shutting-down"
