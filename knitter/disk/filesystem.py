"""What is in the partitions: each file system gets its part of the tree."""

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from knitter.disk import ext4, swap, vfat
from knitter.disk.geometry import Layout, Slice
from knitter.disk.image import Image
from knitter.disk.tree import Tree
from knitter.recipe.disk import BiosBoot, Esp, Filesystem, Swap


def split(tree: Tree, layout: Layout) -> dict[int, Path]:
    """Move what other file systems hold out of *tree*, deepest first; slice number -> directory with its files.

    Empty mount points stay behind.
    """
    sources = {layout.root.number: tree.path}
    mounted = [one for one in layout.slices if one.mount and one is not layout.root]
    for one in sorted(mounted, key=lambda one: one.mount, reverse=True):
        sources[one.number] = tree.take(one.mount, tree.path.with_name(f"{tree.path.name}-{one.number}"))
    return sources


def fill(image: Image, one: Slice, sources: Mapping[int, Path]) -> None:
    """Format *one* and fill it from its directory in *sources*.  Raises KnitterError if it is too small."""
    match one.partition:
        case Filesystem(filesystem="ext4", label=label):
            ext4.make(image, one, sources[one.number], label=label)
        case Filesystem(label=label):
            vfat.make(image, one, sources[one.number], label=label)
        case Esp():
            vfat.make(image, one, sources[one.number], label="ESP")
        case Swap():
            swap.make(image.outside, one)
        case BiosBoot():
            pass
        case _:
            assert_never(one.partition)
