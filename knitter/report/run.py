"""What is known of a run while it goes: its running and its finished stages.  Values; times are monotonic seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from knitter.progress import Progress

Result = Literal["made", "adopted", "up to date", "failed"]

_WINDOW: Final = 5.0
"""Seconds over which a rate is measured."""
_STEP: Final = 0.5
"""Seconds between two samples: a stage may speak a thousand times a second."""


@dataclass(frozen=True)
class Running:
    """A stage at work, with the last it said."""

    task: str
    started: float
    text: str = ""
    done: int | None = None
    total: int | None = None
    unit: str = ""
    reason: str = ""
    samples: tuple[tuple[float, int], ...] = ()
    """(when, done) of the last seconds."""

    def hear(self, word: Progress, now: float) -> "Running":
        """This, after *word*."""
        return replace(
            self,
            text=word.text or self.text,
            done=word.done,
            total=word.total,
            unit=word.unit,
            reason=word.reason or self.reason,
            samples=self._sampled(word, now),
        )

    def rate(self, now: float) -> float | None:
        """Units a second, lately; None if it cannot be told."""
        if self.done is None or not self.samples or now - self.samples[0][0] < _STEP:
            return None
        since, before = self.samples[0]
        return (self.done - before) / (now - since)

    def share(self) -> float | None:
        """How much is done, 0 to 1; None without a total."""
        return None if self.done is None or not self.total else min(max(self.done / self.total, 0.0), 1.0)

    def _sampled(self, word: Progress, now: float) -> tuple[tuple[float, int], ...]:
        if word.done is None:
            return ()
        if word.unit != self.unit or self.done is None or word.done < self.done:
            return ((now, word.done),)
        kept = tuple(sample for sample in self.samples if now - sample[0] <= _WINDOW) or self.samples[-1:]
        return kept if kept and now - kept[-1][0] < _STEP else (*kept, (now, word.done))


@dataclass(frozen=True)
class Finished:
    """A stage that ended in this run."""

    task: str
    seconds: float
    result: Result
    why: str = ""
    """Why it ran; of a failed stage, what went wrong."""


def finished(running: Running, values: Mapping[str, object], now: float) -> Finished:
    """How a stage ended, from the values its action returned (`action`, `reason`)."""
    action, why = values.get("action"), str(values.get("reason") or running.reason)
    result: Result = "up to date" if action == "kept" else "adopted" if action == "adopted" else "made"
    return Finished(running.task, now - running.started, result, "" if action == "kept" else why)
