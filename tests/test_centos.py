"""`doit build:centos-6.9`, of a distribution in EL 6's shape: LVM, GRUB legacy, keys by its own init script."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from knitter.files import sha256_of
from knitter.stages import guest
from knitter.stages.build import Build
from knitter.stages.disk import RAW
from knitter.vm import accelerator, qemu
from knitter.vm.metadata import Instance
from tests.desk import STAGES, Desk
from tests.ground import made_again
from tests.session import borrowed, run
from tests.synthetic.served import Served

pytestmark = pytest.mark.boot
NAME = "centos-6.9"
VOLUMES = "lvs --noheadings -o vg_name,lv_name,lv_size --units g"
LABELS = "for one in / /var /boot; do findmnt -no LABEL $one; done"


@pytest.fixture
def own(el6_desk: Desk, tmp_path: Path) -> Iterator[Build]:
    with borrowed(el6_desk, NAME, tmp_path) as build:
        yield build


def test_it_booted_from_both_kinds_of_disk_with_the_key_that_it_fetched_itself(el6_desk: Desk) -> None:
    """By IMDSv2: metadata answers nothing else."""
    assert [el6_desk.receipt(NAME, stage).stage for stage in STAGES] == list(STAGES)
    facts = el6_desk.receipt(NAME, "boot").facts
    assert {"bios", "bios-virtio"} <= facts.keys()
    console = (el6_desk.build / NAME / "logs" / "console-bios.log").read_text(errors="replace")
    assert "GRUB" in console
    assert "getsshkey" in console


def test_the_ami_is_for_xen_types(el6_desk: Desk) -> None:
    image = el6_desk.receipt(NAME, "ami").facts["image"]
    (found,) = el6_desk.cli("ec2", "describe-images", "--image-ids", str(image))["Images"]
    assert found["BootMode"] == "legacy-bios"
    assert found["RootDeviceName"] == "/dev/xvda"
    assert not found.get("EnaSupport")
    assert "SriovNetSupport" not in found
    root, *rest = found["BlockDeviceMappings"]
    assert (root["DeviceName"], root["Ebs"]["VolumeSize"], root["Ebs"]["VolumeType"]) == ("/dev/xvda", 32, "gp3")
    assert [(one["DeviceName"], one["VirtualName"]) for one in rest] == [
        (f"/dev/sd{letter}", f"ephemeral{number}") for number, letter in enumerate("bcde")
    ]


def test_with_version_1_of_the_metadata_alone_the_key_is_fetched_too(own: Build) -> None:
    """And the volumes are those that the recipe names."""
    recipe = own.recipe
    old = recipe.model_copy(update={"ami": recipe.ami.model_copy(update={"imds": "v1.0"})})
    with guest.keep(replace(own, recipe=old)) as session:
        assert run(session, VOLUMES).split() == ["vg_1", "lv_root", "10.00g", "vg_1", "lv_var", "20.00g"]
        assert run(session, LABELS).split() == ["/", "/var", "/boot"]
        assert run(session, "cat /root/.ssh/authorized_keys").count("ssh-") == 1


def test_without_metadata_it_boots_within_its_bound(own: Build, tmp_path: Path) -> None:
    """Nobody is at 169.254.169.254: getsshkey gives up after a minute at most, and the system comes up."""
    chosen = accelerator.choose("auto", architecture="x86_64", cache=own.settings.cache_directory)
    console, directory = tmp_path / "console.log", tmp_path / "guest"
    directory.mkdir()
    lease = qemu.lease(
        qemu.Hardware("bios", chosen, disk="virtio"),
        Instance(b"", "", imds="none"),
        disk=own.directory / RAW,
        size=own.recipe.disk.size,
        directory=directory,
        console=console,
        log=tmp_path / "log",
    )
    with lease:
        wait_for_text(console, "getsshkey")
        begin = time.monotonic()
        wait_for_text(console, "getsshkey: gave up")
        assert time.monotonic() - begin < 180  # a guest's minute is longer on a busy host
        wait_for_text(console, "login:")


def wait_for_text(console: Path, text: str) -> None:
    deadline = time.monotonic() + 600
    while text not in (said := console.read_text(errors="replace") if console.exists() else ""):
        assert time.monotonic() < deadline, said[-3000:]
        time.sleep(1)


def test_the_same_lock_gives_the_same_disk(el6: Served, el6_desk: Desk) -> None:
    """In another directory, with an empty cache, as an ordinary user."""
    with made_again(el6, NAME, el6_desk) as disk:
        assert sha256_of(disk) == sha256_of(el6_desk.build / NAME / RAW)
