"""One run of the surrogate's road over desks with small disks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from knitter.aws.session import Cloud
from knitter.receipt import Receipt
from knitter.settings import Settings
from knitter.stages.build import Build
from knitter.stages.snapshot import Snapshot
from knitter.stages.stage import ensure
from knitter.stages.volume import Volume
from knitter.surrogate.pool import Pool
from tests.stages.small import Desk


@dataclass
class Road:
    """One run: its settings, its pool, its connection to the cloud.  What it said at its end is kept."""

    cloud: Cloud
    settings: dict[str, Any]
    desks: list[Desk]
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = Pool(self._settings(self.desks[0]))

    def _settings(self, desk: Desk) -> Settings:
        return Settings.model_validate({"build_directory": desk.root / "build", **self.settings})

    def build(self, number: int = 0) -> Build:
        desk = self.desks[number]
        return Build(desk.build().recipe, self._settings(desk), lambda: self.cloud, lambda: self.pool)

    def volume(self, number: int = 0) -> Receipt:
        return ensure(Volume(), self.build(number)).receipt

    def snapshot(self, number: int = 0) -> Receipt:
        self.volume(number)
        return ensure(Snapshot(), self.build(number)).receipt

    def close(self) -> list[str]:
        """End the run; what it says is still there."""
        return [str(one) for one in self.pool.close(self.said.append)]

    @contextmanager
    def refused(self) -> Iterator[None]:
        """The cloud no longer accepts our credentials."""
        good, self.cloud.keys = self.cloud.keys, ("AKIAIOSFODNN7EXAMPLE", "gone")
        self._reconnect()
        yield
        self.cloud.keys = good
        self._reconnect()

    def _reconnect(self) -> None:
        self.cloud._clients.clear()
        self.cloud.__dict__.pop("_session", None)

    def alive(self) -> list[str]:
        """Ids of instances that have not ended."""
        states: Any = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        found = self.cloud.ec2.describe_instances(Filters=states)["Reservations"]
        return [one["InstanceId"] for group in found for one in group["Instances"]]
