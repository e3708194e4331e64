"""The snapshot of the disk, as the stages that make it and that look for it know it: by its key.

The key is the disk's alone, and what the settings say of encryption: the two roads to a snapshot lead to the same one.
"""

from typing import Final

from pydantic import JsonValue

from knitter import receipt
from knitter.aws import snapshots
from knitter.aws.start import Order
from knitter.aws.tags import stamp
from knitter.disk.blocks import Blocks
from knitter.stages.build import Build
from knitter.stages.disk import BLOCKS, RAW, Disk
from knitter.units import BLOCK

NAME: Final = "snapshot"
REVISION: Final = 1


def sections(build: Build) -> dict[str, JsonValue]:
    """Nothing but encryption: the disk decides what is stored; each region has a folder, so a receipt, of its own."""
    return {"encrypted": build.settings.kms_key or True} if build.settings.encrypted else {}


def find(build: Build) -> str | None:
    """The completed snapshot of the disk.  Raises CloudError."""
    own = {name: receipt.digest_of(value) for name, value in sections(build).items()}
    key = receipt.key_of(NAME, REVISION, own | {Disk.name: Disk().read(build).digest})
    return snapshots.find_completed(build.cloud(), key)


def blocks(build: Build) -> Blocks:
    """The disk's blocks, as the disk's receipt vouches for them.  Raises KnitterError."""
    disk, listed = Disk(), Disk().blocks(build)
    receipt.check_digest(disk.folder(build) / BLOCKS, listed.digest, made=disk.read(build).digest, stage=disk.name)
    return listed


def order(build: Build, key: str, *, stage: str, name: str) -> Order:
    """What is said to StartSnapshot, or of a volume: the disk, and the tags of what will hold it."""
    listed = blocks(build)
    return Order(
        key=key,
        disk=Disk().folder(build) / RAW,
        blocks=listed,
        size=listed.size,
        description=f"{build.recipe.name}, disk {listed.digest[:8]}, made by knitter",
        tags=stamp(key=key, recipe=build.recipe.name, stage=stage, name=name),
        encrypted=build.settings.encrypted,
        kms_key=build.settings.kms_key,
    )


def facts(build: Build) -> dict[str, JsonValue]:
    """What the receipt of what holds the disk tells of it."""
    listed = Disk().blocks(build)
    return {
        "region": build.cloud().region,
        "blocks": len(listed),
        "bytes": len(listed) * BLOCK,
        "size": listed.size,
    }
