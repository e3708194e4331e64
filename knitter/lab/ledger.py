"""What exists in the lab: snapshots, images, volumes, by account and region, kept in memory and in the journal."""

import json
import time
from collections import defaultdict
from pathlib import Path
from threading import RLock
from typing import Any, Final

from knitter.lab.blocks import SIZE, Blocks
from knitter.lab.journal import Journal
from knitter.lab.records import Image, Snapshot, Volume
from knitter.lab.storage import Storage

GIB: Final = 1024**3
COMPLETION: Final = 0.3
"""Seconds a snapshot stays pending after CompleteSnapshot was accepted: clients must really wait."""

Where = tuple[str, str]
"""Account and region."""
Record = Snapshot | Image | Volume
_KINDS: Final = (Snapshot, Image, Volume)


class Ledger:
    """All of it.  Hold `guard` while reading and changing; `keep` what was changed."""

    def __init__(self, directory: Path) -> None:
        self.guard = RLock()
        self.blocks = Blocks(directory / "blocks")
        self.storage = Storage(directory / "volumes")
        self.journal = Journal(directory / "journal.sqlite")
        self.snapshots: defaultdict[Where, dict[str, Snapshot]] = defaultdict(dict)
        self.images: defaultdict[Where, dict[str, Image]] = defaultdict(dict)
        self.volumes: defaultdict[Where, dict[str, Volume]] = defaultdict(dict)
        self.tags: defaultdict[Where, defaultdict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        """By resource id; a record's are the very dictionary it holds."""
        self.deregistered: set[str] = set()
        self.public_sharing: defaultdict[Where, bool] = defaultdict(bool)
        """Whether images may be shared with everyone; not, until it is allowed."""
        for kind in _KINDS:
            for body in self.journal.load(kind.__name__):
                self._hold(kind.model_validate_json(body))
        for body in self.journal.load("PublicSharing"):
            account, region, allowed = json.loads(body)
            self.public_sharing[account, region] = allowed
        self._repair()

    def keep(self, record: Record) -> None:
        """Write *record* to memory and journal."""
        self._hold(record)
        self.journal.save(type(record).__name__, record.id, record.model_dump_json())

    def forget(self, record: Record) -> None:
        """Remove *record*, and its data."""
        where = record.account, record.region
        self._of_kind(record)[where].pop(record.id, None)
        self.tags[where].pop(record.id, None)
        self.journal.remove(type(record).__name__, record.id)
        match record:
            case Snapshot():
                self.blocks.delete(record.id)
            case Volume():
                self.storage.delete(record.id)
            case Image():
                self.deregistered.add(record.id)

    def find(self, where: Where, name: str) -> Record | None:
        """The record whose id is *name*."""
        return self.snapshots[where].get(name) or self.images[where].get(name) or self.volumes[where].get(name)

    def allow_public_sharing(self, where: Where, *, allowed: bool) -> None:
        """Block public access for images, or do not."""
        self.public_sharing[where] = allowed
        self.journal.save("PublicSharing", "/".join(where), json.dumps([*where, allowed]))

    def refresh(self, snapshot: Snapshot) -> Snapshot:
        """*snapshot*, failed if nothing was put into it for longer than its Timeout; not if the lab fills it."""
        if snapshot.completed is None and not snapshot.failed and not snapshot.of_volume:
            idle = time.time() - self.blocks.touched(snapshot.id)
            if idle > snapshot.timeout * 60:
                self.fail(snapshot)
        return snapshot

    def finish(self, snapshot: Snapshot, *, delay: float = COMPLETION) -> None:
        """All blocks are there: it becomes `completed` after *delay* seconds."""
        snapshot.completed = time.time() + delay
        self.keep(snapshot)  # first: `_repair` does the rest if the lab is killed here
        self.blocks.complete(snapshot.id)
        snapshot.written = SIZE * sum(1 for _ in self.blocks.digests(snapshot.id))
        self.keep(snapshot)

    def _repair(self) -> None:
        """Finish what a killed lab had begun.  Its instances are gone: so are the volumes that go with them."""
        snapshots = [snapshot for region in self.snapshots.values() for snapshot in region.values()]
        self.blocks.clean({snapshot.id for snapshot in snapshots})
        for snapshot in snapshots:
            if snapshot.completed is not None and self.blocks.is_pending(snapshot.id):
                self.finish(snapshot, delay=0)
            elif snapshot.completed is None and snapshot.of_volume:
                self.fail(snapshot)
        volumes = [volume for region in self.volumes.values() for volume in region.values()]
        for volume in volumes:
            if volume.phase != "there" or (volume.attachment and volume.attachment.delete):
                self.forget(volume)
            elif volume.attachment:
                self.keep(volume.model_copy(update={"attachment": None}))
        self.storage.clean({name for region in self.volumes.values() for name in region})

    def fail(self, snapshot: Snapshot) -> None:
        """It will never be completed."""
        snapshot.failed = True
        self.keep(snapshot)

    def add(self, snapshot: Snapshot, *, source: Snapshot | None) -> None:
        """A new snapshot with the blocks of *source*, or with none."""
        if source:
            self.blocks.copy(source.id, snapshot.id)
        else:
            self.blocks.create(snapshot.id, size=snapshot.volume_size * GIB)
        self.keep(snapshot)
        self.finish(snapshot)

    def add_volume(self, volume: Volume) -> None:
        """A new volume; from now on its snapshot may be deleted."""
        self.storage.reserve(volume, self.blocks.raw(volume.snapshot_id))
        self.keep(volume)

    def close(self) -> None:
        """Nothing changes any more."""
        self.journal.close()

    def _hold(self, record: Record) -> None:
        where = record.account, record.region
        self._of_kind(record)[where][record.id] = record
        self.tags[where][record.id] = record.tags

    def _of_kind(self, record: Record) -> defaultdict[Where, dict[str, Any]]:
        match record:
            case Snapshot():
                return self.snapshots
            case Image():
                return self.images
            case Volume():
                return self.volumes
