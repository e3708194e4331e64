"""CreateSnapshot: what a volume holds at one moment, copied into the block store while its machine runs on."""

import logging
import threading
from collections.abc import Iterator

from knitter.errors import KnitterError
from knitter.lab.calls import Answer, Call
from knitter.lab.errors import ApiError
from knitter.lab.records import Snapshot, Volume, new_id, now
from knitter.lab.snapshots import described
from knitter.lab.volumes import find_volume

_log = logging.getLogger(__name__)


def create_snapshot(call: Call) -> Answer:
    """Snapshot a volume: what its machine has flushed by now."""
    volume = find_volume(call, call.need("VolumeId"))
    if volume.phase != "there":
        raise ApiError("IncorrectState", f"The volume '{volume.id}' is '{volume.state}'")
    tags = call.tags("snapshot")
    call.stop_if_dry()
    snapshot = Snapshot(
        id=new_id("snap"),
        account=call.account,
        region=call.region,
        volume_id=volume.id,
        volume_size=volume.size,
        description=call.get("Description", ""),
        started=now(),
        tags=tags,
        encrypted=volume.encrypted,
        kms_key_id=volume.kms_key_id,
        of_volume=True,
    )
    call.ledger.storage.hold(volume.id)
    try:
        call.ledger.blocks.expect(snapshot.id)
        copying = call.rack.copy(volume, call.ledger.blocks.raw(snapshot.id))
    except (KnitterError, OSError) as error:
        call.ledger.storage.release(volume.id)
        call.ledger.blocks.delete(snapshot.id)
        raise ApiError("InternalError", f"the lab could not copy {volume.id}: {error}", status=500) from None
    call.ledger.keep(snapshot)
    threading.Thread(target=_fill, args=(call, volume, snapshot, copying), daemon=True).start()
    return described(snapshot)


def _fill(call: Call, volume: Volume, snapshot: Snapshot, copying: Iterator[float]) -> None:
    """Copy, then hash: each takes about half of the time."""
    ledger = call.ledger
    try:
        _copy(call, volume, snapshot, copying)
        for share in ledger.blocks.record_all(snapshot.id):
            snapshot.copied = 50 + int(share * 50)
    except (KnitterError, OSError) as error:
        _log.warning("%s of %s failed: %s", snapshot.id, volume.id, error, exc_info=error)
        with ledger.guard:
            if snapshot.id in call.snapshots:
                ledger.fail(snapshot)
        return
    with ledger.guard:
        if snapshot.id in call.snapshots:  # else it was deleted meanwhile
            ledger.finish(snapshot)
        else:
            ledger.blocks.delete(snapshot.id)


def _copy(call: Call, volume: Volume, snapshot: Snapshot, copying: Iterator[float]) -> None:
    try:
        for share in copying:
            snapshot.copied = int(share * 50)
    except KnitterError:  # its machine went off meanwhile, and all that was flushed is in the file
        _log.info("%s: the machine of %s ended", snapshot.id, volume.id)
        for _ in call.ledger.storage.copy(volume, call.ledger.blocks.raw(snapshot.id)):
            pass
    finally:
        call.ledger.storage.release(volume.id)
