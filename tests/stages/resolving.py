"""The packages stage at work for one small recipe, of whatever family."""

import os
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from knitter import lock
from knitter.aws.session import Cloud
from knitter.errors import KnitterError
from knitter.lock import Lock
from knitter.recipe.model import DebianPackages, Recipe, RedhatPackages
from knitter.settings import Settings
from knitter.stages.build import Build
from knitter.stages.packages import Packages
from knitter.stages.stage import Outcome, ensure


def no_cloud() -> Cloud:
    raise AssertionError("this stage needs no cloud")


@dataclass
class Resolving(ABC):
    """A recipe `small` below *root*, whose packages section each family gives."""

    root: Path
    archive: Any

    @abstractmethod
    def section(self, **fields: Any) -> DebianPackages | RedhatPackages:
        """The packages section: a good one, over which *fields* are laid."""

    def build(self, *, settings: dict[str, Any] | None = None, **section: Any) -> Build:
        site = {"build_directory": self.root / "build", "cache_directory": self.root / "cache"}
        recipe = Recipe(name="small", directory=self.recipe, packages=self.section(**section))
        return Build(recipe, Settings.model_validate(site | (settings or {})), no_cloud)

    @property
    def recipe(self) -> Path:
        return self.root / "recipe"

    @property
    def lock(self) -> Path:
        return self.root / "build/small/packages.lock"

    @property
    def locked(self) -> Lock:
        return lock.read(self.lock)

    def cached(self, sha256: str) -> Path:
        return self.root / "cache/sha256" / sha256[:2] / sha256

    def ensure(self, **options: Any) -> Outcome:
        return ensure(Packages(), self.build(**options))

    def refusal(self, **options: Any) -> KnitterError:
        """The error of `ensure`; nothing may be left of what it did."""
        with pytest.raises(KnitterError) as caught:
            self.ensure(**options)
        assert not self.lock.exists()
        assert not (self.root / "build/small/packages.json").exists()
        assert not (self.root / "build/small/.packages").exists()
        assert caught.value.hint
        return caught.value

    def age(self) -> None:
        """Make the lock two days old."""
        old = time.time() - 2 * 86400
        os.utime(self.lock, (old, old))

    def pin(self) -> Path:
        """Make a lock and pin it."""
        self.ensure()
        path = self.recipe / "packages.lock"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.lock.read_bytes())
        return path
