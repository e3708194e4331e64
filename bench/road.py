"""What a build asks of the cloud, by each road, and how soon a second recipe is written by a surrogate that runs.

The cloud is a lab whose instances are SSH servers of this host: they boot nothing, the rest is as everywhere.
"""

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from knitter import progress
from knitter.aws.session import Cloud
from knitter.lab import service
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY
from knitter.stages.ami import Ami
from knitter.stages.snapshot import Snapshot
from knitter.stages.stage import ensure
from knitter.stages.volume import Volume
from tests.campaign.conftest import register
from tests.lab.conftest import boto_client
from tests.stages.small import Desk
from tests.surrogate.road import Road

REGION = "eu-central-1"


def measure() -> list[tuple[str, str, str]]:
    """Rows of the table."""
    with tempfile.TemporaryDirectory(prefix="knitter-bench-") as name, _lab(Path(name)) as lab:
        image = register(boto_client(lab, "ec2"), boto_client(lab, "ebs"))
        cloud = Cloud("lab", REGION, endpoint=lab.endpoint, keys=(ACCESS_KEY, SECRET_KEY))
        desks = [Desk(Path(name) / str(number), lab.endpoint) for number in range(3)]
        for desk in desks:
            desk.root.mkdir()
            desk.make_disk()
        run = Road(cloud, {"via": "surrogate", "surrogate_image": image, "surrogate_user": "root"}, desks)
        direct = Road(cloud, {"via": "direct"}, desks[2:])
        calls(lab)
        _finish(run, 0)
        first = calls(lab)
        begin = time.monotonic()
        with _heard("writing") as heard:
            ensure(Volume(), run.build(1))
        _finish(run, 1)
        second = calls(lab)
        run.close()
        calls(lab)
        _finish(direct, 0)
        straight = calls(lab)
    return [
        ("calls of a build, surrogate", str(sum(first.values())), f"the next on the same one: {sum(second.values())}"),
        ("calls of a build, direct", str(sum(straight.values())), f"{straight['ebs:PutSnapshotBlock']} put blocks"),
        ("second recipe begins to write", f"{heard[0] - begin:.2f} s", "(within 2 s)"),
    ]


def _finish(run: Road, number: int) -> None:
    build = run.build(number)
    if build.via == "surrogate":
        ensure(Volume(), build)
    for stage in (Snapshot(), Ami()):
        ensure(stage, build)


def calls(lab: service.Lab) -> dict[str, int]:
    """What knitter asked for since the last time this was asked."""
    with urllib.request.urlopen(f"{lab.endpoint}/knitter/calls?reset") as answer:
        counted: dict[str, int] = json.load(answer)["knitter"]
    return counted


@contextmanager
def _heard(text: str) -> Iterator[list[float]]:
    """When *text* was said with something done, in time.monotonic()."""
    moments: list[float] = []

    def hear(word: progress.Progress) -> None:
        if word.text == text:
            moments.append(time.monotonic())

    end = progress.listen(hear)
    try:
        yield moments
    finally:
        end()


@contextmanager
def _lab(directory: Path) -> Iterator[service.Lab]:
    try:
        yield service.ensure(directory / "lab", module="tests.campaign.hosts")
    finally:
        service.stop(directory / "lab")
