"""What this run has made in the cloud and must not outlive it.  However the run ends, it is removed, or named.

The list in memory is what to expect; the tag of the run finds what a request made whose answer never came.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from knitter import interrupt
from knitter.aws import sweep
from knitter.aws.removal import REMOVE
from knitter.aws.session import Cloud
from knitter.errors import KnitterError

Kind = Literal["instance", "volume", "security group", "key pair"]

COMMANDS: Final[dict[Kind, str]] = {
    # in the order of removal: a volume is free when its instance has ended, a group when nothing uses it
    "instance": "aws ec2 terminate-instances --instance-ids {id} --region {region}",
    "volume": "aws ec2 delete-volume --volume-id {id} --region {region}",
    "security group": "aws ec2 delete-security-group --group-id {id} --region {region}",
    "key pair": "aws ec2 delete-key-pair --key-pair-id {id} --region {region}",
}
GIVEN_UP: Final = "interrupted"
_FIND: Final[dict[Kind, Callable[[Cloud], list[str]]]] = {
    "instance": sweep.instances,
    "volume": sweep.volumes,
    "security group": sweep.groups,
    "key pair": lambda _: [],  # costs nothing and opens nothing: one whose answer was lost is left to doit gc
}


@dataclass(frozen=True, slots=True)
class Left:
    """What is still there, and why."""

    kind: Kind
    id: str
    """"": whether there is one could not be asked."""
    region: str
    why: str

    def __str__(self) -> str:
        if not self.id:
            return f"{self.kind}: whether this run has left one is not known: {self.why}\n  doit gc"
        command = COMMANDS[self.kind].format(id=self.id, region=self.region)
        return f"{self.kind} {self.id} is still there: {self.why}\n  {command}"


class Ledger:
    """The list of them, in one cloud.  Thread-safe."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._made: dict[str, Kind] = {}
        self._stays: dict[str, str] = {}
        """Why; "" if that goes without saying."""
        self._guard = threading.Lock()

    def add(self, kind: Kind, name: str) -> None:
        """The thing *name* was just made."""
        with self._guard:
            self._made[name] = kind

    def strike(self, name: str) -> None:
        """The thing *name* is gone."""
        with self._guard:
            self._made.pop(name, None)
            self._stays.pop(name, None)

    def leave(self, name: str, why: str) -> None:
        """The thing *name* is to stay; the user is told *why*, unless that is "": then it was asked for."""
        with self._guard:
            self._stays[name] = why

    def close(self, tell: Callable[[str], None]) -> list[Left]:
        """Remove everything but what is to stay; gives all that is still there.  *tell* hears of each removal.

        A second Ctrl-C ends it: then what was not removed yet is among what is still there.
        """
        left: list[Left] = []
        with interrupt.cleaning():
            for kind in COMMANDS:
                names, unasked = self._expected(kind)
                left += [self._left(kind, "", unasked)] if unasked else []
                for name in names:
                    if why := GIVEN_UP if any(one.why == GIVEN_UP for one in left) else self._remove(kind, name, tell):
                        left.append(self._left(kind, name, why))
        told = [(name, why) for name, why in self._stays.items() if why]
        return left + [self._left(self._made[name], name, why) for name, why in told]

    def _left(self, kind: Kind, name: str, why: str) -> Left:
        return Left(kind, name, self._cloud.region, why)

    def _remove(self, kind: Kind, name: str, tell: Callable[[str], None]) -> str:
        """Why it could not be removed; "" if it was."""
        try:
            tell(f"removing {kind} {name}")
            REMOVE[kind](self._cloud, name)
        except KnitterError as error:
            return error.brief
        except KeyboardInterrupt:
            return GIVEN_UP
        self.strike(name)
        return ""

    def _expected(self, kind: Kind) -> tuple[list[str], str]:
        """Ids, and why there may be more; what is known is tried all the same."""
        with self._guard:
            known = [name for name, one in self._made.items() if one == kind]
        found, unasked = list[str](), ""
        try:
            found = _FIND[kind](self._cloud)
        except KnitterError as error:
            unasked = error.brief
        except KeyboardInterrupt:
            unasked = GIVEN_UP
        return [name for name in dict.fromkeys((*known, *found)) if name not in self._stays], unasked
