"""What exists in the lab: snapshots and images, by account and region, kept in memory and in the journal."""

import json
import time
from collections import defaultdict
from pathlib import Path
from threading import RLock
from typing import Final

from knitter.lab.blocks import SIZE, Blocks
from knitter.lab.journal import Journal
from knitter.lab.records import Image, Snapshot

GIB: Final = 1024**3
COMPLETION: Final = 0.3
"""Seconds a snapshot stays pending after CompleteSnapshot was accepted: clients must really wait."""

Where = tuple[str, str]
"""Account and region."""


class Ledger:
    """All of it.  Hold `guard` while reading and changing; `keep` what was changed."""

    def __init__(self, directory: Path) -> None:
        self.guard = RLock()
        self.blocks = Blocks(directory / "blocks")
        self.journal = Journal(directory / "journal.sqlite")
        self.snapshots: defaultdict[Where, dict[str, Snapshot]] = defaultdict(dict)
        self.images: defaultdict[Where, dict[str, Image]] = defaultdict(dict)
        self.tags: defaultdict[Where, defaultdict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        """By resource id; a record's are the very dictionary it holds."""
        self.deregistered: set[str] = set()
        self.public_sharing: defaultdict[Where, bool] = defaultdict(bool)
        """Whether images may be shared with everyone; not, until it is allowed."""
        for body in self.journal.load("Snapshot"):
            self._hold(Snapshot.model_validate_json(body))
        for body in self.journal.load("Image"):
            self._hold(Image.model_validate_json(body))
        for body in self.journal.load("PublicSharing"):
            account, region, allowed = json.loads(body)
            self.public_sharing[account, region] = allowed
        self._repair()

    def keep(self, record: Snapshot | Image) -> None:
        """Write *record* to memory and journal."""
        self._hold(record)
        self.journal.save(type(record).__name__, record.id, record.model_dump_json())

    def forget(self, record: Snapshot | Image) -> None:
        """Remove *record*, and a snapshot's blocks."""
        where = record.account, record.region
        if isinstance(record, Snapshot):
            self.snapshots[where].pop(record.id, None)
        else:
            self.images[where].pop(record.id, None)
            self.deregistered.add(record.id)
        self.tags[where].pop(record.id, None)
        self.journal.remove(type(record).__name__, record.id)
        if isinstance(record, Snapshot):
            self.blocks.delete(record.id)

    def allow_public_sharing(self, where: Where, *, allowed: bool) -> None:
        """Block public access for images, or do not."""
        self.public_sharing[where] = allowed
        self.journal.save("PublicSharing", "/".join(where), json.dumps([*where, allowed]))

    def refresh(self, snapshot: Snapshot) -> Snapshot:
        """*snapshot*, failed if nothing was put into it for longer than its Timeout."""
        if snapshot.completed is None and not snapshot.failed:
            idle = time.time() - self.blocks.touched(snapshot.id)
            if idle > snapshot.timeout * 60:
                snapshot.failed = True
                self.keep(snapshot)
        return snapshot

    def finish(self, snapshot: Snapshot, *, delay: float = COMPLETION) -> None:
        """All blocks are there: it becomes `completed` after *delay* seconds."""
        snapshot.completed = time.time() + delay
        self.keep(snapshot)  # first: `_repair` does the rest if the lab is killed here
        self.blocks.complete(snapshot.id)
        snapshot.written = SIZE * sum(1 for _ in self.blocks.digests(snapshot.id))
        self.keep(snapshot)

    def _repair(self) -> None:
        """Finish what a killed lab had begun."""
        snapshots = [snapshot for region in self.snapshots.values() for snapshot in region.values()]
        self.blocks.clean({snapshot.id for snapshot in snapshots})
        for snapshot in snapshots:
            if snapshot.completed is not None and self.blocks.is_pending(snapshot.id):
                self.finish(snapshot, delay=0)

    def add(self, snapshot: Snapshot, *, source: Snapshot | None) -> None:
        """A new snapshot with the blocks of *source*, or with none."""
        if source:
            self.blocks.copy(source.id, snapshot.id)
        else:
            self.blocks.create(snapshot.id, size=snapshot.volume_size * GIB)
        self.keep(snapshot)
        self.finish(snapshot)

    def close(self) -> None:
        """Nothing changes any more."""
        self.journal.close()

    def _hold(self, record: Snapshot | Image) -> None:
        where = record.account, record.region
        if isinstance(record, Snapshot):
            self.snapshots[where][record.id] = record
        else:
            self.images[where][record.id] = record
        self.tags[where][record.id] = record.tags
