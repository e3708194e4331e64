"""A snapshot made through the EBS direct APIs: started once for a key, filled, completed, waited for.

Sources: Amazon EBS User Guide, "Write EBS snapshots by using the EBS direct APIs" (tokens, checksums, timeout), and the
EBS direct API Reference.  Each function is safe to repeat, so a run that was killed is continued by the next.
"""

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from knitter import interrupt
from knitter.aws import inventory
from knitter.aws.explain import explained
from knitter.aws.journal import Journal
from knitter.aws.session import Cloud
from knitter.aws.start import Order, plan_start
from knitter.aws.tags import ensure_tags, run_tag
from knitter.aws.upload import SETTLING, Blocks, Manner, upload
from knitter.aws.wait import wait_for
from knitter.errors import CloudError
from knitter.progress import say
from knitter.units import BLOCK

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import SnapshotTypeDef

COMPLETION: Final = 2 * 3600.0
"""Seconds from CompleteSnapshot to `completed`, at most."""
PLACES: Final = 15 * 60.0
"""Seconds to wait for a free place among the account's pending snapshots."""
ATTEMPTS: Final = 20
"""Snapshots of one key that may have died before we ask the user to look."""
REPEATED: Final = 60.0
"""Seconds to wait for a snapshot whose completion was perhaps asked for by a run that was killed."""
_ASKED_TWICE: Final = {"ValidationException", "ConflictException", "ResourceNotFoundException"}
_FULL: Final = {"ConcurrentLimitExceededException", "ServiceQuotaExceededException"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A completed snapshot."""

    id: str
    put: int
    """Blocks that this run put."""


def find_completed(cloud: Cloud, key: str) -> str | None:
    """The oldest completed snapshot with this `knitter:key`."""
    return next((one.id for one in _with_key(cloud, key) if one.state == "completed"), None)


def exists(cloud: Cloud, snapshot: str) -> bool:
    """Whether *snapshot* is there and whole."""
    found = inventory.snapshots(cloud).get(snapshot)
    return found is not None and found.state == "completed"


def ensure_snapshot(
    cloud: Cloud,
    order: Order,
    *,
    journal: Path,
    manner: Manner,
    dead: frozenset[str] = frozenset(),
    note: Callable[[str], None] = lambda _: None,
) -> Stored:
    """The completed snapshot of *order*; continues what an earlier run began.

    journal: file of what was acknowledged; removed at the end.
    dead: ids of snapshots that were made from this key and are known to be gone.
    Raises CloudError, KnitterError, Interrupted; what was put stays put.
    """
    cloud.forget()
    snapshot = _find_pending(cloud, order.key) or _start(cloud, order, dead)
    note(f"snapshot {snapshot}")
    put = 0
    if _state(cloud, snapshot) != "completed":
        with Journal(journal, snapshot) as known:
            put = upload(cloud, snapshot, order.disk, order.blocks, journal=known, manner=manner, note=note)
            if not known.complete:
                _complete(cloud, snapshot, order.blocks, patience=min(REPEATED, manner.patience))
                known.add_complete()
        wait_completed(cloud, snapshot)
    ensure_tags(cloud, [snapshot], order.tags | run_tag())
    cloud.forget()
    journal.unlink(missing_ok=True)
    return Stored(snapshot, put)


def linear_checksum(blocks: Blocks) -> str:
    """Checksum of a whole snapshot, base64: SHA-256 over the blocks' SHA-256, ascending by index.

    API Reference, CompleteSnapshot, aggregation method LINEAR.  The raw 32 bytes are concatenated, not their base64
    text: so does AWS's own coldsnap.
    """
    whole = hashlib.sha256()
    for _, sha256 in blocks:
        whole.update(sha256)
    return base64.b64encode(whole.digest()).decode()


def wait_completed(cloud: Cloud, snapshot: str, *, limit: float = COMPLETION) -> None:
    """Wait until *snapshot* is `completed`.  Raises CloudError if it fails, or takes longer than *limit* seconds."""
    known_by = time.monotonic() + SETTLING

    def look() -> bool | None:
        found = _describe(cloud, snapshot)
        if found is None:
            if time.monotonic() > known_by:
                raise CloudError(f"snapshot {snapshot} is gone", hint="run again: a new one is made")
            return None
        if found["State"] == "error":
            raise CloudError(
                f"snapshot {snapshot} failed",
                details=found.get("StateMessage", ""),
                hint="run again: a new one is made",
            )
        percent = found.get("Progress", "").rstrip("%")
        say("waiting for the snapshot", done=int(percent) if percent.isdecimal() else None, total=100, unit="%")
        return True if found["State"] == "completed" else None

    hint = "it may still complete: run the same command again, which waits on; nothing is put twice"
    wait_for(f"snapshot {snapshot}", look, limit=limit, hint=hint)


def _with_key(cloud: Cloud, key: str) -> list[inventory.OwnedSnapshot]:
    return [one for one in inventory.snapshots(cloud).values() if one.key == key]


def _find_pending(cloud: Cloud, key: str) -> str | None:
    """One that takes blocks, or has all of them; not a pending one of a volume, which nobody can put into."""
    ours = (one for one in _with_key(cloud, key) if one.state == "completed" or one.is_direct)
    return next((one.id for one in ours if one.state in {"pending", "completed"}), None)


def _start(cloud: Cloud, order: Order, dead: frozenset[str]) -> str:
    """A snapshot that lives.  A token outlives the snapshot it made, so a dead one needs the next token."""
    for attempt in range(ATTEMPTS):
        snapshot, age = _start_once(cloud, order, attempt)
        if snapshot not in dead and _lives(cloud, snapshot, age):
            return snapshot
    raise CloudError(
        f"{ATTEMPTS} snapshots of this disk failed or were deleted",
        details=f"knitter:key {order.key}",
        hint="look at them in the EC2 console; a ClientToken is free again some time after its snapshot is gone",
    )


def _start_once(cloud: Cloud, order: Order, attempt: int) -> tuple[str, float]:
    """The snapshot of this attempt's token, and its age in seconds."""

    def look() -> tuple[str, float] | None:
        try:
            with explained("starting the snapshot"):
                answer = cloud.ebs.start_snapshot(**plan_start(order, attempt))
        except CloudError as error:
            if error.code not in _FULL:
                raise
            say("waiting for a free place among the account's pending snapshots")
            return None
        _check_block_size(answer["BlockSize"])
        return answer["SnapshotId"], time.time() - answer["StartTime"].timestamp()

    hint = "an account may have 100 pending snapshots: complete or delete some"
    return wait_for("starting the snapshot", look, limit=PLACES, hint=hint)


def _check_block_size(size: int) -> None:
    if size != BLOCK:
        raise CloudError(f"the endpoint wants blocks of {size} bytes, but EBS has {BLOCK}", hint="check `endpoint`")


def _lives(cloud: Cloud, snapshot: str, age: float) -> bool:
    """Whether *snapshot* is pending or completed.  One just started may be unknown for a while."""
    deadline = time.monotonic() + min(SETTLING, SETTLING - age)
    while (found := _describe(cloud, snapshot)) is None and time.monotonic() < deadline:
        say("waiting until AWS knows the new snapshot")
        interrupt.sleep(1.0)
    return found is not None and found["State"] in {"pending", "completed"}


def _complete(cloud: Cloud, snapshot: str, blocks: Blocks, *, patience: float) -> None:
    """Ask for completion.  A run killed right after the same request finds it refused, but the snapshot completing."""
    try:
        with explained(f"completing snapshot {snapshot}"):
            cloud.ebs.complete_snapshot(
                SnapshotId=snapshot,
                ChangedBlocksCount=len(blocks),
                Checksum=linear_checksum(blocks),
                ChecksumAlgorithm="SHA256",
                ChecksumAggregationMethod="LINEAR",
            )
    except CloudError as refused:
        if refused.code not in _ASKED_TWICE:
            raise
        try:
            wait_completed(cloud, snapshot, limit=patience)
        except CloudError:
            raise refused from None


def _state(cloud: Cloud, snapshot: str) -> str:
    found = _describe(cloud, snapshot)
    return found["State"] if found else ""


def _describe(cloud: Cloud, snapshot: str) -> "SnapshotTypeDef | None":
    try:
        with explained(f"looking at snapshot {snapshot}"):
            return next(iter(cloud.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]), None)
    except CloudError as error:
        if error.code == "InvalidSnapshot.NotFound":
            return None
        raise
