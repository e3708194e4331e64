"""A snapshot of a volume: CreateSnapshot, which takes no ClientToken, asked for once all the same.

Found again by its tag.  A request whose answer was lost may have made one that AWS does not show yet, so that a note in
a file says when the first was sent, and a second is sent only when the first has had its time to show up.

Source: Amazon EC2 API Reference, CreateSnapshot, and "Error codes for the Amazon EC2 API".
"""

import time
from pathlib import Path
from typing import Final

from knitter.aws import inventory
from knitter.aws.explain import explained
from knitter.aws.session import Cloud
from knitter.aws.tags import as_list, run_tag
from knitter.aws.wait import wait_for
from knitter.errors import CloudError
from knitter.progress import say
from knitter.receipt import write_atomically

SHOWN: Final = 30.0
"""Seconds after which a snapshot that was asked for is shown, if it was made at all."""
PLACES: Final = 15 * 60.0
"""Seconds to wait for a free place among the snapshots in progress."""
_REFUSED: Final = frozenset(
    {
        "SnapshotCreationPerVolumeRateExceeded",  # one in 15 seconds
        "ConcurrentSnapshotLimitExceeded",
        "RequestLimitExceeded",
        "InvalidVolume.NotFound",  # not known everywhere yet; else the caller would not ask
    }
)
"""Nothing was made; the same again, later."""
_UNCERTAIN: Final = frozenset(
    {"Unreachable", "InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "500", "503"}
)
"""It may have been made."""


def ensure_snapshot_of(
    cloud: Cloud, volume: str, *, key: str, description: str, tags: dict[str, str], sent: Path
) -> str:
    """Id of the snapshot with this `knitter:key` of *volume*, pending or completed.  Safe to repeat.

    sent: file that says when a request was sent; it outlives a killed run, and is removed in the end.
    Raises CloudError, Interrupted.
    """

    def look() -> str | None:
        cloud.forget()
        if found := _find(cloud, key, volume):
            return found
        if _age(sent) < SHOWN:
            return None
        return _create(cloud, volume, description, tags, sent)

    say(f"taking a snapshot of {volume}")
    snapshot = wait_for(f"a snapshot of {volume}", look, limit=PLACES, hint="run again: it goes on from here")
    sent.unlink(missing_ok=True)
    return snapshot


def _find(cloud: Cloud, key: str, volume: str) -> str | None:
    alive = {"pending", "completed"}
    ours = (one for one in inventory.snapshots(cloud).values() if (one.key, one.volume) == (key, volume))
    return next((one.id for one in ours if one.state in alive), None)


def _age(sent: Path) -> float:
    try:
        return time.time() - sent.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _create(cloud: Cloud, volume: str, description: str, tags: dict[str, str], sent: Path) -> str | None:
    """Ask once; None if that made nothing, or nobody knows."""
    write_atomically(sent, f"{volume}\n".encode(), writer="new")
    try:
        with explained(f"taking a snapshot of {volume}"):
            answer = cloud.ec2_once.create_snapshot(
                VolumeId=volume,
                Description=description,
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": as_list(tags | run_tag())}],
            )
            return answer["SnapshotId"]
    except CloudError as error:
        if error.code in _UNCERTAIN:
            return None
        sent.unlink(missing_ok=True)
        if error.code in _REFUSED:
            return None
        raise
