"""What of an upload AWS has acknowledged, in a local file, so that a killed upload puts only what is missing.

First line: the snapshot's id.  Then one block index a line, appended when AWS has acknowledged it; at last `complete`.
A volume that a surrogate writes has one, too: there a line `begun` comes before the first block is sent.
A line without its newline was cut off by a crash and does not count.
"""

import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from knitter.receipt import write_atomically

_BEGUN: Final = "begun"
_COMPLETE: Final = "complete"


class Journal:
    """The acknowledged blocks of one snapshot.  Thread-safe."""

    def __init__(self, path: Path, snapshot: str) -> None:
        """Continue the journal at *path* if it is of *snapshot*; else begin it anew."""
        lines = _whole_lines(path)
        self.path = path
        known = lines if lines[:1] == [snapshot] else [snapshot]
        self._begun = _BEGUN in known
        self._complete = _COMPLETE in known
        self._blocks = frozenset(int(line) for line in known[1:] if line.isdecimal())
        self._guard = threading.Lock()
        write_atomically(path, "".join(f"{line}\n" for line in known).encode(), writer="new")
        self._file = path.open("a", buffering=1)

    @property
    def blocks(self) -> frozenset[int]:
        """Indexes of the blocks that were acknowledged when the journal was opened."""
        return self._blocks

    @property
    def complete(self) -> bool:
        """Whether CompleteSnapshot was accepted."""
        return self._complete

    @property
    def begun(self) -> bool:
        """Whether blocks may have been sent: what they were sent to is fresh no more."""
        return self._begun

    def add(self, index: int) -> None:
        """Block *index* is acknowledged."""
        with self._guard:
            self._file.write(f"{index}\n")

    def add_begun(self) -> None:
        """Blocks will be sent now."""
        with self._guard:
            self._begun = True
            self._file.write(f"{_BEGUN}\n")

    def add_complete(self) -> None:
        """CompleteSnapshot is accepted."""
        with self._guard:
            self._complete = True
            self._file.write(f"{_COMPLETE}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def _whole_lines(path: Path) -> list[str]:
    try:
        text = path.read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    return text.split("\n")[:-1]
