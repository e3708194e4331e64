"""The whole way from rootfs.tar to a disk, in a place where a tree of foreign owners may lie.

rootfs.tar --tar--> tree --GRUB, fstab--> tree --mke2fs, mtools, LVM--> disk <-- table, first sectors
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

from knitter.command import command
from knitter.disk import filesystem, fstab, grub, grub_legacy, lvm, partition
from knitter.disk.geometry import Layout
from knitter.disk.grub_family import Target
from knitter.disk.image import Image
from knitter.disk.kernels import Kernel
from knitter.disk.tree import Tree
from knitter.distro import archive as rootfs
from knitter.machine.namespace import Namespace
from knitter.progress import say
from knitter.recipe.boot import Boot
from knitter.recipe.packages import Architecture

TOOLS: Final = ("sfdisk", "mke2fs", "debugfs", "mkfs.vfat", "mmd", "mcopy", "tar", "find")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the disk shall be."""

    layout: Layout
    boot: Boot
    architecture: Architecture
    family: str
    """Of the distribution, as packages.family says."""
    epoch: int
    """Seconds since 1970: the time of everything that is made on the way."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A disk, still in the scratch place."""

    image: Image
    kernels: list[Kernel]


def assemble(machine: Namespace, place: Path, archive: Path, plan: Plan, *, log: Path) -> Assembled:
    """Make the disk of *plan* from the root file system in *archive*; it lies in the empty directory *place*.

    GRUB 2 is written before the file systems are filled, since that takes /boot out of the tree; GRUB 0.97 after, since
    it reads them.  Raises KnitterError if the image lacks what it needs to boot, or has no room.
    """
    image = Image(machine, place / "disk.raw", plan.epoch, log)
    tree = Tree(machine, place / "tree", plan.epoch, log)
    say("unpacking the root file system")
    _unpack(tree, archive)
    say("installing the boot loader")
    kernels = _install_loader(tree, plan)
    tree.put({fstab.PATH: fstab.text(plan.layout, sysinit=bool(tree.find(fstab.SYSINIT))).encode()})
    _write_table(image, plan)
    if plan.boot.loader == "grub":
        grub.embed_into(image, tree, plan.layout, _targets(plan), plan.family)
    say("making the file systems")
    _fill(image, tree, plan.layout)
    if plan.boot.loader == "grub-legacy":
        grub_legacy.embed_into(image, tree, plan.layout)
    return Assembled(image, kernels)


def _unpack(tree: Tree, archive: Path) -> None:
    tree.machine.run(command("mkdir", tree.path), log=tree.log)
    tree.machine.run(rootfs.unpack(archive, tree.path), log=tree.log)


def _install_loader(tree: Tree, plan: Plan) -> list[Kernel]:
    if plan.layout.volumes:
        lvm.require(tree)
    match plan.boot.loader:
        case "grub":
            return grub.install(tree, plan.layout, plan.boot, _targets(plan), plan.family)
        case "grub-legacy":
            return grub_legacy.install(tree, plan.layout, plan.boot, plan.family)
        case _:
            assert_never(plan.boot.loader)


def _targets(plan: Plan) -> list[Target]:
    return grub.targets_of(plan.boot.firmware, plan.architecture)


def _write_table(image: Image, plan: Plan) -> None:
    with image.outside.open("xb") as file:
        file.truncate(plan.layout.size)
    partition.write_table(image, plan.layout, plan.architecture)


def _fill(image: Image, tree: Tree, layout: Layout) -> None:
    sources = filesystem.split(tree, layout)
    tree.settle(*sources.values())
    for one in layout.parts:
        filesystem.fill(image, one, layout, sources)
