"""The initial RAM disk's making, with a dracut that says and makes what the test wants."""

from pathlib import Path

import pytest

from knitter.command import command
from knitter.distro.redhat import dracut
from knitter.errors import KnitterError
from knitter.machine.scratch import scratch
from knitter.root.tree import Tree
from knitter.units import MIB
from tests.root.tiny import make_tree

pytestmark = pytest.mark.lab
INCLUDED = "echo 'dracut: *** Including module: lvm ***'"
MADE = "echo made > $2"
LVM = "-rwxr-xr-x   1 root     root      1 Jan  1  1970 usr/sbin/lvm"


def make(directory: Path, script: str, *, listed: str = "usr/bin/sh") -> str:
    """The initial RAM disk in a tree with lvm2, a kernel, and a dracut that runs *script*; lsinitrd says *listed*."""
    source = directory / "source"
    make_tree(source, "cp", "grep", "tee")
    for name, text in {"depmod": "", "lvm": "", "dracut": script, "lsinitrd": f"echo '{listed}'"}.items():
        stand_in = source / "usr/bin" / name
        stand_in.write_text(f"#!/bin/sh\n{text}\n")
        stand_in.chmod(0o755)
    kernel = source / "lib/modules/1.0/vmlinuz"
    kernel.parent.mkdir(parents=True)
    kernel.write_text("a kernel")
    (source / "boot").mkdir()
    with scratch("memory", directory, need=100 * MIB) as (machine, place):
        tree = Tree(machine, place, 1700000000, directory / "log")
        tree.run("copying", command("cp", "-a", source, tree.path))
        tree.inside("making it", dracut.make())
        return tree.inside("reading it", command("cat", "/boot/vmlinuz-1.0", "/boot/initramfs-1.0.img"))


@pytest.mark.parametrize(
    ("script", "listed"),
    [(f"{INCLUDED}; {MADE}", ""), (MADE, LVM)],
    ids=["by what dracut says", "by the image, if it says nothing"],
)
def test_lvm_is_seen_in_it(tmp_path: Path, script: str, listed: str) -> None:
    assert make(tmp_path, script, listed=listed) == "a kernelmade"


@pytest.mark.parametrize(
    ("script", "refusal"),
    [
        (MADE, "dracut left lvm out of /boot/initramfs-1.0.img"),
        (INCLUDED, "dracut made no /boot/initramfs-1.0.img"),
        (f"{INCLUDED}; {MADE}; exit 1", "dracut made no /boot/initramfs-1.0.img"),
    ],
    ids=["without lvm", "no image", "a failure half way"],
)
def test_what_would_not_boot_is_refused(tmp_path: Path, script: str, refusal: str) -> None:
    with pytest.raises(KnitterError) as caught:
        make(tmp_path, script)
    assert refusal in caught.value.details
