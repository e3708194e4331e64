"""What is checked in a booted guest, and what counts as a failure."""

from pathlib import Path

import pytest

from knitter.machine import Output
from knitter.recipe.boot import Probe
from knitter.recipe.model import Recipe
from knitter.vm.checks import Disk, Place, plan_checks
from knitter.vm.inspection import find_fault


def recipe(**sections: object) -> Recipe:
    return Recipe.model_validate(
        {"name": "small", "directory": Path("/recipes/small"), "packages": {"release": "bookworm"}, **sections}
    )


def names(wanted: Recipe) -> list[str]:
    return [probe.name for probe in plan_checks(wanted, "bios", now=0)]


def test_the_recipes_own_checks_come_last() -> None:
    wanted = recipe(check={"probes": ({"name": "a web server", "run": "true"},)})
    assert names(wanted) == [*names(recipe()), "a web server"]


def test_a_root_that_is_not_last_need_not_grow() -> None:
    data = {"kind": "filesystem", "size": "rest", "mount": "/srv"}
    partitions = ({"kind": "bios-boot"}, {"kind": "esp"}, {"size": "4GiB", "mount": "/"}, data)
    grown = "the root has grown to the volume"
    assert grown in names(recipe())
    assert grown not in names(recipe(disk={"partitions": partitions}))


VOLUME = "vol0123456789abcdef0"


@pytest.mark.parametrize(
    ("disks", "said", "passes"),
    [
        (("nvme",), f"nvme0n1: {VOLUME}, Linux 6.1.0", True),
        (("nvme",), "nvme0n1: vol0123456789abcdef1, Linux 6.1.0", False),
        (("nvme",), f"vda: {VOLUME}, Linux 6.1.0", False),
        (("nvme",), "nvme0n1: none, Linux 2.6.32-696.el6.x86_64", True),
        (("nvme",), "nvme0n1: none, Linux 6.1.0", False),
        (("virtio",), f"vda: {VOLUME}, Linux 2.6.32", True),
        (("virtio",), "vda: none, Linux 2.6.32", False),
        (("nvme", "xen"), "xvda: none, Linux 2.6.32", True),
        (("nvme", "xen"), f"nvme0n1: {VOLUME}, Linux 6.1.0", True),
        (("nvme", "xen"), f"vda: {VOLUME}, Linux 6.1.0", False),
    ],
)
def test_the_root_is_on_the_volume_it_was_given(disks: tuple[Disk, ...], said: str, passes: bool) -> None:
    probe = plan_checks(recipe(), "bios", now=0, place=Place(disks=disks))[4]
    assert probe.name.startswith("the root is on the ")
    assert (find_fault(probe, Output(0, said.encode(), "")) == "") == passes


def test_the_firmware_is_told_apart() -> None:
    runs = {firmware: plan_checks(recipe(), firmware, now=0)[3] for firmware in ("bios", "uefi")}
    assert runs["uefi"].run == "test -d /sys/firmware/efi"
    assert runs["bios"].run == "test ! -d /sys/firmware/efi"


@pytest.mark.parametrize(("imds", "status"), [("v2.0", "401"), ("v1.0", "200")])
def test_metadata_without_a_token(imds: str, status: str) -> None:
    probe = plan_checks(recipe(ami={"imds": imds}), "bios", now=0)[-1]
    said = "instance i-0123456789abcdef0\nwithout token: HTTP/1.1 {} Whatever"
    assert find_fault(probe, Output(0, said.format(status).encode(), "")) == ""
    other = "200" if status == "401" else "401"
    assert find_fault(probe, Output(0, said.format(other).encode(), "")) != ""


@pytest.mark.parametrize(
    ("expect", "code", "stdout", "stderr", "fault"),
    [
        ("", 0, b"", "", ""),
        ("", 3, b"", "", "exit code 3"),
        (r"^nginx/1\.\d+", 0, b"nginx/1.22\n", "", ""),
        (r"nginx/1\.", 0, b"", "nginx/1.22", ""),
        (r"^Linux$", 0, b"one\nLinux\n", "sudo: a warning", ""),
        (r"nginx/2", 0, b"nginx/1.22\n", "", "expected in its output: nginx/2"),
        (r"nginx/1", 1, b"nginx/1.22\n", "", "exit code 1"),
    ],
)
def test_what_fails(expect: str, code: int, stdout: bytes, stderr: str, fault: str) -> None:
    assert find_fault(Probe(name="x", run="true", expect=expect), Output(code, stdout, stderr)) == fault
