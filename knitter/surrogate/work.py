"""From a disk in a file to a volume that holds it: with a surrogate, resumed after a kill.

A making is known by its attempt: a word in a file beside the journal, and a tag of the volume.  After kill -9 the next
run finds the volume by it, takes it from the dead run's surrogate, and writes only what the journal lacks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Final

from knitter.aws import instances, inventory, volumes
from knitter.aws.instances import InstanceLostError
from knitter.aws.journal import Journal
from knitter.aws.session import Cloud
from knitter.aws.source import SourceImage
from knitter.aws.start import Order
from knitter.aws.tags import ATTEMPT, RUN, RUN_ID, WRITTEN, as_dict, ensure_tags, expiry_tag, run_tag
from knitter.errors import CloudError
from knitter.progress import say
from knitter.receipt import write_atomically
from knitter.settings import Settings
from knitter.surrogate.device import find_device
from knitter.surrogate.pool import Pool
from knitter.surrogate.power import PREFIX, Surrogate
from knitter.surrogate.write import write_disk
from knitter.units import GIB

LIVES: Final = 2
"""Surrogates that may end under the work, as by a spot interruption, before it is given up: one less."""


@dataclass(frozen=True, slots=True)
class Written:
    """A volume that holds the disk, detached."""

    id: str
    zone: str
    put: int
    """Blocks that this run wrote."""


class Attempt:
    """What is remembered of a making: files that outlive a killed run."""

    def __init__(self, folder: Path) -> None:
        self._word = folder / "volume.attempt"
        self.journal = folder / "volume.journal"

    @property
    def word(self) -> str:
        """The attempt that was begun; "" if none was."""
        try:
            return self._word.read_text()
        except FileNotFoundError:
            return ""

    def begin(self) -> str:
        """A new one."""
        write_atomically(self._word, token_hex(16).encode(), writer="new")
        return self.word

    def end(self) -> None:
        """It came to its end, or is given up."""
        self._word.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the work needs at hand."""

    cloud: Cloud
    pool: Pool
    settings: Settings
    image: SourceImage
    attempt: Attempt
    log: Path
    note: Callable[[str], None] = lambda _: None


def ensure_written(desk: Desk, recipe: str, order: Order, *, digest: str) -> Written:
    """The volume that holds the disk of *order*; goes on with what a killed run began.

    digest: of the disk; the volume says by a tag that it holds it.
    Raises CloudError, KnitterError, Interrupted.
    """
    for left in reversed(range(LIVES)):
        begun = _find_begun(desk)
        try:
            with desk.pool.lease(desk.cloud, desk.image, name=recipe, zone=begun.zone if begun else "") as host:
                volume = _volume_for(desk, order, host, begun)
                desk.note(f"volume {volume.id} for {host.instance.id}, a {host.instance.type} in {volume.zone}")
                return _write(desk, order, host, volume, digest=digest)
        except InstanceLostError as error:
            if not left:
                raise
            desk.note(f"{error.brief}: another one is started")
    raise AssertionError("the last life returns or raises")


@dataclass(frozen=True, slots=True)
class _Volume:
    id: str
    zone: str


def _find_begun(desk: Desk) -> _Volume | None:
    """The volume of the attempt that a killed run began, free to be attached; None if there is none."""
    word, cloud = desk.attempt.word, desk.cloud
    cloud.forget()
    name = next((one.id for one in inventory.volumes(cloud).values() if word and one.attempt == word), "")
    found = volumes.find_volume(cloud, name) if name else None
    if found is None:
        return None
    say(f"going on with volume {name}")
    desk.pool.ledger(cloud).add("volume", name)
    try:
        for place in found["Attachments"]:
            _retire(desk, place["InstanceId"])
        volumes.detach(cloud, name)
    except CloudError as error:
        desk.note(f"{name} cannot be gone on with: {error.brief}")
        return None
    return _Volume(name, found["AvailabilityZone"])


def _retire(desk: Desk, instance: str) -> None:
    """The surrogate of a run that was killed, whose key died with that run: it ends with this one, its group, too."""
    found = instances.find_instance(desk.cloud, instance)
    if found is None or as_dict(found.get("Tags", [])).get(RUN) == RUN_ID:
        return
    ledger = desk.pool.ledger(desk.cloud)
    ledger.add("instance", instance)
    for group in found["SecurityGroups"]:
        if group["GroupName"].startswith(PREFIX):
            ledger.add("security group", group["GroupId"])


def _volume_for(desk: Desk, order: Order, host: Surrogate, begun: _Volume | None) -> _Volume:
    """The volume that *host* shall write: the one begun, if it lies in the same zone, else a new one."""
    zone = host.instance.zone
    if begun and begun.zone == zone:
        return begun
    if begun:
        volumes.delete(desk.cloud, begun.id)
        desk.pool.ledger(desk.cloud).strike(begun.id)
    word = desk.attempt.begin()
    tags = order.tags | {ATTEMPT: word} | run_tag() | expiry_tag(host.seconds)
    wanted = volumes.plan_order(desk.settings, order.size // GIB, zone, token=word, tags=tags)
    ledger = desk.pool.ledger(desk.cloud)
    return _Volume(volumes.create_volume(desk.cloud, wanted, made=lambda name: ledger.add("volume", name)), zone)


def _write(desk: Desk, order: Order, host: Surrogate, volume: _Volume, *, digest: str) -> Written:
    cloud = desk.cloud
    with host.attaching:
        place = volumes.attach(cloud, volume.id, host.instance.id)
    host.volumes.append(volume.id)
    machine = host.connect()
    try:
        with Journal(desk.attempt.journal, volume.id) as journal, host.kept_alive(machine, volume.id):
            device = find_device(machine, volume.id, place, log=desk.log)
            desk.note(f"{volume.id} is {device}")
            ready = iter([machine])  # a handshake takes its time: the first connection is this one
            written = write_disk(
                lambda: next(ready, None) or host.connect(),
                order.disk,
                order.blocks,
                device=device,
                size=order.size,
                journal=journal,
                note=desk.note,
            )
    finally:
        machine.close()
    desk.note(f"{written.blocks} blocks, {written.sent} bytes over {written.connections} connections")
    say(f"detaching {volume.id}")
    volumes.detach(cloud, volume.id)
    host.volumes.remove(volume.id)
    ensure_tags(cloud, [volume.id], {WRITTEN: digest})
    desk.pool.ledger(cloud).leave(volume.id, "it holds the disk, for the next run to take a snapshot of")
    cloud.forget()
    desk.attempt.end()
    return Written(volume.id, volume.zone, written.blocks)
