"""The disk stage: on a tiny root, and the real disk of debian-12."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from knitter import receipt
from knitter.aws.session import Cloud
from knitter.disk import blocks
from knitter.errors import KnitterError
from knitter.receipt import Receipt
from knitter.recipe.boot import Boot as BootSection
from knitter.recipe.boot import Probe
from knitter.recipe.disk import Disk as DiskSection
from knitter.recipe.load import load
from knitter.recipe.model import Recipe
from knitter.settings import Settings
from knitter.stages.boot import Boot
from knitter.stages.build import Build
from knitter.stages.disk import Disk
from knitter.stages.rootfs import Rootfs
from knitter.stages.stage import Outcome, ensure
from knitter.units import BLOCK, GIB, MIB
from tests.desk import Desk
from tests.disk import tiny_root
from tests.stages.small import LOCK


def no_cloud() -> Cloud:
    raise AssertionError("this stage needs no cloud")


def build_of(directory: Path, *, scratch: str = "memory", **sections: Any) -> Build:
    values = {"name": "tiny", "directory": directory, "packages": {"release": "tiny"}, "disk": {"size": "1GiB"}}
    recipe = Recipe.model_validate(values | sections)
    return Build(recipe, Settings.model_validate({"build_directory": directory, "scratch": scratch}), no_cloud)


def lay_root(build: Build, **how: Any) -> None:
    """What the stages before leave: a lock, rootfs.tar and its receipt."""
    build.directory.mkdir(parents=True, exist_ok=True)
    (build.directory / "packages.lock").write_text(LOCK.text())
    archive = tiny_root.pack(build.directory / "rootfs.tar", epoch=LOCK.epoch, **how)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    left = Receipt(stage="rootfs", key="k", digest=digest, inputs={}, outputs={"rootfs.tar": archive.stat().st_size})
    receipt.write(Rootfs().receipt_path(build), left)


def make(build: Build) -> Outcome:
    return ensure(Disk(), build)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def left_behind(build: Build) -> set[str]:
    return {path.name for path in build.directory.iterdir()} - {
        ".lock",
        "logs",
        "packages.lock",
        "rootfs.tar",
        "rootfs.json",
    }


def test_it_rests_on_the_sections_disk_and_boot(tmp_path: Path) -> None:
    names = set(Disk().sections(build_of(tmp_path)))
    assert names == {"disk.size", "disk.label", "disk.partitions", "boot.loader", "boot.firmware", "boot.arguments"}


@pytest.mark.lab
class TestTiny:
    """A disk from a tiny root: real tools, no guest."""

    def test_the_same_input_gives_the_same_disk_in_memory_and_on_disk(self, tmp_path: Path) -> None:
        one, other = build_of(tmp_path / "a"), build_of(tmp_path / "b", scratch="disk")
        lay_root(one, files=tiny_root.FILES | tiny_root.SIGNED)
        lay_root(other, files=tiny_root.FILES | tiny_root.SIGNED)
        first, second = make(one).receipt, make(other).receipt
        assert first == second
        assert sha256(one.directory / "disk.raw") == sha256(other.directory / "disk.raw")
        assert left_behind(one) == left_behind(other) == {"disk.raw", "disk.blocks", "disk.json"}

    def test_the_receipt_says_what_was_made(self, tmp_path: Path) -> None:
        build = build_of(tmp_path)
        lay_root(build)
        left = make(build).receipt
        listed = blocks.read(build.directory / "disk.blocks")
        assert left.digest == sha256(build.directory / "disk.blocks") == listed.digest
        assert left.outputs["disk.raw"] == left.facts["size"] == listed.size == GIB
        assert left.facts["written"] == len(listed) * BLOCK
        assert left.facts["kernel"] == "6.1.0-10"
        assert left.facts["epoch"] == LOCK.epoch
        assert (build.directory / "disk.raw").stat().st_blocks * 512 <= len(listed) * BLOCK

    def test_a_root_that_lost_its_end_is_refused_whatever_tar_thinks_of_it(self, tmp_path: Path) -> None:
        """As a power cut may leave it: the right size, but zeroes, which end a tar early and without an error."""
        build = build_of(tmp_path)
        lay_root(build)
        archive = build.directory / "rootfs.tar"
        size = archive.stat().st_size
        os.truncate(archive, size // 1024 * 512)
        os.truncate(archive, size)
        with pytest.raises(KnitterError, match=r"rootfs\.tar is not what the stage rootfs made") as caught:
            make(build)
        assert "remove it and run again" in caught.value.hint
        assert left_behind(build) == set()

    def test_the_list_is_true_of_the_disk(self, tmp_path: Path) -> None:
        build = build_of(tmp_path)
        lay_root(build)
        make(build)
        found = {}
        with (build.directory / "disk.raw").open("rb") as disk:
            for index in range(GIB // BLOCK):
                if (data := disk.read(BLOCK)) != bytes(BLOCK):
                    found[index] = hashlib.sha256(data).digest()
        assert dict(blocks.read(build.directory / "disk.blocks")) == found

    def test_a_kernel_argument_or_a_partition_makes_another_disk(self, tmp_path: Path) -> None:
        build = build_of(tmp_path)
        lay_root(build)
        digests = {make(build).receipt.digest}
        assert make(build).action == "kept"
        changed = make(build_of(tmp_path, boot={"arguments": "quiet"}))
        assert changed.reason == "boot.arguments changed"
        bigger = make(build_of(tmp_path, disk={"size": "2GiB"}))
        digests |= {changed.receipt.digest, bigger.receipt.digest}
        assert len(digests) == 3

    def test_files_lie_where_they_are_mounted(self, tmp_path: Path) -> None:
        partitions = (
            {"kind": "bios-boot"},
            {"kind": "esp"},
            {"mount": "/boot", "size": "100MiB"},
            {"mount": "/srv", "size": "100MiB"},
            {"mount": "/", "size": "rest"},
        )
        build = build_of(tmp_path, disk={"size": "1GiB", "partitions": partitions})
        lay_root(build)
        make(build)
        disk = build.directory / "disk.raw"
        boot, srv, root = (inside(disk, start * MIB) for start in (66, 166, 266))
        assert "linux /vmlinuz-6.1.0-10 root=UUID=" in boot("cat /grub/grub.cfg")
        assert srv("cat /data/file") == "on a partition of its own, perhaps"
        assert [line.split("/")[5] for line in root("ls -p /srv").split()] == [".", ".."]
        assert [line.split("/")[5] for line in root("ls -p /boot").split()] == [".", ".."]
        assert "UUID=" in root("cat /etc/fstab")

    @pytest.mark.parametrize(
        ("signed", "expected"),
        [
            (
                tiny_root.SIGNED,
                {
                    "/EFI/BOOT/BOOTX64.EFI": "shim",
                    "/EFI/BOOT/grubx64.efi": "signed grub",
                    "/EFI/BOOT/mmx64.efi": "mok manager",
                    "/EFI/tiny/shimx64.efi": "shim",
                    "/EFI/tiny/grubx64.efi": "signed grub",
                    "/EFI/tiny/mmx64.efi": "mok manager",
                    "/EFI/tiny/fbx64.efi": "fallback",
                    "/EFI/tiny/BOOTX64.CSV": "csv",
                },
            ),
            ({}, {"/EFI/BOOT/BOOTX64.EFI": "image for x86_64-efi"}),
        ],
        ids=["signed", "made here"],
    )
    def test_uefi_finds_its_loader(self, tmp_path: Path, signed: dict[str, bytes], expected: dict[str, str]) -> None:
        build = build_of(tmp_path)
        lay_root(build, files=tiny_root.FILES | signed)
        make(build)
        esp = f"{build.directory / 'disk.raw'}@@{2 * MIB}"
        listing = {path[2:] for path in tool("mdir", "-b", "-/", "-i", esp, "::").split() if path[-1] != "/"}
        configs = {"/EFI/BOOT/grub.cfg", "/EFI/tiny/grub.cfg"} if signed else set()
        assert listing == set(expected) | configs
        for path, begins in expected.items():
            assert tool("mtype", "-i", esp, f"::{path}").startswith(begins)
        for path in configs:
            assert "search.fs_uuid" in tool("mtype", "-i", esp, f"::{path}")

    @pytest.mark.parametrize(
        ("firmware", "enabled"), [("both", True), ("bios", False), ("uefi", False)], ids=["both", "bios", "uefi"]
    )
    def test_upgrades_reinstall_the_loaders_only_if_both_are_there(
        self, tmp_path: Path, firmware: str, enabled: bool
    ) -> None:
        build = build_of(tmp_path, boot={"firmware": firmware})
        lay_root(build)
        make(build)
        assert ("enable_cloud" in inside(build.directory / "disk.raw", 66 * MIB)("ls /etc/grub.d")) == enabled

    @pytest.mark.parametrize(
        ("without", "says", "hint"),
        [
            ("usr/lib/grub/i386-pc/modinfo.sh", "the image lacks grub-pc-bin", '"grub-pc-bin"'),
            ("usr/lib/grub/x86_64-efi/modinfo.sh", "the image lacks grub-efi-amd64-bin", '"grub-efi-amd64-bin"'),
            ("boot/initrd.img-6.1.0-9", "kernel 6.1.0-9 has no initramfs", "initramfs-tools"),
        ],
    )
    def test_what_the_image_lacks_is_named(self, tmp_path: Path, without: str, says: str, hint: str) -> None:
        build = build_of(tmp_path)
        lay_root(build, without=[without])
        with pytest.raises(KnitterError, match=says) as caught:
            make(build)
        assert hint in caught.value.hint
        assert left_behind(build) == set()

    def test_a_root_too_large_is_refused_and_nothing_is_left(self, tmp_path: Path) -> None:
        partitions = ({"kind": "bios-boot"}, {"mount": "/", "size": "256MiB"})
        build = build_of(tmp_path, disk={"size": "1GiB", "partitions": partitions}, boot={"firmware": "bios"})
        lay_root(build, files=tiny_root.FILES | {"large": os.urandom(255 * MIB)})
        with pytest.raises(KnitterError, match="the file system for / is too small"):
            make(build)
        assert left_behind(build) == set()


@pytest.mark.boot
class TestDebian:
    """disk.raw of debian-12 as it was built; that it boots, the stage after it has shown."""

    def test_the_table_and_the_file_systems_are_clean(self, debian: Desk, tmp_path: Path) -> None:
        disk = debian.build / "debian-12" / "disk.raw"
        assert "No errors detected" in tool("sfdisk", "--verify", disk)
        tool("e2fsck", "-fn", f"{disk}?offset={66 * MIB}")
        with disk.open("rb") as file, (tmp_path / "esp").open("wb") as esp:
            file.seek(2 * MIB)
            esp.write(file.read(64 * MIB))
        tool("fsck.vfat", "-n", tmp_path / "esp")

    def test_both_loaders_are_there(self, debian: Desk, tmp_path: Path) -> None:
        disk = debian.build / "debian-12" / "disk.raw"
        root = inside(disk, 66 * MIB)
        assert "normal.mod" in root("ls /boot/grub/i386-pc")
        assert "normal.mod" in root("ls /boot/grub/x86_64-efi")
        with disk.open("rb") as file:
            assert b"GRUB" in file.read(512)
        listing = tool("mdir", "-b", "-/", "-i", f"{disk}@@{2 * MIB}", "::").split()
        assert {"::/EFI/BOOT/BOOTX64.EFI", "::/EFI/BOOT/grubx64.efi", "::/EFI/debian/grub.cfg"} <= set(listing)

    def test_made_again_on_disk_it_is_the_same(self, debian: Desk, tmp_path: Path) -> None:
        made = debian.build / "debian-12"
        again = link_root(debian, tmp_path)
        recipe = load(debian.root / "recipes", "debian-12")
        build = Build(recipe, Settings.model_validate({"build_directory": tmp_path, "scratch": "disk"}), no_cloud)
        assert make(build).receipt == receipt.read(made / "disk.json")
        assert sha256(again / "disk.raw") == sha256(made / "disk.raw")

    def test_an_msdos_disk_in_four_parts_boots_and_update_grub_makes_the_same_menu(
        self, debian: Desk, tmp_path: Path
    ) -> None:
        build = msdos_build(debian, tmp_path)
        make(build)
        facts = ensure(Boot(), build).receipt.facts
        assert {"the root has grown to the volume", *PROBES} <= set(facts["bios"]["checks"])


PROBES = {
    "swap is on": "swapon --show | grep partition",
    "var and boot are apart": "findmnt /var && findmnt /boot",
    "update-grub makes the same menu": """
