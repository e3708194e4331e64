"""One checkout of knitter at work: its settings, its recipes, and the connection to its cloud."""

import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from knitter import settings as settings_file
from knitter.aws.session import Cloud
from knitter.recipe import load
from knitter.settings import Settings
from knitter.stages.build import Build
from knitter.surrogate.pool import Pool


@dataclass
class Site:
    """Everything below one folder that holds .doit.cfg and recipes/."""

    root: Path
    _cloud: Cloud | None = field(default=None, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @cached_property
    def settings(self) -> Settings:
        """The settings.  Raises KnitterError."""
        return settings_file.load(self.root / ".doit.cfg")

    @property
    def recipes(self) -> Path:
        """The folder of the recipes."""
        return self.root / "recipes"

    @property
    def lab(self) -> Path:
        """The folder of the embedded cloud."""
        return self.settings.build_directory / "lab"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The recipes, sorted."""
        return load.names(self.recipes)

    def build(self, name: str) -> Build:
        """What the stages of the recipe *name* work with.  Raises RecipeError."""
        return Build(load.load(self.recipes, name), self.settings, self.cloud, lambda: self.pool, self.build)

    @cached_property
    def pool(self) -> Pool:
        """The surrogates of this run: none, until one is needed."""
        return Pool(self.settings)

    def cloud(self) -> Cloud:
        """The cloud of the settings, connected once; the lab is started if need be.  Raises CloudError."""
        with self._guard:
            if self._cloud is None:
                self._cloud = self._connect()
            return self._cloud

    def _connect(self) -> Cloud:
        settings = self.settings
        if settings.cloud == "aws":
            return Cloud(settings.region, settings.region, profile=settings.profile, endpoint=settings.endpoint)
        from knitter.lab import service, signature  # noqa: PLC0415 doit list must stay quick

        endpoint = settings.endpoint or service.ensure(self.lab).endpoint
        return Cloud("lab", settings.region, endpoint=endpoint, keys=(signature.ACCESS_KEY, signature.SECRET_KEY))
