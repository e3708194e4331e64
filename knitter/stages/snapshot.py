"""Stage `snapshot`: the disk becomes an EBS snapshot, by one of two roads.

direct     disk.raw + disk.blocks --PutSnapshotBlock--> a pending snapshot --CompleteSnapshot--> completed
surrogate  the volume that the stage `volume` wrote --CreateSnapshot--> pending --> completed; the volume goes
snapshot.journal: which blocks AWS has acknowledged; snapshot.sent: that CreateSnapshot was asked for.  Both outlive a
killed run, so that the next does only what is missing.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from knitter import receipt
from knitter.aws import snapshots, volume_snapshots, volumes
from knitter.aws.tags import ensure_tags, run_tag
from knitter.aws.upload import Manner
from knitter.receipt import Receipt
from knitter.settings import Settings
from knitter.stages import stored
from knitter.stages.build import Build
from knitter.stages.disk import Disk
from knitter.stages.stage import Made, Stage, Work
from knitter.stages.volume import Volume

JOURNAL: Final = "snapshot.journal"
SENT: Final = "snapshot.sent"
PATIENCE: Final = 24 * 3600.0
"""Seconds from CreateSnapshot to `completed`, at most: the first one of a large volume takes hours."""


class Snapshot(Stage):
    """Stores the disk in the cloud, once."""

    name = stored.NAME
    revision = stored.REVISION
    does = "store the disk as an EBS snapshot"
    consumes = (Disk,)
    in_cloud = True

    def sections(self, build: Build) -> dict[str, JsonValue]:
        """See `stored`: the road is none of it."""
        return stored.sections(build)

    def alive(self, build: Build, left: Receipt) -> bool:
        """Whether the snapshot is there and completed."""
        return snapshots.exists(build.cloud(), str(left.facts["snapshot"]))

    def adopt(self, build: Build, key: str) -> Made | None:
        """The completed snapshot with this key."""
        found = snapshots.find_completed(build.cloud(), key)
        return self._made(build, found) if found else None

    def make(self, build: Build, work: Work) -> Made:
        """By the road that is chosen.  What is needed to go on stays when this fails."""
        match build.via:
            case "direct":
                return self._made(build, self._upload(build, work))
            case "surrogate":
                return self._made(build, self._take(build, work))

    def clean(self, build: Build) -> None:
        """Remove the receipt, the log and what is needed to go on; the snapshot stays."""
        super().clean(build)
        for name in (JOURNAL, SENT):
            (self.folder(build) / name).unlink(missing_ok=True)

    def _upload(self, build: Build, work: Work) -> str:
        with work.log.open("a", buffering=1) as log:
            made = snapshots.ensure_snapshot(
                build.cloud(),
                stored.order(build, work.key, stage=self.name, name=build.recipe.name),
                journal=self._folder(build) / JOURNAL,
                manner=_manner(build.settings),
                dead=_dead(work.previous),
                note=lambda line: print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=log),
            )
            log.write(f"snapshot {made.id}: {made.put} blocks put\n")
        return made.id

    def _take(self, build: Build, work: Work) -> str:
        cloud = build.cloud()
        order = stored.order(build, work.key, stage=self.name, name=build.recipe.name)
        volume = Volume().living(build)
        made = volume_snapshots.ensure_snapshot_of(
            cloud,
            volume,
            key=work.key,
            description=order.description,
            tags=order.tags,
            sent=self._folder(build) / SENT,
        )
        snapshots.wait_completed(cloud, made, limit=PATIENCE)
        ensure_tags(cloud, [made], order.tags | run_tag())
        cloud.forget()
        work.log.write_text(f"snapshot {made} of {volume}\n")
        return made

    def _folder(self, build: Build) -> Path:
        folder = self.folder(build)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _made(self, build: Build, snapshot: str) -> Made:
        """The id is part of the digest: another snapshot, even of the same disk, needs another AMI."""
        _drop_volume(build)
        return Made(receipt.digest_of([snapshot]), facts={"snapshot": snapshot, **stored.facts(build)})


def _drop_volume(build: Build) -> None:
    """A volume that was written, by this run or an earlier one, has done its work: the snapshot holds all of it."""
    volume = Volume().found(build)
    if not volume:
        return
    ledger = build.pool().ledger(build.cloud())
    if build.settings.keep_volume:
        ledger.leave(volume, "")
        return
    volumes.delete(build.cloud(), volume)
    build.cloud().forget()
    ledger.strike(volume)


def _manner(settings: Settings) -> Manner:
    return Manner(settings.upload_engine, settings.uploads, settings.upload_rate)


def _dead(previous: Receipt | None) -> frozenset[str]:
    """What the last receipt spoke of, and is gone; else we would not be here."""
    return frozenset({str(previous.facts["snapshot"])} if previous else ())