menu() { grep -o 'root=UUID=.*' /boot/grub/grub.cfg | head -n 1 | sed 's/ *$//'; }
before=$(menu)
update-grub
[ -n "$before" ] && [ "$before" = "$(menu)" ]
""",
}


def msdos_build(debian: Desk, directory: Path) -> Build:
    """debian-12's root, to be put on another disk."""
    link_root(debian, directory)
    partitions = (
        {"mount": "/boot", "size": "300MiB"},
        {"kind": "swap", "size": "100MiB"},
        {"mount": "/var", "size": "2GiB"},
        {"mount": "/", "size": "rest"},
    )
    probes = tuple(Probe(name=name, run=run) for name, run in PROBES.items())
    recipe = load(debian.root / "recipes", "debian-12")
    sections = {
        "disk": DiskSection.model_validate({"label": "msdos", "partitions": partitions}),
        "boot": BootSection(firmware="bios"),
        "check": recipe.check.model_copy(update={"probes": probes}),
    }
    settings = Settings(build_directory=directory, cache_directory=debian.cache)
    return Build(recipe.model_copy(update=sections), settings, no_cloud)


def link_root(debian: Desk, directory: Path) -> Path:
    """What the stages before the disk left, without copying it."""
    folder = directory / "debian-12"
    folder.mkdir()
    for name in ("packages.lock", "packages.json", "rootfs.tar", "rootfs.json"):
        os.link(debian.build / "debian-12" / name, folder / name)
    return folder


def tool(*argv: str | Path) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def inside(disk: Path, offset: int) -> Any:
    """Asks debugfs about the file system at *offset*."""
    return lambda question: tool("debugfs", "-R", question, f"{disk}?offset={offset}")
