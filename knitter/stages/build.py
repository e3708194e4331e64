"""One recipe at one site: all that a stage may ask for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from knitter.aws.session import Cloud
from knitter.errors import KnitterError
from knitter.recipe.model import Recipe
from knitter.settings import Settings, Via
from knitter.surrogate.pool import Pool


def _none() -> NoReturn:
    raise AssertionError("this build was given no pool of surrogates")


def _alone(name: str) -> NoReturn:
    raise KnitterError(f"there is no recipe {name!r} here")


@dataclass(frozen=True)
class Build:
    """What is to be built, and where."""

    recipe: Recipe
    settings: Settings
    cloud: Callable[[], Cloud]
    """Connects on the first call; starts the lab if that is the cloud."""
    pool: Callable[[], Pool] = _none
    """The surrogates of this run."""
    other: Callable[[str], "Build"] = _alone
    """The build of another recipe of the site.  Raises RecipeError."""

    @property
    def directory(self) -> Path:
        """Where this recipe's files lie."""
        return self.settings.build_directory / self.recipe.name

    @property
    def cloud_name(self) -> str:
        """`lab`, or the region, without connecting."""
        return "lab" if self.settings.cloud == "lab" else self.settings.region

    @property
    def via(self) -> Via:
        """How the disk becomes a snapshot: as the environment says, else the recipe, else .doit.cfg."""
        own = None if self.settings.is_overridden("via") else self.recipe.via
        return own or self.settings.via
