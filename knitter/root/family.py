"""What making a root asks of a family of distributions."""

from collections.abc import Iterator
from typing import Protocol

from pydantic import JsonValue

from knitter.cache import Cache
from knitter.command import Command
from knitter.lock import Lock
from knitter.root.tree import Tree


class Family(Protocol):
    """How the packages of one recipe become a root.  Commands are run in the tree, in the order they come in."""

    @property
    def tools(self) -> tuple[str, ...]:
        """What the host must have for it."""

    @property
    def growth(self) -> int:
        """Bytes of a root for one byte of packages, at most."""

    def inputs(self) -> dict[str, JsonValue]:
        """What of `packages` the image itself remembers, besides what the lock says; by name as the user knows it."""

    def ingredients(self) -> str:
        """What decides a base besides the lock; another text whenever the same lock gives another base."""

    def bootstrap(self, tree: Tree, lock: Lock, cache: Cache) -> None:
        """Make the tree of *lock* from the cache's files, and nothing else.  Raises KnitterError."""

    def plan_system(self) -> Iterator[Command]:
        """Host name, locale, time zone and the like: before the overlay, which may say otherwise."""

    def plan_management(self, lock: Lock) -> Iterator[Command]:
        """What the image's package manager must know."""

    def plan_services(self) -> Iterator[Command]:
        """What starts at boot: after the overlay, which may bring it."""

    def forbid_daemons(self) -> Iterator[Command]:
        """Keep the recipe's scripts from starting daemons."""

    def allow_daemons(self) -> Iterator[Command]:
        """Undo `forbid_daemons`."""

    def fingerprint(self) -> Command:
        """Prints a hash of all that an initial RAM disk is made from."""

    def initramfs(self) -> Command:
        """Make each initial RAM disk anew."""

    def packaged(self) -> Command:
        """Prints the absolute paths that came in packages, one a line."""

    def scrub(self) -> str:
        """Shell text that removes what package management leaves; see `distro.scrub`."""
