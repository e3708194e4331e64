"""fstab, GRUB's texts and the partition table's script: pure, so the whole text is compared."""

import re

import pytest

from knitter.disk import fstab, grub_config, grub_debian, grub_redhat
from knitter.disk.grub_config import Menu, Place
from knitter.disk.kernels import Kernel, version_order
from knitter.disk.partition import table_script
from tests.disk.conftest import layout_of
from tests.disk.test_geometry import BOOT, DATA, ESP, ROOT, SWAP
from tests.disk.test_lvm import LAYOUT as LVM

KERNELS = [Kernel("6.1.0-10", "vmlinuz-6.1.0-10", "initrd.img-6.1.0-10"), Kernel("6.1.0-9", "vmlinuz-9", "initrd-9")]
PLACE = Place("0a0b", "/boot")
MENU = Menu(PLACE, KERNELS, "Debian", "UUID=7f", "console=ttyS1,9600n8 quiet", "both")


def test_fstab_mounts_by_id_and_parents_first() -> None:
    layout = layout_of(BOOT, {**DATA, "options": "nodev,noatime"}, SWAP, ESP, ROOT)
    ids = {one.mount or one.partition.kind: one.source_id for one in layout.slices}
    assert fstab.text(layout).splitlines() == [
        f"UUID={ids['/']} / ext4 defaults 0 1",
        f"UUID={ids['/boot/efi']} /boot/efi vfat umask=0077 0 0",
        f"UUID={ids['/srv']} /srv ext4 nodev,noatime 0 2",
        f"UUID={ids['swap']} none swap sw 0 0",
    ]


def test_fstab_has_volumes_by_id_and_what_an_old_init_mounts_only_if_told() -> None:
    lines = fstab.text(LVM, sysinit=True).splitlines()
    assert [line.split()[:3] for line in lines[:4]] == [
        ["proc", "/proc", "proc"],
        ["sysfs", "/sys", "sysfs"],
        ["devpts", "/dev/pts", "devpts"],
        ["tmpfs", "/dev/shm", "tmpfs"],
    ]
    root, swap, var = LVM.volumes
    assert lines[4:] == [
        f"UUID={root.uuid} / ext4 defaults 0 1",
        f"UUID={LVM.slices[0].uuid} /boot ext4 defaults 0 2",
        f"UUID={var.uuid} /var ext4 defaults 0 2",
        f"UUID={swap.uuid} none swap sw 0 0",
    ]


def test_the_menu_starts_the_newest_kernel_and_offers_the_others() -> None:
    assert grub_config.menu_text(MENU, grub_debian.NOTE).splitlines() == [
        "# Written by knitter; update-grub replaces it with its like.",
        "if [ -s $prefix/grubenv ]; then load_env; fi",
        "set default=0",
        "set timeout=0",
        "serial --unit=1 --speed=9600",
        "terminal_input serial console",
        "terminal_output serial console",
        "search --no-floppy --fs-uuid --set=root 0a0b",
        "menuentry 'Debian, with Linux 6.1.0-10' {",
        "\tlinux /boot/vmlinuz-6.1.0-10 root=UUID=7f ro console=ttyS1,9600n8 quiet",
        "\tinitrd /boot/initrd.img-6.1.0-10",
        "}",
        "menuentry 'Debian, with Linux 6.1.0-9' {",
        "\tlinux /boot/vmlinuz-9 root=UUID=7f ro console=ttyS1,9600n8 quiet",
        "\tinitrd /boot/initrd-9",
        "}",
    ]


@pytest.mark.parametrize(
    ("arguments", "terminal", "serial"),
    [
        ("console=tty0 console=ttyS0,115200n8", '"serial console"', ['"serial --unit=0 --speed=115200"']),
        ("console=ttyS0", '"serial console"', ['"serial --unit=0 --speed=9600"']),
        ("quiet", '"console"', []),
        ("", '"console"', []),
    ],
)
def test_update_grub_gets_the_same_arguments_and_terminals(arguments: str, terminal: str, serial: list[str]) -> None:
    lines = dict(line.split("=", 1) for line in grub_debian.defaults_text(arguments).splitlines()[1:])
    assert lines["GRUB_CMDLINE_LINUX"] == f'"{arguments}"'
    assert lines["GRUB_TERMINAL"] == terminal
    assert [value for name, value in lines.items() if name == "GRUB_SERIAL_COMMAND"] == serial


