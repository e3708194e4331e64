"""The surrogates of one run: started when a volume must be written, shared by all recipes, ended with the run."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from knitter import interrupt
from knitter.aws.instances import InstanceLostError, terminate
from knitter.aws.session import Cloud
from knitter.aws.source import SourceImage
from knitter.errors import KnitterError
from knitter.machine.ssh import LostError, UnansweredError
from knitter.machine.ssh_config import write_files
from knitter.progress import note, say
from knitter.settings import Settings
from knitter.surrogate import power
from knitter.surrogate.ledger import Ledger, Left
from knitter.surrogate.power import Purpose, Surrogate

TURN: Final = 0.2
"""Seconds between two looks while another thread starts the surrogate that this one will share."""
_BROKEN: Final = (InstanceLostError, UnansweredError, LostError)
"""After these nobody else is given the surrogate."""


@dataclass
class _Member:
    architecture: str
    surrogate: Surrogate | None = None
    """None while it starts."""
    users: int = 1


class Pool:
    """Thread-safe.  Nothing is started before the first lease; the end of an unused pool asks nothing of a cloud."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._members: list[_Member] = []
        self._ledger: Ledger | None = None
        self._guard = threading.Lock()

    def ledger(self, cloud: Cloud) -> Ledger:
        """What the run has made in its cloud."""
        with self._guard:
            self._ledger = self._ledger or Ledger(cloud)
            return self._ledger

    @contextmanager
    def lease(self, cloud: Cloud, image: SourceImage, *, name: str, zone: str = "") -> Iterator[Surrogate]:
        """A surrogate of the image's architecture that lets knitter in, perhaps shared with other threads.

        name: of the recipe it is for.
        zone: where it should be; it may be elsewhere all the same.
        Raises CloudError, KnitterError, Interrupted.
        """
        member = self._join(image.architecture, zone)
        try:
            yield member.surrogate or self._start(member, cloud, image, name=name, zone=zone)
        except interrupt.Interrupted:
            raise
        except KnitterError as error:
            self._failed(member, error)
            raise
        finally:
            with self._guard:
                member.users -= 1

    @contextmanager
    def single(self, cloud: Cloud, image: SourceImage, purpose: Purpose) -> Iterator[Surrogate]:
        """An instance for this caller alone, ended after the block; one that failed may be kept, as `lease` does it."""
        made = self._started(cloud, image, purpose)
        try:
            yield made
        except interrupt.Interrupted:
            raise
        except KnitterError:
            self._keep(made)
            raise
        say(f"ending {made.instance.id}")
        terminate(cloud, made.instance.id)
        self.ledger(cloud).strike(made.instance.id)

    def close(self, tell: Callable[[str], None]) -> list[Left]:
        """End all of it.  Gives what is still there; *tell* hears what is being removed."""
        with self._guard:
            ledger, self._ledger = self._ledger, None
            self._members.clear()
        return ledger.close(tell) if ledger else []

    def _join(self, architecture: str, zone: str) -> _Member:
        """A member to use: one that is there, or a new one, which the caller must start."""
        while True:
            with self._guard:
                ours = [one for one in self._members if one.architecture == architecture]
                ready = sorted(
                    (one.users, one.surrogate.instance.zone != zone, number)
                    for number, one in enumerate(ours)
                    if one.surrogate
                )
                if ready and (not ready[0][0] or len(ours) >= self._settings.surrogates):
                    member = ours[ready[0][-1]]
                    member.users += 1
                    return member
                if len(ours) < self._settings.surrogates:
                    self._members.append(member := _Member(architecture))
                    return member
            interrupt.sleep(TURN)

    def _start(self, member: _Member, cloud: Cloud, image: SourceImage, *, name: str, zone: str) -> Surrogate:
        try:
            made = self._started(cloud, image, Purpose(name), zone=zone)
        except BaseException:
            self._drop(member)
            raise
        with self._guard:
            member.surrogate = made
        return made

    def _started(self, cloud: Cloud, image: SourceImage, purpose: Purpose, *, zone: str = "") -> Surrogate:
        ledger = self.ledger(cloud)
        made = power.start(cloud, self._settings, image, zone=zone, ledger=ledger, purpose=purpose)
        try:
            made.connect().close()
        except KnitterError:
            self._keep(made)
            raise
        return made

    def _failed(self, member: _Member, error: KnitterError) -> None:
        if isinstance(error, _BROKEN):
            self._drop(member)
        if member.surrogate and not isinstance(error, InstanceLostError):
            self._keep(member.surrogate)

    def _drop(self, member: _Member) -> None:
        with self._guard:
            if member in self._members:
                self._members.remove(member)

    def _keep(self, surrogate: Surrogate) -> None:
        """Leave it on for a look, if the user wants that: with its group and volumes, until its timer ends it."""
        if self._settings.on_failure != "keep" or not self._ledger:
            return
        name = surrogate.instance.id
        end = (
            f"it ends itself within {surrogate.seconds // 60} min" if surrogate.ends_itself else "it ends with doit gc"
        )
        why = f"on_failure = keep; {end}"
        for one in filter(None, (name, surrogate.group, *surrogate.volumes)):
            self._ledger.leave(one, why)
        directory = self._settings.build_directory / ".surrogate" / name
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True)
            command = write_files(directory, name, surrogate.endpoint, surrogate.key)
            note(f"\nThe surrogate stays on for a look:\n{command}\n")
