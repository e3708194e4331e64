"""How the graph must behave: the table, walked from top to bottom on one desk, for each family of distributions.

The disk is not booted here (boot_check = no) except where booting is the point: others boot it.
"""

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from tests.desk import STAGES, Desk, kill_hard
from tests.folders import shared

NAME = "graph"
RECIPE = """extends = "{parent}"
description = "a recipe to change"

[boot]
arguments = "{arguments}"
firmware = "{firmware}"

[disk]
size = "8GiB"

[[disk.partitions]]
kind = "bios-boot"

[[disk.partitions]]
kind = "esp"
size = "{esp}"

[[disk.partitions]]
size = "rest"
mount = "/"

[ami]
description = "{about}"
tags = {{ Team = "{team}" }}
{more}
"""
DEFAULTS = {
    "firmware": "both",
    "arguments": "console=ttyS0,115200n8",
    "esp": "64MiB",
    "about": "one",
    "team": "a",
    "more": "",
}


def images(desk: Desk) -> list[str]:
    """AMIs of the recipe in the cloud."""
    filters = [{"Name": "tag:knitter:recipe", "Values": [NAME]}]
    found = desk.site.cloud().ec2.describe_images(Owners=["self"], Filters=filters)["Images"]
    return sorted(image["ImageId"] for image in found)


def snapshots(desk: Desk) -> list[str]:
    filters = [{"Name": "tag:knitter:recipe", "Values": [NAME]}]
    found = desk.site.cloud().ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]
    return sorted(snapshot["SnapshotId"] for snapshot in found)


