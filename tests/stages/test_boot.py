"""Stage boot: what it depends on, how it fails, and that nothing of a guest stays."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from knitter import interrupt, receipt
from knitter.errors import KnitterError
from knitter.receipt import Receipt
from knitter.recipe.model import Recipe
from knitter.settings import Settings
from knitter.stages import guest
from knitter.stages.boot import Boot
from knitter.stages.build import Build
from knitter.stages.disk import RAW, Disk
from knitter.stages.stage import ensure
from knitter.units import GIB
from tests.desk import Desk

SILENT = b"\xfa\xf4\xeb\xfd"  # cli; hlt; jmp to the hlt
POWER_OFF = b"\xba\x04\x06\xb8\x00\x20\xef" + SILENT  # mov dx, 0x604; mov ax, 0x2000; out dx, ax: ACPI's S5 on q35


def saying(text: bytes) -> bytes:
    """Code at 0x7c00 that writes *text* to the serial port, slowly enough for it, and then is silent."""
    # cld; xor ax, ax; mov ds, ax; mov si, text; loop: lodsb; test al, al; jz end; mov dx, 0x3f8; out dx, al; jmp loop
    code = b"\xfc\x31\xc0\x8e\xd8\xbe\x18\x7c\xac\x84\xc0\x74\x06\xba\xf8\x03\xee\xeb\xf5" + b"\xfa\xf4\xeb\xfd\x90"
    return code + text + b"\0"


def no_cloud() -> Any:
    raise AssertionError("booting needs no cloud")


def recipe(directory: Path, **sections: Any) -> Recipe:
    tables = {"packages": {"release": "tiny"}, "boot": {"firmware": "bios"}, "check": {"timeout": 60}} | sections
    return Recipe.model_validate({"name": "small", "directory": directory, **tables})


def build(directory: Path, code: bytes | None = None, **sections: Any) -> Build:
    """A recipe whose disk is a boot sector of *code*; None: zeroes."""
    settings = Settings(build_directory=directory / "build", cache_directory=directory / "cache", accelerator="tcg")
    made = Build(recipe(directory, **sections), settings, no_cloud)
    made.directory.mkdir(parents=True, exist_ok=True)
    sector = b"" if code is None else code.ljust(510, b"\0") + b"\x55\xaa"
    with (made.directory / RAW).open("wb") as file:
        file.write(sector)
        file.truncate(GIB)
    receipt.write(Disk().receipt_path(made), Receipt(stage="disk", key="k", digest="d", inputs={}))
    return made


def files(made: Build) -> set[str]:
    return {str(path.relative_to(made.directory)) for path in made.directory.rglob("*") if path.is_file()}


def guests(directory: Path) -> list[int]:
    """QEMU processes that were told of *directory*."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else [b""]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if words[0].startswith(b"qemu-system") and any(os.fsencode(directory) in word for word in words):
            found.append(int(entry.name))
    return found


def wait_no_guest(directory: Path) -> None:
    deadline = time.monotonic() + 20
    while guests(directory):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("firmware", "architecture", "planned"),
    [
        ("bios", "x86_64", ("bios",)),
        ("uefi", "x86_64", ("uefi",)),
        ("both", "x86_64", ("bios", "uefi")),
        ("uefi", "arm64", ("uefi",)),
    ],
)
def test_firmwares(firmware: str, architecture: str, planned: tuple[str, ...]) -> None:
    packages = {"release": "tiny", "architecture": architecture}
    boots = {"firmware": firmware}
    assert guest.plan_firmwares(recipe(Path("/r"), packages=packages, boot=boots)) == planned


def test_each_firmware_boots_from_each_kind_of_disk() -> None:
    plain = guest.plan_variants(recipe(Path("/r"), boot={"firmware": "both"}))
    assert [str(one) for one in plain] == ["bios", "uefi"]
    asked = guest.plan_variants(recipe(Path("/r"), boot={"firmware": "both"}, check={"disks": ("nvme", "virtio")}))
    assert [str(one) for one in asked] == ["bios", "bios-virtio", "uefi", "uefi-virtio"]


@pytest.mark.parametrize(("disk", "volume", "planned"), [(1, None, 2), (8, None, 10), (8, 40, 50)])
def test_the_volume_leaves_room_to_grow(disk: int, volume: int | None, planned: int) -> None:
    ami = {"volume": {"size": f"{volume}GiB"}} if volume else {}
    assert guest.plan_volume(recipe(Path("/r"), disk={"size": f"{disk}GiB"}, ami=ami)) == planned * GIB


def key(made: Build) -> str:
    return receipt.digest_of(Boot().sections(made))


def with_recipe(made: Build, **sections: Any) -> Build:
    return replace(made, recipe=recipe(made.recipe.directory, **sections))


