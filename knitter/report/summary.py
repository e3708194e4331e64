"""What a run did, in a few lines.  Pure."""

from collections.abc import Sequence
from typing import Final

from knitter.report.look import PLAIN, Look
from knitter.report.run import Finished
from knitter.report.text import columns, human_duration, listing

_MOST: Final = 40
"""Stages in a table; each left its line before."""


def end_line(stage: Finished, *, look: Look = PLAIN, name_width: int = 0) -> str:
    """The line that a finished stage leaves: `✓ disk:debian-12    6.2 s  disk.size changed`."""
    failed = stage.result == "failed"
    sign = look.paint(look.signs.failed, "red") if failed else look.paint(look.signs.done, "green")
    why = f"adopted: {stage.why}" if stage.result == "adopted" else stage.why
    text = f"{stage.task.ljust(name_width)}  {human_duration(stage.seconds):>12}  {why}".rstrip()
    return f"{sign} {look.fit(text, look.width - 2)}"


def table(stages: Sequence[Finished], *, look: Look = PLAIN) -> str:
    """A row for each stage: name, time, result, why; failed ones first, only those if there are very many."""
    failed = [stage for stage in stages if stage.result == "failed"]
    others = [stage for stage in stages if stage.result != "failed"]
    rows = failed if len(stages) > _MOST else failed + others
    cells = [(row.task, human_duration(row.seconds), row.result, (row.why.splitlines() or [""])[0]) for row in rows]
    return columns(cells, look=look, right=frozenset({1}))


def total(stages: Sequence[Finished], *, current: int, seconds: float) -> str:
    """One line: `2 made, 1 adopted, 3 up to date in 41.2 s`."""
    counts = {"failed": 0, "made": 0, "adopted": 0, "up to date": current}
    for stage in stages:
        counts[stage.result] += 1
    said = [f"{count} {result}" for result, count in counts.items() if count]
    return f"{', '.join(said) or 'nothing to do'} in {human_duration(seconds)}"


def not_reached(tasks: Sequence[str], *, look: Look = PLAIN) -> str:
    """The stages a failure kept from running, a line for all recipes that lack the same: `not reached: ami of x, y`."""
    missed: dict[str, list[str]] = {}
    for task in tasks:
        stage, _, recipe = task.partition(":")
        missed.setdefault(recipe, []).append(stage)
    together: dict[str, list[str]] = {}
    for recipe, stages in missed.items():
        together.setdefault(", ".join(stages), []).append(recipe)
    lines = [f"not reached: {stages} of {listing(recipes, most=4)}" for stages, recipes in together.items()]
    return "\n".join(look.fit(line, look.width) for line in lines)
