"""The rows of the live table: one line for each running stage, fitted to the terminal's width.  Pure."""

from collections.abc import Sequence
from typing import Final

from knitter.report.look import PLAIN, Look, Style, clean
from knitter.report.run import Running
from knitter.report.text import clock
from knitter.units import human_size

Row = tuple[tuple[str, Style], ...]
"""Pieces of a line, each with its style."""

_BAR: Final = 12
_FIGURES: Final[tuple[tuple[int, Style], ...]] = ((_BAR, "green"), (5, ""), (10, ""), (12, ""), (7, "dim"))
"""Width and style of the bar, the percentage, the amount, the rate, the time."""
_BY_IMPORTANCE: Final = (4, 1, 3, 0, 2)
"""Which figures a narrow terminal shows first."""
_TEXT_ROOM: Final = 16
"""Columns kept for what a stage says before a less important figure is shown."""


def rows(stages: Sequence[Running], now: float, *, look: Look = PLAIN, most: int = 20) -> list[Row]:
    """A row for each stage, the longest running first; at most *most*, the last one then says how many more."""
    oldest = sorted(stages, key=lambda stage: stage.started)
    shown = oldest if len(stages) <= most else oldest[: most - 1]
    name_room = min(max((len(stage.task) for stage in shown), default=0), max(look.width // 3, 6))
    figures = [_figures(stage, now, look) for stage in shown]
    chosen, text_room = _choice(figures, look.width - 1 - name_room - 2)
    table: list[Row] = []
    for stage, own in zip(shown, figures, strict=True):
        text = look.fit(" ".join(clean(stage.text or stage.reason).split()), text_room)
        numbers = [(f"  {own[i]:>{_FIGURES[i][0]}}", _FIGURES[i][1]) for i in chosen]
        name = look.fit(stage.task, name_room).ljust(name_room)
        table.append(((name, "bold"), (f"  {text.ljust(text_room)}", ""), *numbers))
    if hidden := len(stages) - len(shown):
        table.append(((look.fit(f"{look.signs.more} and {hidden} more running", look.width - 1), "dim"),))
    return table


def _figures(stage: Running, now: float, look: Look) -> tuple[str, ...]:
    share, rate, is_bytes = stage.share(), stage.rate(now), stage.unit == "B"
    full = round((share or 0) * _BAR)
    amount = "" if stage.done is None else human_size(stage.done) if is_bytes else f"{stage.done} {stage.unit}"
    return (
        "" if share is None else look.signs.full * full + look.signs.empty * (_BAR - full),
        "" if share is None else f"{int(share * 100)} %",
        amount[: _FIGURES[2][0]],
        f"{human_size(rate)}/s" if rate is not None and is_bytes else "",
        clock(now - stage.started),
    )


def _choice(figures: Sequence[tuple[str, ...]], room: int) -> tuple[list[int], int]:
    """The figures that some stage has and that fit, in order, and the columns left for the text."""
    chosen: list[int] = []
    for index in _BY_IMPORTANCE:
        width = _FIGURES[index][0] + 2
        fits = room - width >= _TEXT_ROOM or (not chosen and room >= width)
        if fits and any(own[index] for own in figures):
            chosen.append(index)
            room -= width
    return sorted(chosen), max(room, 0)
