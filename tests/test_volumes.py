"""A Debian that lies in a volume group, /boot too: GRUB, the kernel and lvm2 take what knitter wrote for LVM's own."""

from pathlib import Path

import pytest

from tests.desk import Desk

pytestmark = pytest.mark.boot
RECIPE = """extends = "debian-12"
[packages]
install = ["lvm2"]
[disk]
[[disk.partitions]]
kind = "bios-boot"
[[disk.partitions]]
kind = "lvm"
size = "rest"
group = "vg-1"
volumes = [
    { name = "lv_root", size = "4GiB", mount = "/" },
    { name = "lv-var", size = "2GiB", mount = "/var" },
    { name = "swap", kind = "swap", size = "64MiB" },
]
[boot]
firmware = "bios"
[[check.probes]]
name = "the root is a volume, and the others are there"
run = "findmnt -no SOURCE /; findmnt -no SOURCE /var; swapon --show=TYPE --noheadings"
expect = '(?s)vg--1-lv_root\\s.*vg--1-lv--var\\s.*partition'
[[check.probes]]
name = "lvm2 finds nothing wrong"
run = "vgck vg-1 && pvck $(pvs --noheadings -o pv_name)"
[[check.probes]]
name = "a volume grows, with its file system"
run = "lvextend --resizefs --size +512M vg-1/lv-var && df --output=size -BM /var"
[[check.probes]]
name = "update-grub makes the same menu"
run = '''
menu() { grep -o 'root=/[^ ]*' /boot/grub/grub.cfg | head -n 1; }
before=$(menu)
update-grub
[ "$before" = root=/dev/mapper/vg--1-lv_root ] && [ "$before" = "$(menu)" ]
'''
"""


def test_a_system_in_a_volume_group_boots_and_lives(tmp_path: Path, package_cache: Path) -> None:
    desk = Desk(tmp_path, package_cache)
    desk.write_recipe("volumes", RECIPE)
    desk.doit("boot:volumes")
    facts = desk.receipt("volumes", "boot").facts
    assert {"lvm2 finds nothing wrong", "a volume grows, with its file system"} <= set(facts["bios"]["checks"])
