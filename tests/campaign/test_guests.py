"""Seeds of the campaign with real machines: guests of the lab boot Debian and write the volumes."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from knitter.lab.service import Lab
from tests.campaign.draw import Case, Run, draw
from tests.campaign.row import LINE, Note
from tests.campaign.test_campaign import REGIONS
from tests.campaign.trial import Kind, Play, Trial
from tests.desk import Desk
from tests.folders import shared
from tests.lab.conftest import boto_client, wait_for

pytestmark = pytest.mark.boot

LIMIT: Final = 900.0
"""Seconds that a run has: a guest boots in one to three minutes without KVM."""
WORKERS: Final = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2
"""Guests at once: three on two processors lose their clocks."""
SEEDS: Final = (100, 104, 108, 114, 138)
"""One is killed, the others meet lost answers, cut connections, refusals, an interruption."""


def one_run(seed: int) -> Case:
    """The seed with its first faulty run alone: each run may boot a guest."""
    case = draw(seed)
    return Case(seed, case.road, case.runs[:1])


@pytest.fixture(scope="module")
def play(debian: Desk, request: pytest.FixtureRequest) -> Iterator[Play]:
    """Begins all seeds, a few at once, in the lab in which debian-12 was built; each in a region of its own."""
    lab = Lab(debian.site.cloud().endpoint, 0)
    image = str(debian.receipt("debian-12", "ami").facts["image"])
    trials = {}
    with shared(request, "guests") as root, ThreadPoolExecutor(WORKERS) as pool:
        for number, seed in enumerate(SEEDS):
            region = REGIONS[number]
            kind = Kind(copied(lab, image, region), "admin", ttl="30min", limit=LIMIT)
            trials[seed] = Trial(one_run(seed), lab, region, root / str(seed), kind)
        futures = {seed: pool.submit(trial.play) for seed, trial in trials.items()}
        yield lambda seed: (trials[seed], futures[seed])
        pool.shutdown(cancel_futures=True)


def copied(lab: Lab, image: str, region: str) -> str:
    """The AMI *image* in another region."""
    ec2: Any = boto_client(lab, "ec2", region=region)
    name: str = ec2.copy_image(Name="surrogate", SourceImageId=image, SourceRegion="us-east-1")["ImageId"]
    wait_for(lambda: ec2.describe_images(ImageIds=[name])["Images"][0]["State"] == "available")
    return name


def test_some_are_killed_and_some_carry_on() -> None:
    runs: list[Run] = [run for seed in SEEDS for run in one_run(seed).runs]
    assert {"SIGKILL", "itself"} <= {run.end for run in runs}


@pytest.mark.parametrize("seed", SEEDS)
def test_one_snapshot_and_one_ami_by_guests(seed: int, play: Play, record_property: Note) -> None:
    trial, future = play(seed)
    try:
        future.result()
    except BaseException as error:
        trial.row.result = f"FAILED: {error!r}"[:60]
        print(trial.case, *trial.outputs, sep="\n\n")
        raise
    finally:
        record_property(LINE, str(trial.row))
