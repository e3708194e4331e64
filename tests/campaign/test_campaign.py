"""The campaign: seeds, each a disk that must come to one snapshot and one AMI, whatever goes wrong on the way.

`pytest tests/campaign/test_campaign.py -k seed07` plays one again.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from knitter.lab.service import Lab
from tests.campaign.draw import ANYWHERE, SURROGATE, draw
from tests.campaign.row import LINE, Note
from tests.campaign.trial import Play, Trial

SEEDS: Final = range(40)
WORKERS: Final = 3
"""Seeds at once: a run mostly waits."""
REGIONS: Final = (
    *(f"ap-{place}" for place in ("east-1", "northeast-1", "northeast-2", "northeast-3", "south-1", "south-2")),
    *(f"ap-southeast-{number}" for number in (1, 2, 3, 4)),
    *("ca-central-1", "ca-west-1", "af-south-1", "il-central-1", "me-south-1", "sa-east-1"),
    *(f"eu-{place}" for place in ("central-2", "north-1", "south-1", "south-2", "west-1", "west-2", "west-3")),
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
)
"""A seed has one for itself, at its time: gc looks at a whole region."""


def test_every_kind_of_fault_has_its_turn() -> None:
    cases = [draw(seed) for seed in SEEDS]
    assert [draw(seed) for seed in SEEDS] == cases
    runs = [run for case in cases for run in case.runs]
    assert {name for run in runs for name in run.families} == set(ANYWHERE) | set(SURROGATE)
    killed = sum(run.end == "SIGKILL" for run in runs)
    assert 1 / 4 < killed / len(runs) < 1 / 2
    assert {run.end for run in runs} == {"SIGKILL", "SIGINT", "SIGTERM", "itself"}


@pytest.fixture(scope="session")
def play(request: pytest.FixtureRequest, hosts: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """Begins all seeds that were selected, a few at once; gives one of them."""
    seeds = [item.callspec.params["seed"] for item in request.session.items if _is_seed(item)]
    root: Path = tmp_path_factory.mktemp("campaign")
    trials = {seed: Trial(draw(seed), hosts, REGIONS[seed % len(REGIONS)], root / str(seed)) for seed in seeds}
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = {seed: pool.submit(trial.play) for seed, trial in trials.items()}
        yield lambda seed: (trials[seed], futures[seed])
        pool.shutdown(cancel_futures=True)


def _is_seed(item: pytest.Item) -> bool:
    """Of this campaign: other tests have seeds, too."""
    return item.name.startswith("test_one_snapshot_and_one_ami[")


@pytest.mark.lab
@pytest.mark.parametrize("seed", SEEDS, ids=[f"seed{seed:02}" for seed in SEEDS])
def test_one_snapshot_and_one_ami(seed: int, play: Play, record_property: Note) -> None:
    trial, future = play(seed)
    try:
        future.result()
    except BaseException as error:
        trial.row.result = f"FAILED: {str(error).splitlines()[0] if str(error) else error!r}"
        print(trial.case, *trial.outputs, sep="\n\n")
        raise
    finally:
        record_property(LINE, str(trial.row))
