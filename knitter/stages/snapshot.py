"""Stage `snapshot`: the disk's blocks go up through the EBS direct APIs.

disk.raw + disk.blocks --PutSnapshotBlock--> a pending snapshot --CompleteSnapshot--> completed
snapshot.journal: which blocks AWS has acknowledged; outlives a killed run, so that the next puts only what is missing
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from knitter import receipt
from knitter.aws import snapshots
from knitter.aws.preflight import preflight
from knitter.aws.tags import stamp
from knitter.aws.upload import Manner
from knitter.progress import say
from knitter.receipt import Receipt
from knitter.settings import Settings
from knitter.stages.disk import BLOCKS, RAW, Disk
from knitter.stages.stage import Build, Made, Stage, Work
from knitter.units import BLOCK

JOURNAL: Final = "snapshot.journal"


class Snapshot(Stage):
    """Stores the disk in the cloud, once."""

    name = "snapshot"
    revision = 1
    does = "upload the disk's blocks as an EBS snapshot"
    consumes = (Disk,)
    in_cloud = True

    def sections(self, build: Build) -> dict[str, JsonValue]:
        """Nothing but the disk decides what is stored; each region has a folder, and so a receipt, of its own."""
        return {}

    def alive(self, build: Build, left: Receipt) -> bool:
        """Whether the snapshot is there and completed."""
        return snapshots.exists(build.cloud(), str(left.facts["snapshot"]))

    def adopt(self, build: Build, key: str) -> Made | None:
        """The completed snapshot with this key."""
        found = snapshots.find_completed(build.cloud(), key)
        return self._made(build, found) if found else None

    def make(self, build: Build, work: Work) -> Made:
        """Upload, complete, wait.  The journal stays when this fails."""
        cloud = build.cloud()
        say("checking the credentials and the cloud")
        preflight(cloud)
        with work.log.open("a", buffering=1) as log:
            stored = snapshots.ensure_snapshot(
                cloud,
                self._order(build, work.key),
                journal=self._journal(build),
                manner=_manner(build.settings),
                dead=_dead(work.previous),
                note=lambda line: print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=log),
            )
            log.write(f"snapshot {stored.id}: {stored.put} blocks put\n")
        return self._made(build, stored.id)

    def clean(self, build: Build) -> None:
        """Remove the receipt, the log and the journal; the snapshot stays."""
        super().clean(build)
        self._journal(build).unlink(missing_ok=True)

    def _order(self, build: Build, key: str) -> snapshots.Order:
        name, disk, listed = build.recipe.name, Disk(), Disk().blocks(build)
        receipt.check_digest(disk.folder(build) / BLOCKS, listed.digest, made=disk.read(build).digest, stage=disk.name)
        return snapshots.Order(
            key=key,
            disk=disk.folder(build) / RAW,
            blocks=listed,
            size=listed.size,
            description=f"{name}, disk {listed.digest[:8]}, made by knitter",
            tags=stamp(key=key, recipe=name, stage=self.name, name=name),
        )

    def _made(self, build: Build, snapshot: str) -> Made:
        """The id is part of the digest: another snapshot, even of the same disk, needs another AMI."""
        listed = Disk().blocks(build)
        facts: dict[str, JsonValue] = {
            "snapshot": snapshot,
            "region": build.cloud().region,
            "blocks": len(listed),
            "bytes": len(listed) * BLOCK,
            "size": listed.size,
        }
        return Made(receipt.digest_of([snapshot]), facts=facts)

    def _journal(self, build: Build) -> Path:
        return self.folder(build) / JOURNAL


def _manner(settings: Settings) -> Manner:
    return Manner(settings.upload_engine, settings.uploads, settings.upload_rate)


def _dead(previous: Receipt | None) -> frozenset[str]:
    """What the last receipt spoke of, and is gone; else we would not be here."""
    return frozenset({str(previous.facts["snapshot"])} if previous else ())