def test_grub_looks_where_boot_is() -> None:
    apart = layout_of(BOOT, ESP, {**DATA, "mount": "/boot"}, ROOT)
    together = layout_of(BOOT, ESP, ROOT)
    assert grub_config.place_of_boot(apart, "grub2") == Place(apart.slices[2].source_id, "", "grub2")
    assert grub_config.place_of_boot(together, "grub") == Place(together.root.source_id, "/boot")
    assert grub_config.load_text(Place("x", "")) == "search.fs_uuid x root\nset prefix=($root)'/grub'\n"
    assert grub_config.stub_text(PLACE).splitlines()[-2:] == [
        "set prefix=($root)'/boot/grub'",
        "configfile $prefix/grub.cfg",
    ]


def test_versions_are_ordered_as_people_count() -> None:
    versions = ["6.1.0-9-cloud", "6.1.0-10-cloud", "6.12.1", "5.10.0-30"]
    ordered = sorted(versions, key=version_order)
    assert ordered == ["5.10.0-30", "6.1.0-9-cloud", "6.1.0-10-cloud", "6.12.1"]


def test_grubs_environment_has_the_one_size_that_grub_writes_into() -> None:
    assert len(grub_config.environment_block()) == 1024


def test_a_gpt_is_said_in_full() -> None:
    layout = layout_of(BOOT, ESP, SWAP, {**DATA, "mount": '/srv/a"b'}, ROOT)
    lines = table_script(layout, "x86_64").splitlines()
    assert lines[:4] == ["label: gpt", f"label-id: {layout.uuid}", "unit: sectors", ""]
    assert [line.split("type=")[1].split(",")[0][:8] for line in lines[4:]] == [
        "21686148",
        "C12A7328",
        "0657FD6D",
        "0FC63DAF",
        "4F68BCE3",
    ]
    assert lines[4] == (
        "start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, "
        f'uuid={layout.slices[0].guid}, name="bios-boot"'
    )
    assert lines[7].endswith('name="srv/a_b"')
    assert "B921B045" in table_script(layout, "arm64").splitlines()[-1]


def test_an_msdos_table_marks_the_root_bootable() -> None:
    layout = layout_of(SWAP, {**DATA, "filesystem": "vfat"}, ROOT, label="msdos")
    assert table_script(layout, "x86_64").splitlines() == [
        "label: dos",
        f"label-id: 0x{layout.disk_id:08x}",
        "unit: sectors",
        "",
        "start=2048, size=204800, type=82",
        "start=206848, size=409600, type=c",
        "start=616448, size=1478656, type=83, bootable",
    ]


_ENTRIES = [
    grub_redhat.entry_path(Kernel(version, "", "")).split("/")[-1] for version in ("5.14.0-9.el9", "5.14.0-10.el9")
]


@pytest.mark.parametrize("machine", ["0a1b", "9f00", "a1b2", "ffff", "00ff"])
@pytest.mark.parametrize("order", ["rpm", "ls -v"])
def test_entries_of_the_image_are_below_those_of_any_machine_and_sorted_by_version(machine: str, order: str) -> None:
    later = f"{machine * 8}-5.14.0-1.el9.conf"
    names = sorted([later, *_ENTRIES], key=_rpm_order if order == "rpm" else _ls_order)
    assert names == [*_ENTRIES, later]


def _rpm_order(name: str) -> list[list[tuple[int, int | str]]]:
    """As GRUB with Red Hat's patches: of name, version and release, by runs of digits and letters, ~ before the end."""
    parts = name.removesuffix(".conf").rsplit("-", 2)
    runs = [re.findall(r"~|[0-9]+|[A-Za-z]+", part) for part in parts]
    return [[*map(_rank, part), (0, 0)] for part in runs]


def _rank(run: str) -> tuple[int, int | str]:
    if run == "~":
        return -1, 0
    return (2, int(run)) if run.isdigit() else (1, run)


def _ls_order(name: str) -> list[tuple[int, ...]]:
    """As gnulib's filevercmp: letters before others, ~ before the end, digits as numbers."""
    found = []
    for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name.removesuffix(".conf")):
        orders = [-1 if one == "~" else ord(one) if one.isalpha() else ord(one) + 256 for one in text]
        found += [(*orders, 0), (int(digits or 0),)]
    return found


def test_lvm_is_told_in_both_tables() -> None:
    assert table_script(LVM, "x86_64").splitlines()[4:] == [
        "start=2048, size=204800, type=83, bootable",
        "start=206848, size=1640448, type=8e",
    ]
    group = {"kind": "lvm", "size": "rest", "group": "vg-1", "volumes": ({"name": "r", "size": "rest", "mount": "/"},)}
    assert (
        "type=E6D6D379-F507-44C2-A23C-238F2A3DF928" in table_script(layout_of(BOOT, group), "x86_64").splitlines()[-1]
    )
