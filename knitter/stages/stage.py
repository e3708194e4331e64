"""What every stage is, and `ensure`, which makes a stage's work exist.

`ensure` is idempotent and is the truth: it looks at the receipt, at the world, then makes what is missing.  Whoever
calls it (doit, a test, a REPL) may forget all it knew.
"""

import fcntl
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, JsonValue

from knitter import receipt
from knitter.errors import KnitterError
from knitter.machine.scratch import discard, full_told
from knitter.progress import say
from knitter.receipt import Receipt
from knitter.stages.build import Build


@dataclass(frozen=True)
class Work:
    """One making of one stage."""

    key: str
    directory: Path
    """Temporary, empty, on the file system of the build directory; gone afterwards."""
    log: Path
    previous: Receipt | None
    """What the stage left last time, whatever its key."""


@dataclass(frozen=True)
class Made:
    """What a stage made.  The outputs are files in the work's directory; `ensure` moves them to their place."""

    digest: str
    outputs: tuple[str, ...] = ()
    facts: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What `ensure` did and why."""

    receipt: Receipt
    action: Literal["kept", "adopted", "made"]
    reason: str = ""


class Stage(ABC):
    """One step of the corridor."""

    name: ClassVar[str]
    revision: ClassVar[int]
    """Raise it when the same inputs now make something else."""
    does: ClassVar[str]
    """One line for `doit list`, at most 50 characters."""
    consumes: ClassVar[tuple[type["Stage"], ...]] = ()
    """The stages whose digests this one's work depends on."""
    in_cloud: ClassVar[bool] = False
    """Whether its receipt belongs to one cloud."""

    @abstractmethod
    def sections(self, build: Build) -> dict[str, JsonValue]:
        """What of the recipe and the settings decides the work, by name as the user knows it (`disk.size`)."""

    @abstractmethod
    def make(self, build: Build, work: Work) -> Made:
        """Do the work.  Leaves nothing outside work.directory but the log, the cache, and what a cloud keeps by key."""

    def alive(self, build: Build, left: Receipt) -> bool:
        """Whether what the receipt *left* speaks of still exists and holds."""
        return all(_size(self.folder(build) / name) == size for name, size in left.outputs.items())

    def adopt(self, build: Build, key: str) -> Made | None:
        """What somebody else already made for *key*, if it can be found."""
        return None

    def folder(self, build: Build) -> Path:
        """Where this stage's receipt and outputs lie."""
        return build.directory / build.cloud_name if self.in_cloud else build.directory

    def receipt_path(self, build: Build) -> Path:
        """The receipt, doit's target."""
        return self.folder(build) / f"{self.name}.json"

    def log_path(self, build: Build) -> Path:
        """The full log of the last time it was made."""
        return build.directory / "logs" / f"{self.name}.log"

    def read(self, build: Build) -> Receipt:
        """The receipt of this stage, for a later one.  Raises KnitterError if it was never made."""
        left = receipt.read(self.receipt_path(build))
        if left is None:
            raise KnitterError(
                f"{build.recipe.name} has no {self.name} yet", hint=f"doit {self.name}:{build.recipe.name} makes it"
            )
        return left

    def inputs(self, build: Build) -> dict[str, str]:
        """Digest of each input by name.  Raises KnitterError if an earlier stage was never made."""
        own = {name: receipt.digest_of(value) for name, value in self.sections(build).items()}
        return own | {earlier.name: earlier().read(build).digest for earlier in self.consumes}

    def is_current(self, build: Build) -> bool:
        """Whether there is nothing to do.  Raises nothing: whatever is wrong, `ensure` will say it."""
        try:
            left = receipt.read(self.receipt_path(build))
            return left is not None and left.key == self._key(build) and self.alive(build, left)
        except Exception:  # noqa: BLE001 an exception in doit's uptodate ends the whole run with a traceback
            return False

    def why_stale(self, build: Build) -> str:
        """Why `ensure` would do something, as far as can be told without asking a cloud; "" if it would not."""
        try:
            inputs = self.inputs(build)
        except KnitterError as error:
            return error.brief
        left = receipt.read(self.receipt_path(build))
        if left and left.key == self._key(build) and (self.in_cloud or self.alive(build, left)):
            return ""
        return _reason(left, self._key(build), inputs)

    def clean(self, build: Build) -> None:
        """Remove the local files of this stage.  Touches nothing in a cloud."""
        left = receipt.read(self.receipt_path(build))
        for path in [self.folder(build) / name for name in (left.outputs if left else {})]:
            path.unlink(missing_ok=True)
        self.receipt_path(build).unlink(missing_ok=True)
        self.log_path(build).unlink(missing_ok=True)

    def _key(self, build: Build) -> str:
        return receipt.key_of(self.name, self.revision, self.inputs(build))


