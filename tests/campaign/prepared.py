"""A desk on which a disk is made and taken for booted: what comes after it is what the campaign is about."""

import shutil
from random import Random
from typing import Final, NoReturn

from knitter import receipt, settings
from knitter.cache import Cache
from knitter.disk import blocks
from knitter.files import sha256_of
from knitter.receipt import Receipt
from knitter.recipe import load
from knitter.stages.boot import Boot
from knitter.stages.build import Build
from knitter.stages.disk import BLOCKS, RAW, Disk
from knitter.stages.packages import OUTPUT, Packages
from knitter.stages.rootfs import Rootfs
from knitter.units import BLOCK, GIB
from tests.desk import Desk
from tests.stages.small import LOCK

COUNT: Final = 40
"""Blocks of a disk that are not zero."""
RECIPE: Final = """description = "of a campaign"

[packages]
release = "tiny"
"""


def prepare(desk: Desk, recipe: str, rng: Random) -> dict[int, bytes]:
    """Give *desk*, whose settings are made, one *recipe* with a disk of 1 GiB.  The disk's blocks by index."""
    for folder in (desk.root / "recipes").iterdir():
        shutil.rmtree(folder)
    desk.write_recipe(recipe, RECIPE)
    folder = desk.build / recipe
    folder.mkdir(parents=True)
    data = {index: rng.randbytes(BLOCK) for index in rng.sample(range(GIB // BLOCK), COUNT)}
    with (folder / RAW).open("wb") as file:
        file.truncate(GIB)
        for index, block in data.items():
            file.seek(index * BLOCK)
            file.write(block)
    (folder / OUTPUT).write_text(LOCK.text())
    (package,) = LOCK.packages  # its content is never looked at
    (cached := Cache(desk.cache).path(package.sha256)).parent.mkdir(parents=True)
    cached.write_bytes(bytes(package.size))
    _vouch(desk, recipe, {"packages": sha256_of(folder / OUTPUT), "disk": blocks.write(folder / RAW, folder / BLOCKS)})
    return data


def _vouch(desk: Desk, recipe: str, digests: dict[str, str]) -> None:
    """Write the receipts of the stages up to the disk's boot, as the desk's own doit would."""
    wanted = settings.load(desk.root / ".doit.cfg", desk.environment())
    build = Build(load.load(desk.root / "recipes", recipe), wanted, cloud=_none)
    for stage in (Packages(), Rootfs(), Disk(), Boot()):
        inputs = stage.inputs(build)
        key = receipt.key_of(stage.name, stage.revision, inputs)
        made = Receipt(stage=stage.name, key=key, digest=digests.get(stage.name, key), inputs=inputs)
        receipt.write(stage.receipt_path(build), made)


def _none() -> NoReturn:
    raise AssertionError("stages up to `boot` ask no cloud")
