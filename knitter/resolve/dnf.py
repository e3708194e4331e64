"""The RPM family: dnf in a private root, on this host, as any user.

keys --fingerprint--> repositories' metadata --dnf--> Lock --fetch--> packages --rpmkeys--> verified
"""

import json
from pathlib import Path
from typing import Final

from knitter.distro.redhat import dnf, keys, refusals
from knitter.errors import KnitterError
from knitter.lock import Lock, Package, Repository
from knitter.machine import tools
from knitter.machine.local import Local
from knitter.progress import say
from knitter.recipe.model import Recipe, RedhatPackages
from knitter.resolve import keys as own_keys
from knitter.resolve.metadata import Reader
from knitter.resolve.place import Place

_DNF: Final = "dnf-3"
"""dnf's program; its Python is what is wanted of it."""
_TIMEOUT: Final = 900.0
"""Seconds for the largest distribution on a slow host."""


def resolve(recipe: Recipe, wanted: RedhatPackages, place: Place) -> Lock:
    """The packages of an image that has *wanted*.  Needs no root and reads no rpm or dnf state of the host."""
    tools.require((_DNF, "gpgv"))
    place.directory.mkdir(parents=True, exist_ok=True)
    say("reading the keys")
    locked = own_keys.bring(recipe, wanted.keys, place)
    reader = Reader(wanted, keys.keyring(own_keys.texts(locked, place.cache)), place)
    say("reading the repositories")
    sources = [reader.read(one) for one in wanted.repositories]
    say("resolving packages")
    answer = _ask(dnf.request(wanted, sources, place.directory / "dnf"), place)
    reader.prune()
    if answer["kind"] != "packages":
        raise refusals.refused(answer, wanted)
    return Lock(
        family=wanted.family,
        release=wanted.release,
        architecture=wanted.architecture,
        repositories=tuple(Repository(url=one.place, suite=one.id, date=one.date) for one in sources),
        packages=_packages(answer, sources),
        keys=locked,
    )


def _packages(answer: dnf.Answer, sources: list[dnf.Source]) -> tuple[Package, ...]:
    try:
        return dnf.parse_packages(answer, sources)
    except ValueError as error:
        raise KnitterError(
            "a package cannot be verified", details=str(error), hint="use a repository with SHA-256 hashes"
        ) from None


def _ask(request: str, place: Place) -> dnf.Answer:
    asked = place.directory / "request.json"
    asked.write_text(request)
    done = Local().run(dnf.plan_solve(_python(), asked), log=place.log, timeout=_TIMEOUT)
    answer: dnf.Answer = json.loads(done.stdout)
    return answer


def _python() -> str:
    """The host's Python that has dnf.  Raises KnitterError."""
    program = tools.find(_DNF)
    assert program is not None  # it was required
    try:
        return dnf.interpreter(Path(program).read_text(errors="replace"))
    except (OSError, ValueError) as error:
        raise KnitterError(
            f"{program} is not the dnf that knitter knows", details=str(error), hint="install python3-dnf (dnf 4)"
        ) from None
