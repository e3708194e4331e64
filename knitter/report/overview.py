"""The text of bare `doit`: the recipes, what is built, what is stale, what to do next.  Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from knitter.report.look import PLAIN, Look
from knitter.report.text import columns

State = Literal["current", "stale", "never"]

_MOST: Final = 20
"""Recipes shown one by one."""
_WORDS: Final[dict[State, str]] = {"stale": "stale", "never": "not built", "current": "built"}


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
    def state(self) -> State:
        """Never built if no stage ever was; stale if any would run."""
        if all(stage.state == "never" for stage in self.stages):
            return "never"
        return "stale" if self.first else "current"


def overview(rows: Sequence[Row], *, look: Look = PLAIN, doit: str = "doit") -> str:
    """How the recipes stand, stale ones first, and the next command."""
    if not rows:
        return "There is no recipe yet.\nMake one: recipes/<name>/recipe.toml; README.md says what it holds."
    shown = sorted(rows, key=lambda row: list(_WORDS).index(row.state))[:_MOST]
    rest = len(rows) - len(shown)
    more = [f"  {look.signs.more} and {rest} more: {doit} list"] if rest else []
    lines = columns([_cells(row) for row in shown], look=look)
    return "\n".join([look.paint(_counts(rows), "bold"), "", lines, *more, "", *_next(rows, doit)])


def _cells(row: Row) -> tuple[str, str, str]:
    first = row.first
    if first is None:
        return row.recipe, _WORDS["current"], f"{row.image} in {row.cloud}" if row.image else row.description
    stale = f"from {first.name}: {first.reason or _WORDS[first.state]}"
    return row.recipe, _WORDS[row.state], stale if row.state == "stale" else row.description


def _counts(rows: Sequence[Row]) -> str:
    count = Counter(row.state for row in rows)
    said = ", ".join(f"{count[state]} {word}" for state, word in _WORDS.items() if count[state])
    return f"{len(rows)} recipe{'s' if len(rows) > 1 else ''}: {said}"


def _next(rows: Sequence[Row], doit: str) -> list[str]:
    open_rows = sorted((row for row in rows if row.state != "current"), key=lambda row: row.state != "stale")
    name = (open_rows or rows)[0].recipe
    commands = [(f"{doit} list", "every stage of every recipe")]
    if open_rows:
        commands.insert(0, (f"{doit} build:{name}", "makes its AMI, and only what is missing"))
    else:
        commands.insert(0, (f"{doit} boot:{name} --keep", "starts it here"))
    return columns(commands, look=PLAIN, indent=0).splitlines()
