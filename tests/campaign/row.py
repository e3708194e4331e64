"""The campaign's table: each test that plays a seed leaves a line among its properties."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

Note = Callable[[str, object], None]
"""pytest's record_property."""
LINE: Final = "campaign"
"""The property's name."""


@dataclass
class Row:
    """One line of the table."""

    seed: int
    road: str
    faults: Counter[str] = field(default_factory=Counter)
    ends: list[str] = field(default_factory=list)
    result: str = "failed"

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()) if count)
        return f"{self.seed:4} {self.road:9} {self.result:8} {', '.join(self.ends)}; {faults}"
