"""What is in partitions and volumes: each file system gets its part of the tree."""

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from knitter.disk import ext4, lvm, swap, vfat
from knitter.disk.geometry import Layout, Slice
from knitter.disk.image import Image
from knitter.disk.tree import Tree
from knitter.recipe.lvm import Lvm
from knitter.recipe.partitions import BiosBoot, Esp, Filesystem, Swap


def split(tree: Tree, layout: Layout) -> dict[Slice, Path]:
    """Move what other file systems hold out of *tree*, deepest first; slice -> directory with its files.

    Empty mount points stay behind.
    """
    sources = {layout.root: tree.path}
    mounted = [one for one in layout.parts if one.mount and one != layout.root]
    for number, one in enumerate(sorted(mounted, key=lambda one: one.mount, reverse=True), 1):
        sources[one] = tree.take(one.mount, tree.path.with_name(f"{tree.path.name}-{number}"))
    return sources


def fill(image: Image, one: Slice, layout: Layout, sources: Mapping[Slice, Path]) -> None:
    """Format *one* of *layout* and fill it from its directory in *sources*.  Raises KnitterError if it is too small."""
    match one.partition:
        case Filesystem(filesystem="vfat", label=label):
            vfat.make(image, one, sources[one], label=label)
        case Filesystem(filesystem=kind, label=label):
            ext4.make(image, one, sources[one], label=label, kind=kind)
        case Esp():
            vfat.make(image, one, sources[one], label="ESP")
        case Swap():
            swap.make(image.outside, one)
        case Lvm():
            volumes = [volume for volume in layout.volumes if volume.number == one.number]
            lvm.make(image.outside, one, volumes, image.epoch)
        case BiosBoot():
            pass
        case _:
            assert_never(one.partition)
