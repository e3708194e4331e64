"""Stage `packages`: resolve, fetch and verify.  The only stage that uses the distribution's network.

    recipe.packages --resolve--> packages.lock --fetch--> cache
    recipes/<name>/packages.lock (a pin) ------^

A lock older than the setting `refresh` is resolved anew; a pin never is.
"""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import JsonValue

from knitter import lock
from knitter.cache import Cache
from knitter.errors import KnitterError
from knitter.fetch import Download, NotOnMirrorError, fetch
from knitter.files import sha256_of
from knitter.lock import Lock
from knitter.machine import needs
from knitter.receipt import Receipt
from knitter.recipe.base import path_text
from knitter.recipe.model import Recipe
from knitter.stages.build import Build
from knitter.stages.stage import Made, Stage, Work, section

if TYPE_CHECKING:
    from knitter.resolve.place import Place

OUTPUT: Final = "packages.lock"


class Packages(Stage):
    """Turns names of packages into hashes of files, and brings the files."""

    name = "packages"
    revision = 1
    does = "resolve, fetch and verify packages"

    def sections(self, build: Build) -> dict[str, JsonValue]:
        """The section, and the files of the recipe's folder that it speaks of."""
        recipe = build.recipe
        inputs = section("packages", recipe.packages)
        for path, name in recipe.packages.key_files.items():
            if (file := recipe.path_of(name)).is_file():
                inputs[f"packages.{path_text(path)}"] = sha256_of(file)
        if (pin := _pin(recipe)).is_file():
            inputs[OUTPUT] = sha256_of(pin)
        return inputs

    def alive(self, build: Build, left: Receipt) -> bool:
        """Whether the lock is there, young enough unless pinned, and the cache holds its packages."""
        if not self._is_whole(build, left) or not (_pin(build.recipe).is_file() or self._is_young(build)):
            return False
        cache = Cache(build.settings.cache_directory)
        return all(cache.find(sha256, size) for sha256, size in self.lock(build).files())

    def lock(self, build: Build) -> Lock:
        """What was resolved, for the next stages.  Raises KnitterError."""
        return lock.read(self.folder(build) / OUTPUT)

    def make(self, build: Build, work: Work) -> Made:
        """Write packages.lock and fill the cache."""
        needs.require(build.recipe.needs)  # before anything is fetched
        output = work.directory / OUTPUT
        if (pin := _pin(build.recipe)).is_file():
            _bring_pinned(build, work, pin)
            shutil.copyfile(pin, output)
        elif self._can_stay(build, work) and _still_there(build, work, self.lock(build)):
            shutil.copy2(self.folder(build) / OUTPUT, output)  # with its time: it was not resolved anew
        else:
            output.write_text(self._resolved(build, work))
        return _made(output)

    def _resolved(self, build: Build, work: Work) -> str:
        """The text of a new lock; the old one's if no package changed, so that nothing after runs again."""
        new = _resolve(build, work)
        _bring(build, work, new)
        with suppress(KnitterError):
            old = self.lock(build)
            if old.same_packages(new):
                return (self.folder(build) / OUTPUT).read_text()
        return new.text()

    def _is_young(self, build: Build) -> bool:
        age = time.time() - (self.folder(build) / OUTPUT).stat().st_mtime
        return age < build.settings.refresh

    def _is_whole(self, build: Build, left: Receipt) -> bool:
        """Whether the lock is the very one that *left* speaks of."""
        path = self.folder(build) / OUTPUT
        return path.is_file() and sha256_of(path) == left.digest

    def _can_stay(self, build: Build, work: Work) -> bool:
        """Whether the lock is what this very key left, and not too old: only the cache lost something."""
        left = work.previous
        return left is not None and left.key == work.key and self._is_whole(build, left) and self._is_young(build)


def _made(output: Path) -> Made:
    read = lock.read(output)
    facts: dict[str, JsonValue] = {
        "packages": len(read.packages),
        "bytes": sum(package.size for package in read.packages),
        "released": {f"{one.url} {one.suite}": one.date.isoformat() for one in read.repositories},
    }
    return Made(digest=sha256_of(output), outputs=(OUTPUT,), facts=facts)


def _pin(recipe: Recipe) -> Path:
    return recipe.directory / OUTPUT


def _bring(build: Build, work: Work, wanted: Lock) -> None:
    """Fetch what the cache lacks, and verify it."""
    from knitter.resolve import verify  # noqa: PLC0415 doit list must stay quick

    downloads = [Download(one.name, one.url, one.sha256, one.size) for one in wanted.packages]
    cache = Cache(build.settings.cache_directory)
    fetch(downloads, cache, parallel=build.settings.downloads, mirrors=build.settings.mirrors)
    verify(build.recipe, wanted, _place(build, work))


def _still_there(build: Build, work: Work, wanted: Lock) -> bool:
    """Bring what the cache lacks; False if the archive has moved on since the lock was written."""
    try:
        _bring(build, work, wanted)
    except NotOnMirrorError:
        return False
    return True


def _bring_pinned(build: Build, work: Work, pin: Path) -> None:
    """Bring what *pin* says, if it is of this recipe.  Raises KnitterError."""
    renew = f"to renew it: remove {pin}, run doit packages:{build.recipe.name}, and copy packages.lock back from build/"
    pinned = lock.read(pin)
    if trouble := _disagreement(pinned, build.recipe):
        raise KnitterError(f"{pin} {trouble}", hint=renew)
    try:
        _bring(build, work, pinned)
    except NotOnMirrorError as error:
        hint = f"set mirrors in .doit.cfg to an archive that keeps old packages, fill the cache, or {renew}"
        raise KnitterError(f"{error.brief}, which {pin} pins", details=error.details, hint=hint) from None


def _disagreement(pinned: Lock, recipe: Recipe) -> str:
    """What in *pinned* is not as the recipe says; "" if all is."""
    wanted = recipe.packages
    asked = f"{wanted.family} {wanted.release} {wanted.architecture}"
    found = f"{pinned.family} {pinned.release} {pinned.architecture}"
    if asked != found:
        return f"is for {found}, the recipe for {asked}"
    names = {package.name for package in pinned.packages}
    if missing := [name for name in wanted.install if name not in names]:
        return f"lacks what the recipe installs: {', '.join(missing)}"
    if excess := [name for name in wanted.remove if name in names]:
        return f"has what the recipe removes: {', '.join(excess)}"
    if {key.fingerprint for key in pinned.keys} != set(wanted.fingerprints):
        return "has other keys than the recipe"
    return ""


def _resolve(build: Build, work: Work) -> Lock:
    from knitter.resolve import resolve  # noqa: PLC0415 doit list must stay quick

    return resolve(build.recipe, _place(build, work))


def _place(build: Build, work: Work) -> "Place":
    from knitter.resolve.place import Place  # noqa: PLC0415 doit list must stay quick

    settings = build.settings
    cache = Cache(settings.cache_directory)
    return Place(work.directory / "resolve", cache, settings.mirrors, settings.downloads, work.log)
