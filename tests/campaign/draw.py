"""What happens to one seed: by which road, with which faults, and how each run is ended.  Pure."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from tests.campaign.faults import Plan

Road = Literal["direct", "surrogate"]
End = Literal["itself", "SIGKILL", "SIGINT", "SIGTERM"]

ENDS: Final[tuple[End, ...]] = ("SIGKILL", "SIGKILL", "SIGINT", "SIGTERM", "itself", "itself")
"""How a run ends, as often as it stands here: a third is killed."""
FOREVER: Final = 1 << 30
REQUESTS: Final[dict[Road, int]] = {"direct": 55, "surrogate": 45}
"""That a run without faults makes, about."""


@dataclass(frozen=True)
class Run:
    """One faulty run."""

    plan: Plan
    end: End
    families: tuple[str, ...]
    spot: bool = False
    cuts: int = 0
    """Of the SSH connection."""


@dataclass(frozen=True)
class Case:
    """One seed."""

    seed: int
    road: Road
    runs: tuple[Run, ...]


Change = Callable[[Run, random.Random, Road], Run]


def _chances(run: Run, **more: float) -> Run:
    chances = {**run.plan.chances, **{name.replace("_", " "): chance for name, chance in more.items()}}
    return replace(run, plan=replace(run.plan, chances=chances))


def _expired(run: Run, rng: random.Random, road: Road, *, last: int) -> Run:
    first = rng.randint(2, REQUESTS[road])
    return replace(run, plan=replace(run.plan, expired=(first, min(first + last, FOREVER))))


ANYWHERE: Final[Mapping[str, Change]] = {
    "throttling": lambda run, rng, _: _chances(run, throttled=rng.uniform(0.05, 0.3)),
    "server errors": lambda run, rng, _: _chances(run, internal=rng.uniform(0.02, 0.1), unavailable=0.05),
    "resets": lambda run, rng, _: _chances(run, reset_before=0.05, reset_after=rng.uniform(0.03, 0.12)),
    "slow answers": lambda run, _, __: _chances(run, slow=0.1),
    "not known yet": lambda run, rng, _: replace(run, plan=replace(run.plan, settling=rng.uniform(0.5, 3))),
    "expired once": lambda run, rng, road: _expired(run, rng, road, last=0),
    "expired": lambda run, rng, road: _expired(run, rng, road, last=FOREVER),
}
SURROGATE: Final[Mapping[str, Change]] = {
    "SSH cut": lambda run, rng, _: replace(run, cuts=rng.randint(1, 4)),
    "no capacity": lambda run, rng, _: replace(run, plan=replace(run.plan, full=rng.randint(1, 2))),
    "interruption": lambda run, rng, _: replace(
        run, spot=True, plan=replace(run.plan, interrupted=rng.uniform(0.3, 5))
    ),
}
"""What may go wrong: name, and how it changes a run.  The second table has what only a surrogate meets."""
FAULTS: Final[Mapping[Road, Mapping[str, Change]]] = {"direct": ANYWHERE, "surrogate": {**ANYWHERE, **SURROGATE}}


def draw(seed: int) -> Case:
    """Even seeds go by the surrogate, odd ones directly; each kind of fault has its turn as the seeds go up."""
    rng = random.Random(seed)
    road: Road = "direct" if seed % 2 else "surrogate"
    turn = list(FAULTS[road])[seed // 2 % len(FAULTS[road])]
    runs = (_run(f"{seed}.{number}", turn, rng, road) for number in range(rng.choice((1, 1, 2, 3))))
    return Case(seed, road, tuple(runs))


def _run(name: str, turn: str, rng: random.Random, road: Road) -> Run:
    table = FAULTS[road]
    others = rng.sample([name for name in table if name != turn], rng.randint(0, 2))
    families = (turn, *others)
    end = rng.choice(ENDS)
    run = Run(Plan(name), end, families)
    for family in families:
        run = table[family](run, rng, road)
    if end == "itself":
        return run
    struck = rng.randint(3, REQUESTS[road]), rng.choice((0.0, rng.uniform(0, 1.5)))
    return replace(run, plan=replace(run.plan, struck=struck))