class Rows:
    """The rows, for a recipe that extends another; who inherits them says which."""

    parent: ClassVar[str]

    @classmethod
    @contextmanager
    def ground(cls, root: Path, cache: Path) -> Iterator[Desk]:
        """A desk in *root* on which `parent` can be built, its disk unbooted.  Its lab is stopped at the end."""
        raise NotImplementedError

    @classmethod
    def write(cls, desk: Desk, **changes: str) -> None:
        desk.write_recipe(NAME, RECIPE.format(**{**DEFAULTS, "parent": cls.parent, **changes}))

    @pytest.fixture(scope="class")
    @classmethod
    def desk(cls, request: pytest.FixtureRequest, package_cache: Path) -> Iterator[Desk]:
        with shared(request, "graph") as root, cls.ground(root, package_cache) as desk:
            cls.write(desk)
            desk.doit(f"build:{NAME}")
            yield desk

    @pytest.fixture(autouse=True)
    def _all_is_current(self, desk: Desk) -> None:
        """Each row begins and ends with a finished build of the plain recipe."""
        self.write(desk)
        desk.doit(f"build:{NAME}")

    def test_nothing_changed_runs_nothing(self, desk: Desk) -> None:
        with desk.made(NAME) as made:
            output = desk.doit(f"build:{NAME}")
        assert made == []
        assert "up to date" in output

    def test_a_comment_runs_nothing(self, desk: Desk) -> None:
        path = desk.root / "recipes" / NAME / "recipe.toml"
        path.write_text("# a comment\n\n" + path.read_text().replace('"one"', "'one'"))
        with desk.made(NAME) as made:
            desk.doit(f"build:{NAME}")
        assert made == []

    def test_an_old_lock_and_an_unchanged_archive_run_packages_only(self, desk: Desk) -> None:
        lock = desk.build / NAME / "packages.lock"
        text = lock.read_text()
        os.utime(lock, (time.time() - 90000, time.time() - 90000))
        with desk.made(NAME) as made:
            desk.doit(f"build:{NAME}")
        assert made == ["packages"]
        assert lock.read_text() == text

    def test_an_overlay_file_runs_rootfs_and_after(self, desk: Desk) -> None:
        write_file = desk.root / "recipes" / NAME / "files" / "etc" / "motd"
        write_file.parent.mkdir(parents=True)
        write_file.write_text("hello\n")
        with desk.made(NAME) as made:
            output = desk.doit(f"build:{NAME}")
        assert made == ["rootfs", "disk", "boot", "snapshot", "ami"]
        assert "system.files/etc/motd changed" in output or "files" in output
        write_file.unlink()
        write_file.parent.rmdir()
        write_file.parent.parent.rmdir()

    @pytest.mark.parametrize(
        "change", [{"arguments": "console=ttyS0,115200n8 quiet"}, {"esp": "100MiB"}], ids=["kernel", "partition"]
    )
    def test_the_disk_runs_disk_and_after(self, desk: Desk, change: dict[str, str]) -> None:
        self.write(desk, **change)
        with desk.made(NAME) as made:
            desk.doit(f"build:{NAME}")
        assert made == ["disk", "boot", "snapshot", "ami"]

    def test_a_check_runs_boot(self, desk: Desk) -> None:
        """And what comes after is looked at, and kept: the disk is the same, so the AMI is."""
        self.write(desk, more='[[check.probes]]\nname = "one"\nrun = "true"\n')
        before = images(desk)
        with desk.made(NAME) as made:
            desk.doit(f"build:{NAME}")
        assert made == ["boot"]
        assert images(desk) == before

    @pytest.mark.parametrize("change", [{"about": "two"}, {"team": "b"}], ids=["description", "tag"])
    def test_the_registration_runs_ami_only(self, desk: Desk, change: dict[str, str]) -> None:
        self.write(desk, **change)
        with desk.made(NAME) as made:
            desk.doit(f"build:{NAME}")
        assert made == ["ami"]

    def test_without_the_database_nothing_is_built_again(self, desk: Desk) -> None:
        database = desk.build / ".doit.db"
        assert sqlite3.connect(database).execute("select count(*) from doit").fetchone()[0] >= len(STAGES)
        database.unlink()
        files = {
            path: path.stat().st_mtime_ns
            for path in (desk.build / NAME).rglob("*")
            if path.suffix in (".raw", ".tar", ".blocks")
        }
        desk.doit(f"build:{NAME}")
        assert {path: path.stat().st_mtime_ns for path in files} == files

    def test_without_receipts_the_cloud_is_adopted(self, desk: Desk) -> None:
        before = images(desk), snapshots(desk)
        for stage in ("snapshot", "ami"):
            (desk.build / NAME / "lab" / f"{stage}.json").unlink()
        output = desk.doit(f"build:{NAME}")
        assert "adopted" in output
        assert (images(desk), snapshots(desk)) == before

    def test_a_snapshot_deleted_in_the_cloud_runs_snapshot_and_ami(self, desk: Desk) -> None:
        cloud = desk.site.cloud()
        gone = desk.receipt(NAME, "snapshot").facts["snapshot"]
        for image in cloud.ec2.describe_images(Owners=["self"])["Images"]:
            mappings = image["BlockDeviceMappings"]
            if any(mapping.get("Ebs", {}).get("SnapshotId") == gone for mapping in mappings):
                cloud.ec2.deregister_image(ImageId=image["ImageId"])
        cloud.ec2.delete_snapshot(SnapshotId=str(gone))
        with desk.made(NAME) as made:
            desk.doit(f"build:{NAME}")
        assert made == ["snapshot", "ami"]
        assert gone not in snapshots(desk)

    @pytest.mark.parametrize("stage", STAGES)
    def test_killed_in_any_stage_the_next_run_finishes(self, desk: Desk, stage: str) -> None:
        """kill -9 of doit; then one more run: one more snapshot, one more AMI, nothing half-written, no process."""
        self.write(desk, arguments=f"console=ttyS0,115200n8 killed_in={stage}", about=f"killed in {stage}")
        if stage in ("packages", "rootfs"):
            desk.doit("clean", f"{stage}:{NAME}")
        images_before, snapshots_before = images(desk), snapshots(desk)
        process = desk.start(f"build:{NAME}", upload_rate="100")
        working = desk.build / NAME / f".{stage}"
        deadline = time.monotonic() + 300
        while not working.exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, f"{stage} never began"
            time.sleep(0.001)
        time.sleep({"rootfs": 2.0, "disk": 2.0, "snapshot": 2.0}.get(stage, 0.0))
        kill_hard(process)
        desk.doit(f"build:{NAME}")
        assert len(images(desk)) == len(images_before) + 1
        assert len(snapshots(desk)) == len(snapshots_before) + 1
        assert [path.name for path in (desk.build / NAME).glob(".*")] == [".lock"]

    def test_a_failing_check_then_corrected_continues_from_there(self, desk: Desk) -> None:
        probe = '[[check.probes]]\nname = "the answer"\nrun = "echo {}; uname -s >&2"\nexpect = "^42$"\n'
        self.write(desk, firmware="bios", more=probe.format(41))
        with desk.made(NAME) as made:
            output = desk.doit(f"build:{NAME}", fails=True, boot_check="yes")
        assert made == ["disk"]
        shown = ("      41\n", "      Linux\n", "    console:\n")
        for told in ("graph (bios) failed: the answer", "expected in its output: ^42$", *shown):
            assert told in output
        assert "logs/console-bios.log" in output
        assert "logs/boot.log" in output
        self.write(desk, firmware="bios", more=probe.format(42))
        with desk.made(NAME) as made:
            desk.doit(f"build:{NAME}", boot_check="yes")
        assert made == ["boot", "snapshot", "ami"]

    @pytest.mark.parametrize(
        ("endpoint", "aws", "says"),
        [
            ("http://127.0.0.1:9", {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x"}, "127.0.0.1:9"),
            ("", {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x"}, "access key"),
            ("", {}, "credentials"),
        ],
        ids=["down", "refused", "none"],
    )
    def test_a_cloud_that_cannot_be_used(self, desk: Desk, endpoint: str, aws: dict[str, str], says: str) -> None:
        """One message, nothing made in the cloud, and nothing lost on the desk."""
        own = desk.site.cloud().endpoint
        desk.aws = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "HOME": "/nonexistent"} | aws
        try:
            with desk.made(NAME) as made:
                output = desk.doit(f"build:{NAME}", fails=True, cloud="aws", endpoint=endpoint or own)
        finally:
            desk.aws = {}
        assert made == []
        assert says in output
        assert "→" in output

    def test_two_at_once_build_once(self, desk: Desk) -> None:
        self.write(desk, arguments="console=ttyS0,115200n8 two_at_once")
        before = len(images(desk)), len(snapshots(desk))
        runs = [desk.start(f"build:{NAME}") for _ in range(2)]
        outputs = [run.communicate()[0] for run in runs]
        assert [run.returncode for run in runs] == [0, 0], outputs
        assert (len(images(desk)), len(snapshots(desk))) == (before[0] + 1, before[1] + 1)
        ended = [line for output in outputs for line in re.findall(rf"^\S+ disk:{NAME} +\d.*", output, re.MULTILINE)]
        assert len(ended) == 1, outputs  # who waited for it had nothing to do
