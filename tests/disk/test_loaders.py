"""Boot loaders of the RPM family on disks of a tiny root: real tools, no guest."""

import hashlib
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from knitter.disk.assembly import Plan, assemble
from knitter.errors import KnitterError
from knitter.machine.scratch import scratch
from knitter.recipe.boot import Boot
from knitter.units import GIB, MIB, SECTOR
from tests.disk import tiny_root
from tests.disk.conftest import EPOCH, Part, layout_of
from tests.disk.legacy import legacy
from tests.disk.test_geometry import BOOT, DATA, ESP, ROOT
from tests.disk.test_lvm import BOOT as OLD_BOOT
from tests.disk.test_lvm import GROUP

pytestmark = pytest.mark.lab
ARGUMENTS = "console=tty0 console=ttyS0,115200n8"


EL6 = {name: data for name, data in tiny_root.REDHAT.items() if not name.startswith(("usr/lib/grub", "etc/os-release"))}
EL6 |= {"etc/system-release": b"Tiny release 6.9 (Final)\n", "usr/sbin/lvm": b"lvm"}
EL6_PLAN = Plan(
    layout_of(OLD_BOOT, GROUP, label="msdos"),
    Boot(loader="grub-legacy", firmware="bios", arguments=ARGUMENTS),
    "x86_64",
    "redhat",
    EPOCH,
)


def plan(*partitions: Part, **boot: Any) -> Plan:
    return Plan(layout_of(*partitions), Boot(arguments=ARGUMENTS, **boot), "x86_64", "redhat", EPOCH)


def disk_of(directory: Path, plan: Plan, files: Mapping[str, bytes], choice: str = "memory", **how: Any) -> Path:
    """The disk of *plan* from a root with *files*."""
    directory.mkdir(exist_ok=True)
    archive = tiny_root.pack(directory / "rootfs.tar", files, epoch=EPOCH, **how)
    log = directory / "log"
    with scratch(choice, directory, need=GIB, log=log) as (machine, place):
        made = assemble(machine, place, archive, plan, log=log)
        target = directory / "disk.raw"
        subprocess.run(["cp", "--sparse=always", made.image.outside, target], check=True)
    return target


