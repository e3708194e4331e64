"""Real tools on small disks: what they wrote is read back by others."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from knitter.command import command, script
from knitter.disk import ext4, swap, vfat
from knitter.disk.geometry import Layout
from knitter.disk.image import Image
from knitter.disk.partition import write_table
from knitter.errors import KnitterError
from knitter.machine.scratch import scratch
from knitter.units import GIB, MIB
from tests.disk.conftest import EPOCH, empty_image, layout_of
from tests.disk.test_geometry import BOOT, DATA, ESP, ROOT, SWAP

pytestmark = pytest.mark.lab
FEATURES = (
    "has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super "
    "large_file huge_file dir_nlink extra_isize metadata_csum"
)
NewImage = Callable[..., Image]

# An executable with a capability, odd owners and modes, links, a user's attribute, an ACL, an old and a new time.
TREE = """
mkdir "$1"; cd "$1"
mkdir -p etc empty deep/er/still
echo hello > etc/motd; ln etc/motd etc/motd.hard; ln -s ../etc/motd deep/link
echo secret > etc/shadow; chmod 0640 etc/shadow; chown 0:42 etc/shadow
cp /bin/true deep/tool; chmod 4755 deep/tool; setcap cap_net_raw+ep deep/tool
setfacl -m u:7:rw etc/motd
mknod deep/pipe p
head -c 3000000 /dev/zero | tr '\\0' x > deep/big
truncate -s 5M deep/sparse
touch --date=@1234567890 etc/shadow
chmod 1777 . ; chown 3:4 .
"""


def make_tree(image: Image, name: str = "tree") -> Path:
    path = image.path.with_name(name)
    image.run(script(TREE, path))
    return path


def settled(image: Image, source: Path) -> Path:
    image.run(command("find", source, "-newermt", f"@{EPOCH}", "-exec", "touch", "-h", f"--date=@{EPOCH}", "{}", "+"))
    return source


def cut_out(image: Image, layout: Layout, number: int) -> Path:
    """Partition *number* as a file of its own, for tools that know no offset."""
    one = layout.slices[number - 1]
    path = image.log.with_name(f"part-{number}")
    with image.outside.open("rb") as disk, path.open("wb") as file:
        disk.seek(one.offset)
        for _ in range(one.size // MIB):
            data = disk.read(MIB)
            file.seek(MIB, 1) if not any(data) else file.write(data)
        file.truncate(one.size)
    return path


def tool(*argv: str | Path) -> str:
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("label", ["gpt", "msdos"])
def test_sfdisk_finds_the_table_as_planned(new_image: NewImage, label: str) -> None:
    layout = layout_of(*([BOOT, ESP] if label == "gpt" else []), SWAP, ROOT, label=label)
    image = new_image(layout)
    write_table(image, layout, "x86_64")
    table = json.loads(image.run(command("sfdisk", "--json", image.path)).stdout)["partitiontable"]
    assert [(part["start"], part["size"]) for part in table["partitions"]] == [
        (one.first_sector, one.sectors) for one in layout.slices
    ]
    if label == "gpt":
        assert table["id"] == str(layout.uuid).upper()
        assert [part["uuid"] for part in table["partitions"]] == [str(one.guid).upper() for one in layout.slices]
        assert [part["name"] for part in table["partitions"]] == ["bios-boot", "esp", "swap", "root"]
        assert table["lastlba"] == layout.size // 512 - 34
        with image.outside.open("rb") as file:
            assert file.read(512)[450] == 0xEE  # protective
    else:
        assert table["id"] == f"0x{layout.disk_id:08x}"
        assert table["partitions"][-1]["bootable"] is True
    verdict = image.run(command("sfdisk", "--verify", image.path))
    assert "No errors detected" in verdict.text


def test_ext4_holds_the_tree_and_is_clean(new_image: NewImage) -> None:
    layout = layout_of(SWAP, {**ROOT, "label": "system"})
    image = new_image(layout)
    ext4.make(image, layout.root, settled(image, make_tree(image)), label="system")
    part = cut_out(image, layout, 2)
    tool("e2fsck", "-fn", part)
    head = dict(line.split(":", 1) for line in tool("dumpe2fs", "-h", part).splitlines() if ":" in line)
    assert head["Filesystem UUID"].strip() == str(layout.root.uuid) == head["Directory Hash Seed"].strip()
    assert head["Filesystem volume name"].strip() == "system"
    assert head["Filesystem created"].strip() == "Tue Nov 14 22:13:20 2023"
    assert head["Filesystem features"].split() == FEATURES.split()
    groups = [line for line in tool("dumpe2fs", part).splitlines() if line.startswith("Group ") and "Blocks" in line]
    assert groups
    assert all("ITABLE_ZEROED" in line for line in groups)


SHOWN = {
    "/": ["Mode:  01777", "User:     3   Group:     4", "mtime: 0x6553f100"],
    "/etc/shadow": ["Mode:  0640", "User:     0   Group:    42", "mtime: 0x499602d2"],
    "/etc/motd": ["Links: 2", "Size: 6", "mtime: 0x6553f100"],
    "/deep/tool": ["Mode:  04755", "security.capability (20) = 01 00 00 02 00 20 00 00"],
    "/deep/link": ["Type: symlink", 'Fast link dest: "../etc/motd"'],
    "/deep/pipe": ["Type: FIFO"],
    "/deep/big": ["Size: 3000000"],
    "/deep/sparse": ["Size: 5242880", "Blockcount: 0"],
    "/lost+found": ["Mode:  0700", "User:     0"],
}


def test_ext4_keeps_owners_modes_links_and_attributes(new_image: NewImage) -> None:
    layout = layout_of(ROOT)
    image = new_image(layout)
    ext4.make(image, layout.root, settled(image, make_tree(image)), label="")
    part = cut_out(image, layout, 1)
    for path, shows in SHOWN.items():
        found = tool("debugfs", "-R", f"stat {path}", part)
        for text in [*shows, " ctime: 0x6553f100", " atime: 0x6553f100", "crtime: 0x6553f100"]:
            assert text in found
    assert "system.posix_acl_access (28)" in tool("debugfs", "-R", "ea_list /etc/motd", part)


def test_ext4_is_the_same_from_the_same_tree_at_another_time_and_place(tmp_path: Path) -> None:
    layout = layout_of(ROOT)
    digests = []
    for choice in ("memory", "disk"):
        with scratch(choice, tmp_path, need=GIB, log=tmp_path / "log") as (machine, place):
            image = empty_image(machine, place / "disk.raw", layout, log=tmp_path / "log")
            tree = settled(image, make_tree(image))
            image.run(script('find "$1" -type f -exec cat {} + >/dev/null; sleep 1.1', tree))
            ext4.make(image, layout.root, tree, label="")
            digests.append(sha256(image.outside))
    assert digests[0] == digests[1]


@pytest.mark.parametrize("size", ["8MiB", "40MiB", "600MiB"])
def test_ext4_of_any_size_is_clean(new_image: NewImage, size: str) -> None:
    layout = layout_of({**DATA, "size": size}, ROOT)
    image = new_image(layout)
    image.run(command("mkdir", image.path.with_name("none")))
    ext4.make(image, layout.slices[0], image.path.with_name("none"), label="")
    tool("e2fsck", "-fn", cut_out(image, layout, 1))


def test_ext4_too_small_says_how_much_is_missing(new_image: NewImage) -> None:
    layout = layout_of({**DATA, "size": "64MiB"}, ROOT)
    image = new_image(layout)
    tree = image.path.with_name("tree")
    image.run(script('mkdir "$1"; head -c 60M /dev/urandom > "$1/big"', tree))
    with pytest.raises(KnitterError, match="the file system for /srv is too small") as caught:
        ext4.make(image, layout.slices[0], tree, label="")
    assert "its files take 60.0 MiB; partition 1 has 64.0 MiB" in caught.value.details
    assert "larger in recipe.toml" in caught.value.hint


def test_ext4_with_too_many_files_says_so(new_image: NewImage) -> None:
    layout = layout_of({**DATA, "size": "16MiB"}, ROOT)
    image = new_image(layout)
    tree = image.path.with_name("tree")
    image.run(script('mkdir "$1"; cd "$1"; for one in $(seq 1100); do : > "$one"; done', tree))
    with pytest.raises(KnitterError, match="the file system for /srv is too small"):
        ext4.make(image, layout.slices[0], tree, label="")


@pytest.mark.parametrize(("size", "kind"), [("64MiB", "FAT32"), ("12MiB", "FAT16"), ("300MiB", "FAT32")])
def test_vfat_holds_the_files_and_is_clean(new_image: NewImage, size: str, kind: str) -> None:
    layout = layout_of(BOOT, {**ESP, "size": size, "kind": "filesystem", "filesystem": "vfat", "mount": "/srv"}, ROOT)
    image = new_image(layout)
    tree = image.path.with_name("tree")
    image.run(
        script('mkdir -p "$1/EFI/BOOT" "$1/none"; cd "$1"; echo b > EFI/BOOT/B.EFI; echo a > long.name.text', tree)
    )
    vfat.make(image, layout.slices[1], tree, label="DATA")
    part = cut_out(image, layout, 2)
    tool("fsck.vfat", "-n", part)
    assert tool("blkid", "-p", "-o", "value", "-s", "VERSION", part).strip() == kind
    assert tool("blkid", "-o", "value", "-s", "UUID", part).strip() == layout.slices[1].source_id
    assert tool("blkid", "-o", "value", "-s", "LABEL", part).strip() == "DATA"
    listing = tool("mdir", "-b", "-/", "-i", part, "::").split()
    assert set(listing) == {f"::/{path}" for path in ("EFI/", "EFI/BOOT/", "EFI/BOOT/B.EFI", "none/", "long.name.text")}
    assert tool("mtype", "-i", part, "::/EFI/BOOT/B.EFI") == "b\n"


def test_vfat_is_the_same_whatever_the_order_and_the_clock(new_image: NewImage) -> None:
    layout = layout_of(BOOT, ESP, ROOT)
    digests = set()
    for name, order in (("one", "a b c d e"), ("other", "e c a d b")):
        image = new_image(layout, f"{name}.raw")
        tree = image.path.with_name(name)
        image.run(script(f'mkdir "$1"; cd "$1"; for one in {order}; do mkdir $one; echo $one > $one/$one; done', tree))
        vfat.make(image, layout.slices[1], tree, label="ESP")
        image.run(command("sleep", "2.1"))  # the step of FAT's times
        digests.add(sha256(image.outside))
    assert len(digests) == 1


def test_vfat_refuses_links_and_too_much(new_image: NewImage) -> None:
    layout = layout_of(BOOT, {**ESP, "size": "34MiB"}, ROOT)
    image = new_image(layout)
    links, large = image.path.with_name("links"), image.path.with_name("large")
    image.run(script('mkdir "$1" "$2"; ln -s nowhere "$1/link"; head -c 34400K /dev/urandom > "$2/big"', links, large))
    with pytest.raises(KnitterError, match="vfat holds only directories and files"):
        vfat.make(image, layout.slices[1], links, label="ESP")
    with pytest.raises(KnitterError, match="the file system for /boot/efi is too small"):
        vfat.make(image, layout.slices[1], large, label="ESP")


def test_swap_is_what_the_system_takes_for_swap(new_image: NewImage) -> None:
    layout = layout_of(SWAP, ROOT)
    image = new_image(layout)
    swap.make(image.outside, layout.slices[0])
    part = cut_out(image, layout, 1)
    assert tool("blkid", "-o", "value", "-s", "TYPE", part).strip() == "swap"
    assert tool("swaplabel", part).split() == ["UUID:", str(layout.slices[0].uuid)]
