"""Stage `disk`: partition, format, fill, make bootable; in a plain file, without loop devices or mounts.

rootfs.tar + recipe.disk + recipe.boot -> disk.raw (sparse) + disk.blocks, whose sha256 stands for the disk's content
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from knitter.disk import blocks
from knitter.disk.assembly import TOOLS, Assembled, Plan, assemble
from knitter.disk.geometry import plan_layout
from knitter.files import sha256_of
from knitter.machine import tools
from knitter.machine.scratch import require_space, scratch
from knitter.receipt import check_digest
from knitter.stages.build import Build
from knitter.stages.packages import Packages
from knitter.stages.rootfs import Rootfs
from knitter.stages.stage import Made, Stage, Work, section
from knitter.units import BLOCK, MIB

RAW: Final = "disk.raw"
BLOCKS: Final = "disk.blocks"


class Disk(Stage):
    """Makes the disk that boots on the desk and goes, byte for byte, into a snapshot."""

    name = "disk"
    revision = 1
    does = "partition, format, fill, make bootable"
    consumes = (Rootfs,)

    def sections(self, build: Build) -> dict[str, JsonValue]:
        """Disk and boot."""
        return section("disk", build.recipe.disk) | section("boot", build.recipe.boot)

    def blocks(self, build: Build) -> blocks.Blocks:
        """The list of blocks, for the next stages.  Raises KnitterError."""
        return blocks.read(self.folder(build) / BLOCKS)

    def make(self, build: Build, work: Work) -> Made:
        """Write disk.raw and disk.blocks."""
        tools.require(TOOLS)
        recipe = build.recipe
        layout = plan_layout(recipe.disk, work.key)
        packages = recipe.packages
        plan = Plan(layout, recipe.boot, packages.architecture, packages.family, Packages().lock(build).epoch)
        archive = Rootfs().folder(build) / "rootfs.tar"
        room = _room(archive)
        require_space(work.directory, room)
        with scratch(build.settings.scratch, work.directory, need=2 * room, log=work.log) as (machine, place):
            with _whole(archive, Rootfs().read(build).digest):
                made = assemble(machine, place, archive, plan, log=work.log)
            digest = blocks.write(made.image.outside, work.directory / BLOCKS, copy=work.directory / RAW)
        return Made(digest, (RAW, BLOCKS), _facts(plan, made, blocks.read(work.directory / BLOCKS)))


def _room(archive: Path) -> int:
    """Bytes that a tree, or a disk of it, takes: what tar packs tight lies in whole pages, and GRUB comes on top."""
    return archive.stat().st_size * 9 // 8 + 128 * MIB


@contextmanager
def _whole(archive: Path, digest: str) -> Iterator[None]:
    """Hash *archive* beside the block that reads it.  Raises KnitterError if it is not what was made.

    A machine that lost its power may have kept the receipt, and lost the file.
    """
    with ThreadPoolExecutor(1) as pool:
        content = pool.submit(sha256_of, archive)
        try:
            yield
        finally:
            check_digest(archive, content.result(), made=digest, stage=Rootfs.name)


def _facts(plan: Plan, made: Assembled, written: blocks.Blocks) -> dict[str, JsonValue]:
    return {
        "size": plan.layout.size,
        "blocks": len(written),
        "written": len(written) * BLOCK,
        "kernel": made.kernels[0].version,
        "root_uuid": str(plan.layout.root.uuid),
        "epoch": plan.epoch,
    }
