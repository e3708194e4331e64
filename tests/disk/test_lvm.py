"""The label and the text of a volume group: what they say, and what lvm2's own tools say of them."""

import hashlib
import json
import os
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from knitter.disk import ext4, lvm
from knitter.disk.image import Image
from knitter.units import MIB, SECTOR
from tests.disk.conftest import EPOCH, layout_of
from tests.disk.test_filesystems import make_tree, settled

BOOT = {"mount": "/boot", "size": "100MiB", "filesystem": "ext4-el6", "label": "/boot"}
GROUP = {
    "kind": "lvm",
    "size": "801MiB",
    "group": "vg-1",
    "volumes": (
        {"name": "lv_root", "size": "400MiB", "mount": "/", "filesystem": "ext4-el6", "label": "/"},
        {"name": "lv-swap", "kind": "swap", "size": "64MiB"},
        {"name": "lv_var", "size": "200MiB", "mount": "/var"},
    ),
}
OLD = (
    "has_journal ext_attr resize_inode dir_index filetype extent flex_bg sparse_super large_file huge_file uninit_bg "
    "dir_nlink extra_isize"
)
"""What the mke2fs of EL 6 makes of ext4, as dumpe2fs says it."""
LAYOUT = layout_of(BOOT, GROUP, label="msdos")
HOLDER = LAYOUT.slices[1]


