"""Facts of the Debian family: distributions, their releases, their keyrings, their names of architectures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitter.errors import KnitterError, RecipeError
from knitter.suggest import nearest

ARCHITECTURES: Final = {"x86_64": "amd64", "arm64": "arm64"}
"""knitter's name of an architecture -> dpkg's."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution, and where a host keeps the public keys its archive is signed with."""

    name: str
    releases: tuple[str, ...]
    """Code names, oldest first."""
    keyring: Path
    keyring_package: str
    """The package of a Debian or Ubuntu host that brings the keyring."""


DISTRIBUTIONS: Final = (
    Distribution(
        name="Debian",
        releases=("bullseye", "bookworm", "trixie", "forky", "sid"),
        keyring=Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
        keyring_package="debian-archive-keyring",
    ),
    Distribution(
        name="Ubuntu",
        releases=("focal", "jammy", "noble", "resolute"),
        keyring=Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
        keyring_package="ubuntu-keyring",
    ),
)


def distribution_of(release: str) -> Distribution:
    """The distribution that has *release*.  Raises RecipeError naming the nearest one that is known."""
    for distribution in DISTRIBUTIONS:
        if release in distribution.releases:
            return distribution
    known = [name for distribution in DISTRIBUTIONS for name in distribution.releases]
    raise RecipeError(
        f"packages.release = {release!r} is no release that knitter knows",
        hint=f"{nearest(release, known)}; any other needs packages.repositories and packages.keyring",
    )


def host_keyring(release: str) -> Path:
    """The keyring of *release* on this host.  Raises KnitterError naming the package that brings it."""
    distribution = distribution_of(release)
    if not distribution.keyring.is_file():
        raise KnitterError(
            f"this host has no {distribution.keyring}, which verifies {distribution.name}'s packages",
            hint=f"install {distribution.keyring_package}, or set packages.keyring in the recipe",
        )
    return distribution.keyring
