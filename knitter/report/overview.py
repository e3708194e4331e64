"""The text of bare `doit`: the recipes, what is built, what is stale, what to do next.  Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from knitter.report.look import PLAIN, Look
from knitter.report.text import columns

State = Literal["current", "stale", "never"]
Standing = Literal["stale", "begun", "never", "current"]

_MOST: Final = 20
"""Recipes shown one by one."""
_WORDS: Final[dict[Standing, str]] = {"stale": "stale", "begun": "begun", "never": "not built", "current": "built"}
"""In the order in which they ask for attention."""


@dataclass(frozen=True)
class StageState:
    """How one stage of a recipe stands."""

    name: str
    state: State
    reason: str = ""
    """Why it is stale: `disk.size changed`."""


@dataclass(frozen=True)
class Row:
    """How one recipe stands."""

    recipe: str
    description: str
    stages: tuple[StageState, ...]
    image: str = ""
    """Id of its AMI, if there is one."""
    cloud: str = ""
    """`lab`, or the region."""

    @property
    def first(self) -> StageState | None:
        """The first stage that would run."""
        return next((stage for stage in self.stages if stage.state != "current"), None)

    @property
    def standing(self) -> Standing:
        """Never built if no stage ever was; begun if some never were; stale if one would run again."""
        if self.first is None:
            return "current"
        if all(stage.state == "never" for stage in self.stages):
            return "never"
        return "stale" if self.first.state == "stale" else "begun"


def overview(rows: Sequence[Row], *, look: Look = PLAIN, doit: str = "doit") -> str:
    """How the recipes stand, stale ones first, and the next command."""
    if not rows:
        return "There is no recipe yet.\nMake one: recipes/<name>/recipe.toml; README.md says what it holds."
    shown = _by_need(rows)[:_MOST]
    rest = len(rows) - len(shown)
    more = [f"  {look.signs.more} and {rest} more: {doit} list"] if rest else []
    lines = columns([_cells(row) for row in shown], look=look)
    return "\n".join([look.paint(_counts(rows), "bold"), "", lines, *more, "", *_next(rows, doit)])


def _cells(row: Row) -> tuple[str, str, str]:
    first, about = row.first, row.description
    if first is None:
        about = f"{row.image} in {row.cloud}" if row.image else about
    elif row.standing == "stale":
        about = f"from {first.name}: {first.reason}" if first.reason else f"from {first.name}"
    elif row.standing == "begun":
        about = f"{first.name} is next"
    return row.recipe, _WORDS[row.standing], about


def _counts(rows: Sequence[Row]) -> str:
    count = Counter(row.standing for row in rows)
    said = ", ".join(f"{count[state]} {word}" for state, word in _WORDS.items() if count[state])
    return f"{len(rows)} recipe{'s' if len(rows) > 1 else ''}: {said}"


def _next(rows: Sequence[Row], doit: str) -> list[str]:
    first = _by_need(rows)[0]
    if first.standing == "current":
        do = (f"{doit} boot:{first.recipe} --keep", "starts it here")
    else:
        do = (f"{doit} build:{first.recipe}", "makes its AMI, and only what is missing")
    return columns([do, (f"{doit} list", "every stage of every recipe")], look=PLAIN, indent=0).splitlines()


def _by_need(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: list(_WORDS).index(row.standing))