def inside(disk: Path, plan: Plan, mount: str, question: str) -> str:
    """Asks debugfs about the file system mounted at *mount*."""
    offset = plan.layout.holding(mount).offset
    argv = ["debugfs", "-R", question, f"{disk}?offset={offset}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def names(listing: str) -> set[str]:
    return {line.split("/")[5] for line in listing.split()} - {".", ".."}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def on_esp(disk: Path, plan: Plan, *argv: str) -> str:
    where = f"{disk}@@{plan.layout.holding('/boot/efi').offset}"
    return subprocess.run([argv[0], "-i", where, *argv[1:]], capture_output=True, text=True, check=True).stdout


class TestLegacy:
    """GRUB 0.97 with LVM, as EL 6 has it."""

    def test_it_installs_itself_on_the_plain_file(self, tmp_path: Path) -> None:
        files, programs = legacy()
        disk = disk_of(tmp_path, EL6_PLAN, EL6 | files, programs=programs)
        with disk.open("rb") as file:
            head = file.read(63 * SECTOR)
        assert b"GRUB" in head[:440]
        assert head[440:444] == EL6_PLAN.layout.disk_id.to_bytes(4, "little")
        assert head[510:512] == b"\x55\xaa"
        assert b"/boot/grub/stage2" in head  # what stage 1.5, in the gap, goes on to
        table = subprocess.run(["sfdisk", "--dump", disk], capture_output=True, text=True, check=True).stdout
        assert re.findall(r"type=(\w+)(, bootable)?", table) == [("83", ", bootable"), ("8e", "")]
        for one in EL6_PLAN.layout.parts:
            if one.filesystem:
                subprocess.run(["e2fsck", "-fn", f"{disk}?offset={one.offset}"], check=True, capture_output=True)

    def test_the_menu_and_its_links(self, tmp_path: Path) -> None:
        files, programs = legacy()
        disk = disk_of(tmp_path, EL6_PLAN, EL6 | files, programs=programs)
        assert inside(disk, EL6_PLAN, "/boot", "cat /grub/grub.conf").splitlines() == [
            "# Written by knitter; grubby keeps it up to date as kernels come and go.",
            "default=0",
            "timeout=0",
            "hiddenmenu",
            "serial --unit=0 --speed=115200",
            "terminal --timeout=0 serial console",
            "title Tiny release 6.9 (Final) (5.14.0-10.el9)",
            "\troot (hd0,0)",
            f"\tkernel /vmlinuz-5.14.0-10.el9 ro root=/dev/mapper/vg--1-lv_root {ARGUMENTS}",
            "\tinitrd /initramfs-5.14.0-10.el9.img",
            "title Tiny release 6.9 (Final) (5.14.0-9.el9)",
            "\troot (hd0,0)",
            f"\tkernel /vmlinuz-5.14.0-9.el9 ro root=/dev/mapper/vg--1-lv_root {ARGUMENTS}",
            "\tinitrd /initramfs-5.14.0-9.el9.img",
        ]
        links = {
            ("/boot", "/grub/menu.lst"): "grub.conf",
            ("/boot", "/boot"): ".",
            ("/", "/etc/grub.conf"): "../boot/grub/grub.conf",
        }
        for (mount, path), target in links.items():
            assert f'Fast link dest: "{target}"' in inside(disk, EL6_PLAN, mount, f"stat {path}")
        assert inside(disk, EL6_PLAN, "/", "cat /etc/sysconfig/kernel").startswith("UPDATEDEFAULT=yes\n")
        assert len(inside(disk, EL6_PLAN, "/", "cat /etc/fstab").splitlines()) == 4

    def test_the_same_in_memory_and_on_disk(self, tmp_path: Path) -> None:
        files, programs = legacy()
        digests = {
            sha256(disk_of(tmp_path / choice, EL6_PLAN, EL6 | files, choice, programs=programs))
            for choice in ("memory", "disk")
        }
        assert len(digests) == 1

    def test_a_root_with_boot_in_it_is_found_too(self, tmp_path: Path) -> None:
        files, programs = legacy()
        root = layout_of({**ROOT, "filesystem": "ext4-el6"}, label="msdos")
        disk = disk_of(tmp_path, replace(EL6_PLAN, layout=root), EL6 | files, programs=programs)
        menu = inside(disk, replace(EL6_PLAN, layout=root), "/", "cat /boot/grub/grub.conf")
        assert f"kernel /boot/vmlinuz-5.14.0-10.el9 ro root=UUID={root.root.uuid} " in menu

    def test_what_it_says_is_read_since_it_exits_with_0(self, tmp_path: Path) -> None:
        files, programs = legacy()
        lacking = {name: data for name, data in files.items() if not name.endswith("stage2")}
        with pytest.raises(KnitterError, match="GRUB could not install itself") as caught:
            disk_of(tmp_path, EL6_PLAN, EL6 | lacking, programs=programs)
        assert "Error 15: File not found" in caught.value.details

    @pytest.mark.parametrize("cause", ["a program of another machine", "its library is missing"])
    def test_a_host_that_cannot_run_it_is_told(self, tmp_path: Path, cause: str) -> None:
        files, programs = legacy()
        foreign = programs | {"sbin/grub": b"\x7fELF of another machine"}
        alone = {"sbin/grub": programs["sbin/grub"]}
        with pytest.raises(KnitterError, match="this host cannot run the image's /sbin/grub") as caught:
            disk_of(tmp_path, EL6_PLAN, EL6 | files, programs=alone if "library" in cause else foreign)
        assert "32-bit" in caught.value.hint

    @pytest.mark.parametrize(
        ("without", "says", "hint"),
        [
            ("usr/share/grub/x86_64-redhat/stage1", "the image lacks GRUB 0.97", '"grub"'),
            ("boot/initramfs-5.14.0-9.el9.img", "kernel 5.14.0-9.el9 has no initramfs", "add dracut"),
            ("usr/sbin/lvm", "the image lacks lvm2", '"lvm2"'),
        ],
    )
    def test_what_the_image_lacks_is_named(self, tmp_path: Path, without: str, says: str, hint: str) -> None:
        files, programs = legacy()
        with pytest.raises(KnitterError, match=says) as caught:
            disk_of(tmp_path, EL6_PLAN, EL6 | files, programs=programs, without=[without])
        assert hint in caught.value.hint


class TestGrub2:
    """GRUB 2 of the RPM family, with and without blscfg."""

    def test_without_blscfg_the_menu_has_entries_of_its_own(self, tmp_path: Path) -> None:
        found = plan(BOOT, ROOT, firmware="bios")
        disk = disk_of(tmp_path, found, tiny_root.REDHAT)
        root = found.layout.root
        assert "normal.mod" in names(inside(disk, found, "/", "ls -p /boot/grub2/i386-pc"))
        menu = inside(disk, found, "/", "cat /boot/grub2/grub.cfg")
        assert f"linux /boot/vmlinuz-5.14.0-10.el9 root=UUID={root.uuid} ro {ARGUMENTS}\n" in menu
        assert "initrd /boot/initramfs-5.14.0-10.el9.img\n" in menu
        load = inside(disk, found, "/", "cat /boot/grub2/i386-pc/load.cfg")
        assert load == f"search.fs_uuid {root.uuid} root\nset prefix=($root)'/boot/grub2'\n"
        core = inside(disk, found, "/", "cat /boot/grub2/i386-pc/core.img")
        assert core.startswith(f"image for i386-pc\n{load}")
        with disk.open("rb") as file:
            file.seek(MIB)
            assert file.read(17) == b"image for i386-pc"
        defaults = inside(disk, found, "/", "cat /etc/default/grub")
        assert f'GRUB_CMDLINE_LINUX="{ARGUMENTS}"\n' in defaults
        assert "GRUB_ENABLE_BLSCFG=false\n" in defaults
        assert inside(disk, found, "/", "cat /etc/kernel/cmdline") == f"root=UUID={root.uuid} ro {ARGUMENTS}\n"

    def test_with_blscfg_each_kernel_has_an_entry_and_no_old_one_stays(self, tmp_path: Path) -> None:
        bls = {"usr/lib/grub/i386-pc/blscfg.mod": b"blscfg", "boot/loader/entries/0a1b-5.14.0-9.el9.conf": b"old"}
        found = plan(BOOT, {**DATA, "mount": "/boot"}, ROOT, firmware="bios")
        disk = disk_of(tmp_path, found, tiny_root.REDHAT | bls)
        entries = names(inside(disk, found, "/boot", "ls -p /loader/entries"))
        assert entries == {"~knitter-5.14.0-9.el9.conf", "~knitter-5.14.0-10.el9.conf"}
        entry = inside(disk, found, "/boot", "cat /loader/entries/~knitter-5.14.0-10.el9.conf").splitlines()
        assert entry[:5] == [
            "title Tiny Linux (5.14.0-10.el9)",
            "version 5.14.0-10.el9",
            "linux /vmlinuz-5.14.0-10.el9",
            "initrd /initramfs-5.14.0-10.el9.img",
            f"options root=UUID={found.layout.root.uuid} ro {ARGUMENTS}",
        ]
        menu = inside(disk, found, "/boot", "cat /grub2/grub.cfg").splitlines()
        assert menu[-2:] == ["}", "blscfg"]
        assert not any(line.startswith("menuentry") for line in menu)
        assert "GRUB_ENABLE_BLSCFG=true\n" in inside(disk, found, "/", "cat /etc/default/grub")
        assert "DEFAULTKERNEL=kernel-core" in inside(disk, found, "/", "cat /etc/sysconfig/kernel")

    def test_the_recipes_own_preferences_stay(self, tmp_path: Path) -> None:
        found = plan(BOOT, ROOT, firmware="bios")
        disk = disk_of(tmp_path, found, tiny_root.REDHAT | {"etc/sysconfig/kernel": b"UPDATEDEFAULT=no\n"})
        assert inside(disk, found, "/", "cat /etc/sysconfig/kernel") == "UPDATEDEFAULT=no\n"

    @pytest.mark.parametrize(
        ("module", "content", "lines"),
        [
            ("blscfg", b"blscfg", ["set blsdir=/boot/loader/entries", "blscfg"]),
            ("blsuki", b"blscfg of blsuki", ["}", "blscfg --path /boot/loader/entries"]),
        ],
    )
    def test_blscfg_is_told_where_the_entries_are_as_it_takes_it(
        self, tmp_path: Path, module: str, content: bytes, lines: list[str]
    ) -> None:
        found = plan(BOOT, ROOT, firmware="bios")
        disk = disk_of(tmp_path, found, tiny_root.REDHAT | {f"usr/lib/grub/i386-pc/{module}.mod": content})
        assert inside(disk, found, "/", "cat /boot/grub2/grub.cfg").splitlines()[-2:] == lines

    def test_boot_in_a_volume_is_read_through_grubs_lvm(self, tmp_path: Path) -> None:
        group = {"kind": "lvm", "size": "rest", "group": "g", "volumes": ({"name": "r", "size": "rest", "mount": "/"},)}
        bls = {"usr/lib/grub/i386-pc/blscfg.mod": b"blscfg", "usr/sbin/lvm": b"lvm"}
        found = plan(BOOT, group, firmware="bios")
        disk = disk_of(tmp_path, found, tiny_root.REDHAT | bls)
        assert " part_gpt lvm ext2 search_fs_uuid" in (tmp_path / "log").read_text()
        assert "set blsdir=/boot/loader/entries" in inside(disk, found, "/", "cat /boot/grub2/grub.cfg")
        assert "root=/dev/mapper/g-r ro " in inside(disk, found, "/", "cat /etc/kernel/cmdline")

    @pytest.mark.parametrize(("content", "entries"), [(b"signed grub", False), (b"signed, with blscfg", True)])
    def test_a_signed_grub_may_have_blscfg_built_in(self, tmp_path: Path, content: bytes, entries: bool) -> None:
        found = plan(ESP, ROOT, firmware="uefi")
        signed = tiny_root.VENDOR | {"boot/efi/EFI/tiny/grubx64.efi": content}
        disk = disk_of(tmp_path, found, tiny_root.REDHAT | signed)
        assert ("\nblscfg\n" in inside(disk, found, "/", "cat /boot/grub2/grub.cfg")) == entries

    @pytest.mark.parametrize("fallback", [True, False], ids=["with fbx64", "without"])
    def test_signed_loaders_stay_where_they_are_and_find_the_menu(self, tmp_path: Path, fallback: bool) -> None:
        own = {"boot/efi/EFI/BOOT/BOOTX64.EFI": b"shim's own", "boot/efi/EFI/BOOT/fbx64.efi": b"fallback"}
        found = plan(ESP, ROOT, firmware="uefi")
        without_bios = {name: data for name, data in tiny_root.REDHAT.items() if "i386-pc" not in name}
        disk = disk_of(tmp_path, found, without_bios | tiny_root.VENDOR | (own if fallback else {}))
        listing = on_esp(disk, found, "mdir", "-b", "-/", "::")
        present = {path[2:] for path in listing.split() if path[-1] != "/"}
        vendor = {f"/EFI/tiny/{name}" for name in ("shimx64.efi", "mmx64.efi", "grubx64.efi", "grub.cfg")}
        boot = {"BOOTX64.EFI", "grub.cfg", *({"fbx64.efi"} if fallback else {"grubx64.efi", "mmx64.efi"})}
        assert present == vendor | {f"/EFI/BOOT/{name}" for name in boot}
        assert on_esp(disk, found, "mtype", "::/EFI/BOOT/BOOTX64.EFI") == ("shim's own" if fallback else "shim")
        stub = on_esp(disk, found, "mtype", "::/EFI/tiny/grub.cfg")
        assert stub.splitlines()[1:] == ["set prefix=($root)'/boot/grub2'", "configfile $prefix/grub.cfg"]

    def test_without_signed_loaders_one_is_made_here(self, tmp_path: Path) -> None:
        modules = {f"usr/lib/grub/x86_64-efi/{name}": b"" for name in ("modinfo.sh", "a.mod", "a.lst")}
        found = plan(BOOT, ESP, ROOT)
        disk = disk_of(tmp_path, found, tiny_root.REDHAT | modules)
        assert on_esp(disk, found, "mtype", "::/EFI/BOOT/BOOTX64.EFI").startswith("image for x86_64-efi\n")

    def test_what_the_image_lacks_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(KnitterError, match="the image lacks grub2-efi-x64-modules, grub2-tools") as caught:
            disk_of(tmp_path, plan(BOOT, ESP, ROOT), tiny_root.REDHAT, without=["usr/bin/grub-mkimage"])
        assert '"grub2-tools"' in caught.value.hint
