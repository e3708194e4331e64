"""Roots of the Debian family: bootstrapped by mmdebstrap."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from knitter.cache import Cache
from knitter.command import Command, command
from knitter.distro import bootstrap, customise, debian, debian_customise, overlay
from knitter.distro.apt import Source, source_of
from knitter.lock import Lock
from knitter.progress import say
from knitter.recipe.model import Recipe
from knitter.recipe.packages import DebianPackages
from knitter.root import copies
from knitter.root.tree import Tree

_BOOTSTRAP: Final = "the bootstrap"
_FINISH: Final = "finishing the bootstrap"


@dataclass(frozen=True, slots=True)
class Debian:
    """See Family."""

    recipe: Recipe
    packages: DebianPackages
    tools: tuple[str, ...] = ("apt-ftparchive", "apt-get", "dpkg-deb", "mmdebstrap")
    growth: int = 6
    """4.9 measured with Debian 12's cloud kernel."""

    def inputs(self) -> dict[str, JsonValue]:
        """Apt's marks, its sources, its keyring."""
        inputs: dict[str, JsonValue] = {
            "packages.install": list(self.packages.install),
            "packages.repositories": [one.model_dump(mode="json") for one in self.packages.repositories],
        }
        if self.packages.keyring:
            inputs["packages.keyring"] = overlay.digest(self.recipe.path_of(self.packages.keyring))
        return inputs

    def ingredients(self) -> str:
        """Nothing but the way it is done."""
        return str(bootstrap.REVISION)

    def bootstrap(self, tree: Tree, lock: Lock, cache: Cache) -> None:
        """From a local repository made of the lock."""
        repository = tree.place / "repository"
        tree.run(_BOOTSTRAP, command("mkdir", repository))
        copies.bring(
            tree,
            lock,
            cache,
            fill=lambda files: bootstrap.fill_repository(repository, files),
            hashes=bootstrap.indexed,
            name=bootstrap.file_name,
        )
        follow = _follow(2 * len(lock.packages))
        tree.run(_BOOTSTRAP, bootstrap.bootstrap(lock.packages, repository, tree.path), on_line=follow)
        tree.run(_BOOTSTRAP, command("rm", "-rf", repository))
        say("making the initial RAM disk")
        tree.inside(_FINISH, bootstrap.finish())
        found = bootstrap.installed(tree.inside(_FINISH, bootstrap.settle()))
        copies.compare(found, {(package.name, package.version) for package in lock.packages})

    def plan_system(self) -> Iterator[Command]:
        """See Family."""
        return debian_customise.plan_system(self.recipe.system)

    def plan_management(self, lock: Lock) -> Iterator[Command]:
        """Apt's keyring, sources and marks."""
        keyring = image_keyring(self.packages)
        if self.packages.keyring:
            own = self.recipe.path_of(self.packages.keyring)
            yield customise.write_bytes(keyring, own.read_bytes())
        sources = image_sources(self.packages, lock)
        yield customise.write("/etc/apt/sources.list", debian_customise.sources_list(sources, keyring))
        yield debian_customise.mark_packages(self.packages.install)

    def plan_services(self) -> Iterator[Command]:
        """See Family."""
        return customise.plan_units(self.recipe.system, self.recipe.system.services)

    def forbid_daemons(self) -> Iterator[Command]:
        """See Family."""
        yield debian_customise.forbid_daemons()

    def allow_daemons(self) -> Iterator[Command]:
        """See Family."""
        yield debian_customise.allow_daemons()

    def fingerprint(self) -> Command:
        """See Family."""
        return debian_customise.fingerprint()

    def initramfs(self) -> Command:
        """See Family."""
        return debian_customise.update_initramfs()

    def packaged(self) -> Command:
        """See Family."""
        return debian_customise.packaged()

    def scrub(self) -> str:
        """See Family."""
        return debian_customise.SCRUB


def image_keyring(packages: DebianPackages) -> str:
    """Where the image keeps the public keys of its archive: the distribution's package brings them, or the recipe."""
    own = packages.keyring
    return f"/etc/apt/keyrings/{Path(own).name}" if own else str(debian.distribution_of(packages.release).keyring)


def image_sources(packages: DebianPackages, lock: Lock) -> list[Source]:
    """What the image's apt fetches from: the lock's repositories, and their components as the recipe has them."""
    wanted = [source_of(one, packages.release) for one in packages.repositories]
    components = {(one.url, one.suite): one.components for one in wanted}
    return [
        Source(one.url, one.suite, components.get((one.url.rstrip("/"), one.suite), ("main",)))
        for one in lock.repositories
    ]


_PACKAGE: Final = re.compile(r"(Unpacking|Setting up) ")


def _follow(total: int) -> Callable[[str], None]:
    """Says how far dpkg is: it speaks of each package twice."""
    done = 0

    def on_line(line: str) -> None:
        nonlocal done
        if _PACKAGE.match(line):
            done += 1
            say("bootstrapping", done=min(done, total), total=total, unit="steps")
        elif announced := bootstrap.step(line):
            say(f"bootstrapping: {announced}")

    return on_line