def ensure(stage: Stage, build: Build) -> Outcome:
    """Make *stage*'s work exist.  Safe to repeat and to run from several processes at once."""
    with _locked(build), full_told(build.directory):
        inputs = stage.inputs(build)
        key = receipt.key_of(stage.name, stage.revision, inputs)
        left = receipt.read(stage.receipt_path(build))
        if left and left.key == key and stage.alive(build, left):
            return Outcome(left, "kept")
        reason = _reason(left, key, inputs)
        say("", reason=reason)
        if found := stage.adopt(build, key):
            return Outcome(_settle(stage, build, inputs, found), "adopted", reason)
        with _workspace(stage, build, key, left) as work:
            made = stage.make(build, work)
            return Outcome(_settle(stage, build, inputs, made, work=work), "made", reason)


def section(name: str, model: BaseModel, *, without: tuple[str, ...] = ()) -> dict[str, JsonValue]:
    """The fields of a recipe section as inputs: `{"disk.size": ..., "disk.label": ...}`."""
    return {f"{name}.{key}": value for key, value in model.model_dump(mode="json").items() if key not in without}


def _reason(left: Receipt | None, key: str, inputs: dict[str, str]) -> str:
    if left is None:
        return "never made"
    changed = [name for name in {**left.inputs, **inputs} if left.inputs.get(name) != inputs.get(name)]
    if changed:
        return f"{', '.join(changed)} changed"
    return "what it made is gone or too old" if left.key == key else "knitter's way of making it changed"


def _settle(stage: Stage, build: Build, inputs: dict[str, str], made: Made, *, work: Work | None = None) -> Receipt:
    """Move the outputs into place and write the receipt, in an order that a crash cannot turn into a lie."""
    key = receipt.key_of(stage.name, stage.revision, inputs)
    path, folder = stage.receipt_path(build), stage.folder(build)
    folder.mkdir(parents=True, exist_ok=True)
    if work and made.outputs:
        path.unlink(missing_ok=True)  # first: the old receipt must never vouch for new files
        for name in made.outputs:
            receipt.move(work.directory / name, folder / name)
    outputs = {name: (folder / name).stat().st_size for name in made.outputs}
    new = Receipt(stage=stage.name, key=key, digest=made.digest, inputs=inputs, outputs=outputs, facts=made.facts)
    receipt.write(path, new)
    return new


@contextmanager
def _locked(build: Build) -> Iterator[None]:
    try:
        build.directory.mkdir(parents=True, exist_ok=True)
        file = (build.directory / ".lock").open("w")
    except OSError as error:
        raise KnitterError(
            f"cannot write in {build.directory}",
            details=error.strerror or str(error),
            hint="set build_directory in .doit.cfg, or KNITTER_BUILD_DIRECTORY, to a place you may write",
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another knitter that builds this recipe")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _workspace(stage: Stage, build: Build, key: str, left: Receipt | None) -> Iterator[Work]:
    """A clean temporary directory; what a killed run left in it is removed first."""
    directory = build.directory / f".{stage.name}"
    log = stage.log_path(build)
    discard(directory)
    directory.mkdir(parents=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    try:
        yield Work(key, directory, log, left)
    finally:
        discard(directory)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
