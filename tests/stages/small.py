"""A small disk as the stage `disk` leaves it, and the lab as the cloud: for the stages after it."""

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from knitter import receipt
from knitter.aws.session import Cloud
from knitter.disk import blocks
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY
from knitter.lock import Lock, Package, Repository
from knitter.receipt import Receipt
from knitter.recipe.model import Recipe
from knitter.settings import Settings
from knitter.stages import packages
from knitter.stages.ami import Ami
from knitter.stages.build import Build
from knitter.stages.disk import BLOCKS, RAW, Disk
from knitter.stages.snapshot import Snapshot
from knitter.stages.stage import Outcome, ensure
from knitter.units import BLOCK, GIB

INDEXES = (0, 3, 700)
LOCK = Lock(
    family="debian",
    release="tiny",
    architecture="x86_64",
    repositories=(Repository(url="https://example.org/debian", suite="tiny", date=datetime(2026, 11, 21, tzinfo=UTC)),),
    packages=(
        Package(name="a", version="1", architecture="all", sha256="0" * 64, size=1, url="https://example.org/a"),
    ),
)


@dataclass
class Desk:
    """The recipe `small` below *root*, uploaded to *endpoint*.  Each use of `build` is a new run."""

    root: Path
    endpoint: str

    def build(self, **sections: Any) -> Build:
        tables = {"packages": {"release": "tiny"}} | sections
        recipe = Recipe.model_validate({"name": "small", "directory": self.root, **tables})
        settings = Settings(build_directory=self.root / "build", uploads=4)
        cloud = Cloud("lab", "eu-central-1", endpoint=self.endpoint, keys=(ACCESS_KEY, SECRET_KEY))
        return Build(recipe, settings, lambda: cloud)

    def make_disk(self, seed: bytes = b"") -> None:
        """disk.raw, disk.blocks and their receipt: 1 GiB with three random blocks; and the lock."""
        build = self.build()
        folder = Disk().folder(build)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / RAW).open("wb") as file:
            for index in INDEXES:
                file.seek(index * BLOCK)
                file.write((seed or os.urandom(32)) * (BLOCK // 32))
            file.truncate(GIB)
        digest = blocks.write(folder / RAW, folder / BLOCKS)
        left = Receipt(stage="disk", key=secrets.token_hex(32), digest=digest, inputs={})
        receipt.write(Disk().receipt_path(build), left)
        (folder / packages.OUTPUT).write_text(LOCK.text())

    def snapshot(self, **sections: Any) -> Outcome:
        return ensure(Snapshot(), self.build(**sections))

    def ami(self, **sections: Any) -> Outcome:
        return ensure(Ami(), self.build(**sections))

    def owned(self, kind: str) -> list[str]:
        """Ids of the snapshots or images of our disk, as the cloud tells."""
        cloud = self.build().cloud()
        digest = Disk().read(self.build()).digest
        found = cloud.ec2.describe_snapshots(Filters=[{"Name": "description", "Values": [f"*{digest[:8]}*"]}])
        ids = [one["SnapshotId"] for one in found["Snapshots"]]
        if kind == "snapshots" or not ids:
            return ids
        images = cloud.ec2.describe_images(
            Owners=["self"], Filters=[{"Name": "block-device-mapping.snapshot-id", "Values": ids}]
        )
        return [one["ImageId"] for one in images["Images"]]
