"""What the host's dnf is asked and what it answers.  Pure; `solve` is the program that asks it, in the host's Python.

metadata that was verified, on disk --solve--> name, EVR, architecture, sha256, size and place of each package
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from knitter.command import Command, command
from knitter.lock import Package
from knitter.recipe.redhat import RedhatPackages, RedhatRepository

ARCHITECTURES: Final = {"x86_64": "x86_64", "arm64": "aarch64"}
"""knitter's name of an architecture -> rpm's."""
PROGRAM: Final = Path(__file__).with_name("solve.py")

Answer = Mapping[str, Any]
"""See `solve`."""


@dataclass(frozen=True, slots=True)
class Source:
    """A repository whose metadata was verified."""

    id: str
    place: str
    """As the lock says it: the base URL, or that of the list of mirrors."""
    base: str
    """The URL that packages lie below, without `mirrors`."""
    directory: Path
    """Of its metadata on this host."""
    date: datetime


def filled(text: str, wanted: RedhatPackages) -> str:
    """*text* of a repository with `{release}` and `{arch}` filled in."""
    return text.replace("{release}", wanted.release).replace("{arch}", ARCHITECTURES[wanted.architecture])


def place_of(repository: RedhatRepository, wanted: RedhatPackages) -> str:
    """The URL that says where *repository* is."""
    return filled(getattr(repository, repository.source), wanted).rstrip("/")


def request(wanted: RedhatPackages, sources: Iterable[Source], directory: Path) -> str:
    """What `solve` reads.  directory: for dnf's own files."""
    return json.dumps(
        {
            "directory": str(directory),
            "release": wanted.release,
            "architecture": ARCHITECTURES[wanted.architecture],
            "platform": wanted.module_platform,
            "weak": wanted.weak_dependencies,
            "groups": wanted.groups,
            "install": wanted.install,
            "remove": wanted.remove,
            "repositories": [{"id": one.id, "url": one.directory.as_uri()} for one in sources],
        }
    )


def plan_solve(python: str, asked: Path) -> Command:
    """Print the answer to the request in the file *asked*.  python: one that has dnf."""
    home = {"HOME": str(asked.parent), "XDG_CACHE_HOME": str(asked.parent)}
    return command(python, "-I", "-", asked, stdin=PROGRAM.read_bytes(), env=home)


def interpreter(script: str) -> str:
    """The Python of dnf's own program, from its first line: `#!/usr/bin/python3 -sP`.  Raises ValueError."""
    words = script.partition("\n")[0].removeprefix("#!").split()
    if not words or not script.startswith("#!/"):
        raise ValueError("its first line names no interpreter")
    return words[0]


def parse_packages(answer: Answer, sources: Iterable[Source]) -> tuple[Package, ...]:
    """The packages of an answer, by name.  Raises ValueError for one without a sha256."""
    bases = {one.id: one.base for one in sources}
    found = [_package(one, bases[one["repository"]]) for one in answer["packages"]]
    return tuple(sorted(found, key=lambda package: package.name))


def _package(said: Answer, base: str) -> Package:
    if said["checksum"] != "sha256":
        raise ValueError(f"the repository gives no SHA-256 for {said['name']}, but {said['checksum']}")
    epoch = f"{said['epoch']}:" if said["epoch"] else ""
    return Package(
        name=said["name"],
        version=f"{epoch}{said['version']}-{said['release']}",
        architecture=said["arch"],
        sha256=said["digest"],
        size=said["size"],
        url=f"{(said['base'] or base).rstrip('/')}/{said['location']}",
    )
