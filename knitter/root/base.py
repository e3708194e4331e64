"""The base: a root bootstrapped from a lock and nothing else, kept in the cache by what it was made from.

    <cache>/roots/<key>-<sha256>.tar     whole: its name says what its content must be

A base that does not hold what its name says, as after a crash in the middle of writing, is removed and made again; so
it need not be synced to disk, which for 500 MB takes seconds.  Bases that nobody used for a while are removed.
"""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitter.cache import Cache
from knitter.command import command
from knitter.distro import archive
from knitter.errors import KnitterError
from knitter.files import sha256_of
from knitter.lock import Lock
from knitter.progress import say
from knitter.root.family import Family
from knitter.root.tree import Tree
from knitter.units import parse_duration

KEEP: Final = parse_duration("14d")
"""Seconds that a base stays without being used."""


_UNPACKING: Final = "unpacking the base"


@dataclass(frozen=True)
class Bases:
    """The cache of bases, shared by all recipes; safe for several processes at once."""

    directory: Path

    def find(self, key: str) -> Path | None:
        """The base of *key*; its content is not read."""
        return next(iter(sorted(self.directory.glob(f"{key}-*.tar"))), None)

    def partial(self, key: str) -> Path:
        """Where this process may write a base before it is whole."""
        self.directory.mkdir(parents=True, exist_ok=True)
        return self.directory / f".{key}.{os.getpid()}"

    def put(self, key: str, partial: Path) -> None:
        """Take in a base that is whole."""
        partial.replace(self.directory / f"{key}-{sha256_of(partial)}.tar")

    def prune(self, *, now: float) -> None:
        """Remove what was not used for KEEP, and what killed processes left.  now: seconds since 1970."""
        for path in self.directory.glob("*.tar"):
            if path.stat().st_mtime < now - KEEP:
                path.unlink(missing_ok=True)
        for path in self.directory.glob(".*"):
            if not Path("/proc", path.suffix.lstrip(".")).exists():
                path.unlink(missing_ok=True)


def ensure(tree: Tree, family: Family, lock: Lock, cache: Cache, *, room: int) -> None:
    """Fill *tree* with the base of *lock*, from the cache or anew.  room: bytes that a base has at most."""
    bases, key = Bases(cache.directory / "roots"), base_key(family.ingredients(), lock)
    known = bases.find(key)
    if known and _unpack(tree, known):
        return
    cache.require_space(room)
    family.bootstrap(tree, lock, cache)
    _keep(tree, bases, key)


def base_key(ingredients: str, lock: Lock) -> str:
    """sha256 of all that decides a base: the lock, whose newest date is the epoch, and its family's *ingredients*."""
    return hashlib.sha256(f"{ingredients}\n{lock.text()}".encode()).hexdigest()


def _unpack(tree: Tree, base: Path) -> bool:
    """Fill the tree from *base* if it holds what its name says; else remove it."""
    say("unpacking the base")
    os.utime(base)
    tree.run(_UNPACKING, command("mkdir", tree.path))
    with ThreadPoolExecutor(1) as pool:  # reading and unpacking side by side
        content = pool.submit(sha256_of, base)
        try:
            tree.run(_UNPACKING, archive.unpack(base, tree.path))
        except KnitterError:
            if base.stem.endswith(content.result()):
                raise
    if base.stem.endswith(content.result()):
        return True
    base.unlink(missing_ok=True)
    tree.run(_UNPACKING, command("rm", "-rf", tree.path))
    return False


def _keep(tree: Tree, bases: Bases, key: str) -> None:
    say("keeping the base")
    partial = bases.partial(key)
    try:
        tree.run("packing the base", archive.pack(tree.path, partial, epoch=tree.epoch))
        bases.put(key, partial)
    finally:
        partial.unlink(missing_ok=True)
    bases.prune(now=time.time())