def test_what_makes_it_run_again(tmp_path: Path) -> None:
    made = build(tmp_path)
    probes = ({"name": "more", "run": "true"},)
    for other in (
        with_recipe(made, check={"probes": probes}),
        with_recipe(made, check={"user": "root"}),
        with_recipe(made, boot={"firmware": "uefi"}),
        with_recipe(made, ami={"imds": "v1.0"}),
        replace(made, settings=made.settings.model_copy(update={"boot_check": False})),
    ):
        assert key(other) != key(made)
    for same in (
        with_recipe(made, check={"timeout": 61}),
        with_recipe(made, ami={"description": "another"}),
        replace(made, settings=made.settings.model_copy(update={"accelerator": "kvm"})),
    ):
        assert key(same) == key(made)


def test_it_can_be_left_out(tmp_path: Path) -> None:
    made = build(tmp_path)
    without = replace(made, settings=made.settings.model_copy(update={"boot_check": False}))
    outcome = ensure(Boot(), without)
    assert outcome.receipt.facts == {"skipped": "boot_check = false in the settings"}
    assert not Boot().is_current(made)


@pytest.mark.lab
@pytest.mark.parametrize(
    ("code", "seconds", "brief", "console"),
    [
        (None, 60, "small (bios) does not boot: the BIOS found nothing to boot", "No bootable device"),
        (POWER_OFF, 60, "small (bios) powered off, or QEMU ended (exit code 0)", "Booting from Hard Disk"),
        (saying(b"Kernel panic - not syncing: no init\r\n"), 60, "the kernel panicked", "no init"),
        (SILENT, 10, "small (bios) did not answer SSH within 10 s", "Booting from Hard Disk"),
    ],
    ids=["zeroes", "power-off", "panic", "silence"],
)
def test_a_disk_that_does_not_boot(tmp_path: Path, code: bytes | None, seconds: int, brief: str, console: str) -> None:
    made = build(tmp_path, code, check={"timeout": seconds})
    before = (made.directory / RAW).stat()
    start = time.monotonic()
    with pytest.raises(KnitterError) as caught:
        ensure(Boot(), made)
    assert brief in caught.value.brief
    assert console in caught.value.details
    path = made.directory / "logs" / "console-bios.log"
    assert str(path) in caught.value.details
    assert console.encode() in path.read_bytes()
    assert time.monotonic() - start < 50
    assert guests(tmp_path) == []
    assert files(made) == {".lock", "disk.json", "disk.raw", "logs/boot.log", "logs/console-bios.log"}
    after = (made.directory / RAW).stat()
    assert (after.st_mtime_ns, after.st_blocks) == (before.st_mtime_ns, before.st_blocks)


@pytest.mark.lab
def test_an_empty_disk_under_uefi(tmp_path: Path) -> None:
    made = build(tmp_path, None, boot={"firmware": "uefi"})
    with pytest.raises(KnitterError) as caught:
        ensure(Boot(), made)
    assert caught.value.brief == "small (uefi) does not boot: the UEFI firmware found nothing to boot"


@pytest.mark.lab
def test_an_interruption_ends_the_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = threading.Event()
    monkeypatch.setattr(interrupt, "_stopping", flag)
    timer = threading.Timer(3, flag.set)
    timer.start()
    made = build(tmp_path, SILENT)
    with pytest.raises(interrupt.Interrupted):
        ensure(Boot(), made)
    timer.join()
    assert guests(tmp_path) == []
    assert not (made.directory / ".boot").exists()


PROGRAM = """
import sys
from pathlib import Path
from knitter.stages.boot import Boot
from knitter.stages.stage import ensure
from knitter.tasks import way_out
from tests.stages.test_boot import SILENT, build
way_out.prepare()
ensure(Boot(), build(Path(sys.argv[1]), SILENT))
"""


@pytest.mark.lab
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
def test_a_guest_does_not_outlive_knitter(tmp_path: Path, number: int) -> None:
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path], cwd=root, stderr=subprocess.DEVNULL, start_new_session=True
    ) as knitter:
        deadline = time.monotonic() + 60
        while not guests(tmp_path):
            assert time.monotonic() < deadline
            assert knitter.poll() is None
            time.sleep(0.1)
        knitter.send_signal(number)
        knitter.wait(30)
    wait_no_guest(tmp_path)


@pytest.mark.lab
def test_nothing_is_kept_open_without_a_disk(tmp_path: Path) -> None:
    made = build(tmp_path)
    Disk().receipt_path(made).unlink()
    with pytest.raises(KnitterError, match="no disk yet"), guest.keep(made):
        pass


@pytest.mark.boot
def test_debian_boots_from_both_firmwares(debian: Desk) -> None:
    facts = Boot().read(debian.site.build("debian-12")).facts
    for firmware in ("bios", "uefi"):
        found = facts[firmware]
        assert isinstance(found, dict)
        checks = found["checks"]
        assert isinstance(checks, list)
        assert f"it booted through {firmware.upper()}" in checks
        assert "the root has grown to the volume" in checks
        assert str(found["system"]).startswith("Debian GNU/Linux 12")
