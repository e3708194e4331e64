"""The rack: machines that are on, and the life of each instance in it.

Each step that takes time is a thread; what it changes, it changes under the ledger's guard.

    pending -> running -> shutting-down -> terminated
                  |  ^
                  v  | (pending)
               stopping -> stopped
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from knitter.errors import KnitterError
from knitter.lab import enrolment
from knitter.lab.ledger import Ledger, Where
from knitter.lab.machines import SLOTS, Disk, Machine, Machines, Spec, plan_disk
from knitter.lab.records import Volume

End = Literal["stopped", "terminated"]
LEAVING: Final[dict[End, str]] = {"stopped": "stopping", "terminated": "shutting-down"}
_ON: Final = ("running", *LEAVING.values())
_log = logging.getLogger(__name__)


@dataclass
class Seat:
    """One instance: its place in moto's books, what it is, and its machine while it has one."""

    instance: Any
    spec: Spec
    where: Where
    machine: Machine | None = None
    slots: dict[str, int] = field(default_factory=dict)
    """Of each volume plugged in."""
    switch: threading.Lock = field(default_factory=threading.Lock)
    """Held while the power goes on or off."""
    end: End | None = None
    """What it is on the way to."""


class Rack:
    """All of them."""

    def __init__(self, ledger: Ledger, machines: Machines) -> None:
        self.ledger = ledger
        self.machines = machines
        self._seats: dict[str, Seat] = {}
        self.launches: dict[tuple[str, str, str], tuple[Any, Any]] = {}
        """Account, region, ClientToken -> what RunInstances was asked, and moto's reservation."""

    def find(self, instance: str) -> Seat | None:
        """The seat of *instance*, also after its end."""
        return self._seats.get(instance)

    def launch(self, seat: Seat) -> None:
        """A new instance, pending: make its volumes, power it on."""
        self._seats[seat.instance.id] = seat
        for volume in self.volumes_of(seat):
            seat.slots[volume.id] = len(seat.slots) + 1
        self.show(seat)
        _begin(self._power_on, seat)

    def start(self, seat: Seat) -> None:
        """A stopped instance: power it on again."""
        seat.end = None
        enrolment.move(seat.instance, "pending")
        enrolment.show_address(seat.instance, seat.spec.address)
        _begin(self._power_on, seat)

    def _power_on(self, seat: Seat) -> None:
        with seat.switch:
            if seat.end:
                return
            end: End = "stopped" if seat.machine else "terminated"
            try:
                self._make_volumes(seat)
                machine = self.machines.machine(self._plan(seat), lambda: self._ended(seat, machine))
                seat.machine = machine
                machine.power_on()
            except (KnitterError, OSError) as error:
                _log.warning("%s did not start: %s", seat.instance.id, error, exc_info=error)
                self.leave(seat, end, ("Server.InternalError", str(error)))
                return
            with self.ledger.guard:
                if seat.end is None:
                    enrolment.move(seat.instance, "running")

    def _make_volumes(self, seat: Seat) -> None:
        for volume in self.volumes_of(seat):
            if volume.phase == "creating":
                self.fill(volume)
        with self.ledger.guard:
            for volume in self.volumes_of(seat):
                self.plugged(volume, "attached")
            self.show(seat)

    def fill(self, volume: Volume) -> None:
        """Make the file of *volume*.  Raises OSError, KnitterError."""
        self.ledger.storage.make(volume)
        with self.ledger.guard:
            volume.phase = "there"
            self.ledger.keep(volume)

    def _plan(self, seat: Seat) -> Spec:
        with self.ledger.guard:
            volumes = sorted(self.volumes_of(seat), key=lambda volume: seat.slots[volume.id])
            return replace(seat.spec, disks=tuple(self._disk(seat, volume) for volume in volumes))

    def _disk(self, seat: Seat, volume: Volume) -> Disk:
        return plan_disk(volume, self.ledger.storage.path(volume), seat.slots[volume.id])

    def _ended(self, seat: Seat, machine: Machine) -> None:
        """Its system switched it off."""
        with self.ledger.guard:
            if seat.machine is machine and seat.end is None:
                terminate = seat.instance.instance_initiated_shutdown_behavior == "terminate"
                self.leave(seat, "terminated" if terminate else "stopped", enrolment.GUEST)

    def leave(self, seat: Seat, end: End, reason: tuple[str, str] = enrolment.USER) -> None:
        """Bring *seat* to its *end*; a stop on its way becomes a termination, never the other way round."""
        with self.ledger.guard:
            if seat.end in ("terminated", end):
                return
            seat.end = end
            enrolment.move(seat.instance, LEAVING[end], reason)
        _begin(self._power_off, seat, end, reason)

    def _power_off(self, seat: Seat, end: End, reason: tuple[str, str]) -> None:
        with seat.switch:
            self.ledger.storage.wait_free(*seat.slots)
            if seat.machine:
                with suppress(KnitterError):
                    seat.machine.power_off(gently=end == "stopped")
            with self.ledger.guard:
                if seat.end == end:
                    self._ended_as(seat, end, reason)

    def _ended_as(self, seat: Seat, end: End, reason: tuple[str, str]) -> None:
        if end == "stopped":
            enrolment.hide_address(seat.instance)
            enrolment.move(seat.instance, "stopped", reason)
            return
        for volume in self.volumes_of(seat):
            plugged, volume.attachment = volume.attachment, None
            self.ledger.keep(volume)
            if (plugged and plugged.delete) or volume.phase == "creating":
                self.ledger.forget(volume)
        enrolment.retire(seat.instance, reason)

    def plugged(self, volume: Volume, state: Literal["attached"] | None) -> None:
        """*volume* is in its slot, or out of it."""
        if volume.attachment:
            volume.attachment = volume.attachment.model_copy(update={"state": state}) if state else None
            self.ledger.keep(volume)

    def volumes_of(self, seat: Seat) -> list[Volume]:
        """What is plugged into *seat*."""
        with self.ledger.guard:
            volumes = self.ledger.volumes[seat.where].values()
            return [one for one in volumes if one.attachment and one.attachment.instance == seat.instance.id]

    def show(self, seat: Seat) -> None:
        """Tell moto's books of the volumes."""
        enrolment.show_disks(seat.instance, self.volumes_of(seat))

    def attach(self, seat: Seat, volume: Volume) -> None:
        """Plug in a volume whose attachment is `attaching`.  The guard is held."""
        seat.slots[volume.id] = min(set(range(1, SLOTS + 1)) - set(seat.slots.values()))
        self.show(seat)
        _begin(self._attach, seat, volume)

    def _attach(self, seat: Seat, volume: Volume) -> None:
        self.ledger.storage.wait_free(volume.id)
        with seat.switch:
            try:
                if seat.machine and seat.instance.instance_state.name == "running":
                    seat.machine.attach(self._disk(seat, volume))
                state: Literal["attached"] | None = "attached"
            except KnitterError as error:
                _log.warning("%s was not attached: %s\n%s", volume.id, error, error.details)
                state = None
            self._settle(seat, volume, state)

    def detach(self, seat: Seat, volume: Volume) -> None:
        """Unplug a volume whose attachment is `detaching`."""
        self.show(seat)
        _begin(self._detach, seat, volume)

    def _detach(self, seat: Seat, volume: Volume) -> None:
        self.ledger.storage.wait_free(volume.id)
        if seat.machine and seat.instance.instance_state.name == "running":
            try:
                seat.machine.detach(self._disk(seat, volume))
            except KnitterError as error:
                _log.info("%s ended before it let go of %s: %s", seat.instance.id, volume.id, error)
                with seat.switch:
                    pass  # it is off now
        self._settle(seat, volume, None)

    def _settle(self, seat: Seat, volume: Volume, state: Literal["attached"] | None) -> None:
        with self.ledger.guard:
            if volume.attachment is None or volume.attachment.instance != seat.instance.id:
                return  # terminated meanwhile
            self.plugged(volume, state)
            if state is None:
                seat.slots.pop(volume.id, None)
            self.show(seat)

    def copy(self, volume: Volume, target: Path) -> Iterator[float]:
        """Copy what is on *volume* when the first value, which is taken here, came; the guard is held."""
        seat = self.find(volume.attachment.instance) if volume.attachment else None
        if seat and seat.machine and seat.instance.instance_state.name in _ON and volume.id in seat.slots:
            with suppress(KnitterError):  # it went off by itself
                copying = seat.machine.copy(self._disk(seat, volume), target)
                next(copying)
                return copying
        copying = self.ledger.storage.copy(volume, target)
        next(copying)
        return copying

    def console(self, instance: str) -> bytes:
        """The end of its serial console."""
        seat = self.find(instance)
        return seat.machine.console() if seat and seat.machine else b""

    def close(self) -> None:
        """Cut the power of all."""
        offs = [_begin(_cut, seat.machine) for seat in self._seats.values() if seat.machine]
        for off in offs:
            off.join()


def _cut(machine: Machine) -> None:
    with suppress(KnitterError):
        machine.power_off(gently=False)


def _begin(step: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=step, args=arguments, daemon=True)
    thread.start()
    return thread