def test_volumes_lie_in_whole_extents_behind_lvms_own_mib() -> None:
    places = [((one.offset - HOLDER.offset) // MIB, one.size // MIB) for one in LAYOUT.volumes]
    assert places == [(1, 400), (401, 64), (465, 200)]
    assert [one.number for one in LAYOUT.volumes] == [2, 2, 2]
    assert LAYOUT.root == LAYOUT.volumes[0]
    assert LAYOUT.holding("/var/lib") == LAYOUT.volumes[2]


def test_whoever_takes_the_rest_gets_whole_extents() -> None:
    volumes = ({"name": "a", "size": "300MiB", "mount": "/"}, {"name": "b", "kind": "swap", "size": "rest"})
    layout = layout_of({"kind": "lvm", "size": "rest", "group": "g", "volumes": volumes}, label="msdos")
    assert [one.size // MIB for one in layout.volumes] == [300, 720]  # of 1022 MiB, less 1, less 1 that fills no extent


def test_device_names_double_hyphens_as_the_device_mapper_does() -> None:
    assert LAYOUT.root.root_argument == "/dev/mapper/vg--1-lv_root"
    assert LAYOUT.slices[0].root_argument == f"UUID={LAYOUT.slices[0].uuid}"


def test_the_checksum_is_lvms() -> None:
    assert lvm.checksum(b"") == 0xF597A6CF
    assert lvm.checksum(b"abc") == _slow_crc(b"abc")


def _slow_crc(data: bytes) -> int:
    """As lib/misc/crc.c counts: half a byte at a time."""
    table = [
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    ]  # fmt: skip
    found = 0xF597A6CF
    for byte in data:
        found ^= byte
        found = (found >> 4) ^ table[found & 15]
        found = (found >> 4) ^ table[found & 15]
    return found


def test_the_text_is_golden() -> None:
    lines = lvm.metadata(HOLDER, LAYOUT.volumes, EPOCH).splitlines()
    assert lines[:12] == [
        "vg-1 {",
        'id = "5d2e32-e3a7-ca5a-4c8b-f42b-2f97-8bc4be"',
        "seqno = 1",
        'format = "lvm2"',
        'status = ["RESIZEABLE", "READ", "WRITE"]',
        "flags = []",
        "extent_size = 8192",
        "max_lv = 0",
        "max_pv = 0",
        "metadata_copies = 0",
        "physical_volumes {",
        "pv0 {",
    ]
    start = lines.index("lv-swap {")
    assert lines[start + 1 : start + 15] == [
        f'id = "{lvm.identity(LAYOUT.volumes[1].guid)}"',
        'status = ["READ", "WRITE", "VISIBLE"]',
        "flags = []",
        f"creation_time = {EPOCH}",
        'creation_host = "knitter"',
        "segment_count = 1",
        "segment1 {",
        "start_extent = 0",
        "extent_count = 16",
        'type = "striped"',
        "stripe_count = 1",
        'stripes = ["pv0", 100]',
        "}",
        "}",
    ]
    assert lines[-3:] == ['description = ""', 'creation_host = "knitter"', f"creation_time = {EPOCH}"]


def test_label_and_header_hold_their_own_checksums(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    os.truncate(disk, LAYOUT.size)
    lvm.make(disk, HOLDER, LAYOUT.volumes, EPOCH)
    with disk.open("rb") as file:
        file.seek(HOLDER.offset)
        data = file.read(MIB)
    label, header = data[SECTOR : 2 * SECTOR], data[4096 : 4096 + SECTOR]
    assert label[:8] + label[24:32] == b"LABELONELVM2 001"
    assert struct.unpack_from("<QII", label, 8) == (1, lvm.checksum(label[20:]), 32)
    assert label[32:64] == HOLDER.uuid.hex.encode()
    assert struct.unpack_from("<I", header) == (lvm.checksum(header[4:]),)
    offset, size, checksum = struct.unpack_from("<QQI", header, 40)
    text = data[4096 + offset : 4096 + offset + size]
    assert text == lvm.metadata(HOLDER, LAYOUT.volumes, EPOCH).encode() + b"\0"
    assert checksum == lvm.checksum(text)
    assert not any(data[4096 + offset + size :])


@contextmanager
def attached(disk: Path, folder: Path) -> Iterator[Callable[..., str]]:
    """Runs lvm2's tools on the partition that holds the group, and on nothing else of this host."""
    where = ("--offset", str(HOLDER.offset), "--sizelimit", str(HOLDER.size))
    device = subprocess.run(["losetup", "--find", "--show", *where, disk], capture_output=True, text=True, check=False)
    if device.returncode:
        pytest.skip(f"this host has no loop device: {device.stderr}")
    name = device.stdout.strip()
    filters = f'filter = ["a|^{name}$|", "r|.*|"] use_devicesfile = 0'
    (folder / "lvm.conf").write_text(f"devices {{ {filters} }}\nbackup {{ backup = 0 archive = 0 }}\n")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LVM_SYSTEM_DIR": str(folder), "LC_ALL": "C", "TZ": "UTC"}

    def run(*argv: str) -> str:
        done = subprocess.run(
            ["lvm", *(one.replace("DEVICE", name) for one in argv), "--driverloaded", "n"],
            capture_output=True, text=True, check=False, env=environment, close_fds=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert not re.search("(?i)warning: (?!activation|logical volume .* not zeroed|this metadata)", done.stderr)
        return done.stdout

    try:
        yield run
    finally:
        subprocess.run(["losetup", "--detach", name], check=True)


def report(run: Callable[..., str], what: str, *argv: str) -> list[dict[str, Any]]:
    answer = json.loads(run(what, "--reportformat", "json", "--units", "b", "--nosuffix", *argv))
    (found,) = answer["report"][0].values()
    assert isinstance(found, list)
    return found


@pytest.mark.lab
class TestTools:
    """lvm2's own tools, e2fsprogs' and the like, on what was written."""

    def test_lvm2_finds_the_group_as_planned(self, new_image: Callable[..., Image], tmp_path: Path) -> None:
        image = new_image(LAYOUT)
        lvm.make(image.outside, HOLDER, LAYOUT.volumes, EPOCH)
        with attached(image.outside, tmp_path) as run:
            run("pvck", "DEVICE")
            run("vgck", "vg-1")
            (physical,) = report(run, "pvs", "-o", "pv_uuid,vg_name,pe_start,pv_pe_count,dev_size")
            assert physical == {
                "pv_uuid": lvm.identity(HOLDER.uuid),
                "vg_name": "vg-1",
                "pe_start": str(MIB),
                "pv_pe_count": "200",
                "dev_size": str(HOLDER.size),
            }
            (device,) = report(run, "pvs", "-o", "pv_name")
            options = "lv_name,lv_uuid,segtype,seg_pe_ranges,lv_host,lv_time"
            found = {one["lv_name"]: [*one.values()][1:] for one in report(run, "lvs", "--segments", "-o", options)}
        ranges = {"lv_root": "0-99", "lv-swap": "100-115", "lv_var": "116-165"}
        when = "2023-11-14 22:13:20 +0000"
        assert found == {
            name: [lvm.identity(one.guid), "linear", f"{device['pv_name']}:{place}", "knitter", when]
            for one, (name, place) in zip(LAYOUT.volumes, ranges.items(), strict=True)
        }

    def test_lvm2_changes_the_group(self, new_image: Callable[..., Image], tmp_path: Path) -> None:
        image = new_image(LAYOUT)
        lvm.make(image.outside, HOLDER, LAYOUT.volumes, EPOCH)
        with attached(image.outside, tmp_path) as run:
            run("lvcreate", "-qq", "-an", "-Zn", "-Wn", "-n", "more", "-L", "80m", "vg-1")
            run("lvrename", "vg-1", "lv_var", "lv_usr")
            run("vgck", "vg-1")
            names = {one["lv_name"]: one["lv_size"] for one in report(run, "lvs")}
        assert names == {
            "lv_root": str(400 * MIB),
            "lv-swap": str(64 * MIB),
            "lv_usr": str(200 * MIB),
            "more": str(80 * MIB),
        }

    def test_a_file_system_in_a_volume_is_clean_and_old(self, new_image: Callable[..., Image]) -> None:
        image = new_image(LAYOUT)
        tree = settled(image, make_tree(image))
        ext4.make(image, LAYOUT.root, tree, label="/", kind="ext4-el6")
        where = f"{image.outside}?offset={LAYOUT.root.offset}"
        subprocess.run(["e2fsck", "-fn", where], check=True, capture_output=True)
        said = subprocess.run(["debugfs", "-R", "stats -h", where], check=True, capture_output=True, text=True).stdout
        head = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
        assert head["Filesystem volume name"].strip() == "/"
        assert head["Filesystem features"].split() == OLD.split()
        assert head["Inode size"].strip() == "256"

    def test_the_same_twice(self, new_image: Callable[..., Image]) -> None:
        digests = set()
        for name in ("one", "other"):
            image = new_image(LAYOUT, f"{name}.raw")
            tree = image.path.with_name(f"{name}-tree")
            settled(image, make_tree(image, tree.name))
            ext4.make(image, LAYOUT.root, tree, label="/", kind="ext4-el6")
            lvm.make(image.outside, HOLDER, LAYOUT.volumes, EPOCH)
            with image.outside.open("rb") as file:
                digests.add(hashlib.file_digest(file, "sha256").hexdigest())
        assert len(digests) == 1
