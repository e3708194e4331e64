"""`doit build:debian-12` as a newcomer runs it: booted with both firmwares, registered, read back with the AWS CLI."""

import hashlib
import json
from pathlib import Path

import pytest

from knitter.units import BLOCK
from tests.desk import STAGES, Desk

pytestmark = pytest.mark.boot


def test_every_stage_left_a_receipt(debian: Desk) -> None:
    assert [debian.receipt("debian-12", stage).stage for stage in STAGES] == list(STAGES)


def test_both_firmwares_booted_and_every_check_passed(debian: Desk) -> None:
    facts = debian.receipt("debian-12", "boot").facts
    assert {"bios", "uefi"} <= set(json.dumps(facts).replace('"', " ").split())


def test_the_cli_sees_the_ami(debian: Desk) -> None:
    facts = debian.receipt("debian-12", "ami").facts
    image = debian.cli("ec2", "describe-images", "--image-ids", str(facts["image"]))["Images"][0]  # type: ignore[index]
    assert image["Architecture"] == "x86_64"
    assert image["BootMode"] == "uefi-preferred"
    assert image["EnaSupport"] is True
    assert image["ImdsSupport"] == "v2.0"
    assert image["State"] == "available"


def test_the_blocks_read_back_with_the_cli_are_the_disk(debian: Desk, tmp_path: Path) -> None:
    snapshot = str(debian.receipt("debian-12", "snapshot").facts["snapshot"])
    listed = debian.cli("ebs", "list-snapshot-blocks", "--snapshot-id", snapshot)
    blocks = {int(block["BlockIndex"]): str(block["BlockToken"]) for block in listed["Blocks"]}  # type: ignore[attr-defined]
    disk = debian.build / "debian-12" / "disk.raw"
    with disk.open("rb") as file:
        for index in range(disk.stat().st_size // BLOCK):
            file.seek(index * BLOCK)
            assert any(file.read(BLOCK)) == (index in blocks)
        for index in (*sorted(blocks)[:2], *sorted(blocks)[-2:]):
            target = tmp_path / "block"
            debian.cli(
                "ebs",
                "get-snapshot-block",
                "--snapshot-id",
                snapshot,
                "--block-index",
                str(index),
                "--block-token",
                blocks[index],
                str(target),
            )
            file.seek(index * BLOCK)
            assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(file.read(BLOCK)).digest()


def test_the_last_words_say_what_was_made(debian: Desk) -> None:
    output = debian.doit("build:debian-12")
    assert str(debian.receipt("debian-12", "ami").facts["image"]) in output
    assert "up to date" in output
