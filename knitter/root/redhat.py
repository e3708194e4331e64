"""Roots of the RPM family: installed by the host's rpm, looked through by the image's."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from knitter.cache import Cache
from knitter.command import Command, command
from knitter.distro.redhat import customise, dracut, install, proof, releases
from knitter.errors import KnitterError
from knitter.lock import Lock
from knitter.progress import say
from knitter.recipe.model import Recipe
from knitter.recipe.redhat import RedhatPackages
from knitter.root import copies
from knitter.root.tree import Tree

_INSTALL: Final = "installing the packages"
_DATABASE: Final = "making the database of packages"


@dataclass(frozen=True, slots=True)
class Redhat:
    """See Family."""

    recipe: Recipe
    packages: RedhatPackages
    tools: tuple[str, ...] = ("rpm",)
    growth: int = 7
    """3.3 measured with a kernel of Debian's; the copies of the packages and dracut's own work come on top."""

    def inputs(self) -> dict[str, JsonValue]:
        """Nothing: the lock has all, the keys that the image's rpm trusts too."""
        return {}

    def ingredients(self) -> str:
        """Nothing but the way it is done."""
        return f"{self.packages.family} {install.REVISION}"

    def bootstrap(self, tree: Tree, lock: Lock, cache: Cache) -> None:
        """In one transaction of the host's rpm; its database becomes what the image's rpm can read."""
        tree.run(_INSTALL, install.prepare(tree.path, systemd=self._systemd))
        copies.bring(
            tree,
            lock,
            cache,
            fill=lambda files: install.fill(tree.path, files),
            hashes=install.hashes,
            name=install.file_name,
        )
        _import_keys(tree, lock, cache)
        _install(tree, lock)
        _adopt_database(tree, lock)
        say("making the initial RAM disk")
        with ThreadPoolExecutor(1) as pool:  # beside it: dracut keeps one processor busy, for most of the time
            verified = pool.submit(copy_context().run, _verify, tree)
            tree.inside("making the initial RAM disk", dracut.make())
            verified.result()
        tree.inside("finishing the bootstrap", install.clear())

    def plan_system(self) -> Iterator[Command]:
        """See Family."""
        return customise.plan_system(self.recipe.system, systemd=self._systemd)

    def plan_management(self, lock: Lock) -> Iterator[Command]:
        """Nothing: a package of the distribution brings its repositories."""
        yield from ()

    def plan_services(self) -> Iterator[Command]:
        """See Family."""
        return customise.plan_services(self.recipe.system)

    def forbid_daemons(self) -> Iterator[Command]:
        """Nothing: systemctl starts nothing in a chroot, and what an init script starts ends with the script."""
        yield from ()

    def allow_daemons(self) -> Iterator[Command]:
        """See `forbid_daemons`."""
        yield from ()

    def fingerprint(self) -> Command:
        """See Family."""
        return dracut.fingerprint()

    def initramfs(self) -> Command:
        """See Family."""
        return dracut.make()

    def packaged(self) -> Command:
        """See Family."""
        return proof.packaged()

    def scrub(self) -> str:
        """See Family."""
        return proof.SCRUB

    @property
    def _systemd(self) -> bool:
        return releases.has_systemd(self.packages.release)


def _import_keys(tree: Tree, lock: Lock, cache: Cache) -> None:
    for key in lock.keys:
        copy = Path(f"{tree.path}{install.KEYS}", key.fingerprint)
        tree.run(_INSTALL, command("cp", cache.verified(key.sha256), copy))
        tree.run(_INSTALL, install.import_key(tree.path, copy, epoch=tree.epoch))


def _install(tree: Tree, lock: Lock) -> None:
    lines: list[str] = []
    follow = _follow(len(lock.packages), lines)
    tree.run(_INSTALL, install.install(tree.path, epoch=tree.epoch), on_line=follow)
    if failed := install.failed_scriptlets(lines):
        raise KnitterError(
            f"{_INSTALL}: scriptlets failed, which rpm itself lets pass",
            details="\n".join([*failed, f"log: {tree.log}"]),
            hint="look in the log for what they said; a package whose scriptlet needs another must require it",
        )
    found = tree.run(_INSTALL, install.list_installed(tree.path, epoch=tree.epoch))
    copies.compare(install.installed(found), install.locked(lock.packages))


def _adopt_database(tree: Tree, lock: Lock) -> None:
    """Make the image's own rpm read what was installed."""
    wanted = install.locked(lock.packages)
    read = tree.inside(_DATABASE, install.adopt())
    if read != install.NO_RPM and install.installed(read) != wanted:
        say("making the database of packages anew, by the image's rpm")
        copies.compare(install.installed(tree.inside(_DATABASE, install.rebuild())), wanted)


def _verify(tree: Tree) -> None:
    found = proof.differences(tree.inside("verifying the installed files", proof.verify()).splitlines())
    if found:
        raise KnitterError(
            "1 installed file is not as the packages brought it"
            if len(found) == 1
            else f"{len(found)} installed files are not as the packages brought them",
            details="\n".join([*found, "(see rpm -V; what scriptlets make must be configuration or ghost)"]),
        )


_STEP: Final = re.compile(r"\S+-[^-\s]+-[^-\s]+")


def _follow(total: int, lines: list[str]) -> Callable[[str], None]:
    """Keeps the *lines*, and says how far rpm is: it names each package, and nothing else, as it begins with it."""
    done = 0

    def on_line(line: str) -> None:
        nonlocal done
        lines.append(line)
        if _STEP.fullmatch(line):
            done += 1
            say("installing", done=min(done, total), total=total, unit="packages")

    return on_line
