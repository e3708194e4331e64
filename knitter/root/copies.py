"""Packages on their way from the cache into a tree: what is installed is what was hashed."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from knitter.cache import Cache
from knitter.command import Command
from knitter.errors import KnitterError
from knitter.lock import Lock, Package
from knitter.progress import say
from knitter.root.tree import Tree


def bring(
    tree: Tree,
    lock: Lock,
    cache: Cache,
    *,
    fill: Callable[[Mapping[Package, Path]], Command],
    hashes: Callable[[str], Mapping[str, str]],
    name: Callable[[Package], str],
) -> None:
    """Copy the locked packages out of the cache.

    fill: the command that copies and hashes these files.  hashes: file name -> sha256 (hexadecimal) as it printed them.
    name: the file name of a package's copy.  Raises KnitterError if a copy is not what the lock says.
    """
    say("verifying packages", total=len(lock.packages), unit="packages")
    files = {package: cache.path(package.sha256) for package in lock.packages}
    found = hashes(tree.run("copying the packages", fill(files)))
    damaged = [path for package, path in files.items() if found.get(name(package)) != package.sha256]
    if damaged or found != {name(package): package.sha256 for package in files}:
        for path in damaged:
            path.unlink(missing_ok=True)
        raise KnitterError(
            "packages in the cache are not what the lock says; they are removed",
            details="\n".join(map(str, damaged)),
            hint="run again: they are fetched anew",
        )


def compare(found: AbstractSet[tuple[str, ...]], wanted: AbstractSet[tuple[str, ...]]) -> None:
    """Raise KnitterError naming what of *found*, the packages in a tree, is not in *wanted*, and the reverse."""
    if found != wanted:
        raise KnitterError(
            "what was installed is not what the lock says",
            details="\n".join(sorted(" ".join(one) for one in found ^ wanted)),
        )
