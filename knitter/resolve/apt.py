"""The Debian family: apt in a private root, on this host, as any user.

sources, keyring --apt-get update--> verified indices --apt-get install --print-uris--> Lock
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from knitter.command import Command
from knitter.distro import apt, apt_refusals, debian
from knitter.errors import KnitterError
from knitter.fetch import mirrored
from knitter.lock import Lock, Package, Repository
from knitter.machine import Output, tools
from knitter.machine.local import Local
from knitter.progress import say
from knitter.recipe.model import DebianPackages, Recipe
from knitter.resolve.place import Place

_TOOLS: Final = ("apt-cache", "apt-get")
"""What verifies signatures, gpgv or sqv, comes with apt."""
_TIMEOUT: Final = 900.0
"""Seconds for the indices of a slow mirror."""


def find_keyring(recipe: Recipe, wanted: DebianPackages) -> Path:
    """The public keys of *recipe*'s repositories: its own, or the distribution's on this host.  Raises KnitterError."""
    return recipe.path_of(wanted.keyring) if wanted.keyring else debian.host_keyring(wanted.release)


def resolve(wanted: DebianPackages, *, keyring: Path, place: Place) -> Lock:
    """The packages of an image that has *wanted*.  Needs no root and reads no apt state of the host."""
    tools.require(_TOOLS)
    mirrors, log = place.mirrors, place.log
    architecture = debian.ARCHITECTURES[wanted.architecture]
    root = _make_root(place.directory, architecture, keyring, recommends=wanted.recommends)
    sources = _sources(wanted, architecture, root, log)
    root.sources.write_text("".join(one.line(mirrored(one.url, mirrors)) + "\n" for one in sources))
    say("reading the repositories")
    _update(root, log)
    say("resolving packages")
    packages = _plan(root, log, install=wanted.install, remove=wanted.remove)
    return Lock(
        family=wanted.family,
        release=wanted.release,
        architecture=wanted.architecture,
        repositories=tuple(dict.fromkeys(_repository(root, one, mirrored(one.url, mirrors)) for one in sources)),
        packages=tuple(_unmirrored(package, sources, mirrors) for package in packages),
    )


def _make_root(directory: Path, architecture: str, keyring: Path, *, recommends: bool) -> apt.Root:
    if '"' in str(directory):
        raise KnitterError(
            f"apt cannot work below {directory}: a quote in the path", hint="use another build_directory"
        )
    root = apt.Root(directory)
    for one in root.directories():
        one.mkdir(parents=True, exist_ok=True)
    root.status.write_bytes(b"")
    root.config.write_text(apt.config_text(root, architecture=architecture, recommends=recommends))
    try:
        keys = keyring.read_bytes()
    except OSError as error:
        raise KnitterError(
            f"the keyring {keyring} cannot be read", details=str(error), hint="see packages.keyring in the recipe"
        ) from None
    root.keyring(keys).write_bytes(keys)
    return root


def _sources(wanted: DebianPackages, architecture: str, root: apt.Root, log: Path) -> tuple[apt.Source, ...]:
    """The recipe's repositories, or the defaults of mmdebstrap."""
    if wanted.repositories:
        return tuple(apt.source_of(one, wanted.release) for one in wanted.repositories)
    tools.require(["mmdebstrap"])
    lines: list[str] = []
    empty = root.directory / "empty.conf"
    empty.write_bytes(b"")
    ask = apt.plan_defaults(root.directory, empty, release=wanted.release, architecture=architecture)
    Local().run(ask, log=log, check=False, timeout=60, on_line=lines.append)
    if sources := apt.parse_sources(lines):
        return sources
    raise KnitterError(
        f"mmdebstrap names no repositories for {wanted.release}",
        details="\n".join(lines[-10:]),
        hint="set packages.repositories in the recipe",
    )


def _update(root: apt.Root, log: Path) -> None:
    done, lines = _run(apt.plan_update(root), log)
    if done.code:
        raise apt_refusals.refused_update(lines)


def _plan(root: apt.Root, log: Path, *, install: Sequence[str], remove: Sequence[str]) -> tuple[Package, ...]:
    done, lines = _run(apt.plan_resolve(root, install=install, remove=remove), log)
    if done.code:
        names = Local().run(apt.plan_names(root), log=log).text.splitlines()
        raise apt_refusals.refused_resolve(done.text, lines, names=names, remove=remove)
    try:
        return apt.parse_uris(done.text)
    except ValueError as error:
        raise KnitterError("a package cannot be verified", details=str(error)) from None


def _run(command: Command, log: Path) -> tuple[Output, list[str]]:
    """What it left, and all lines of its stderr."""
    lines: list[str] = []
    return Local().run(command, log=log, check=False, timeout=_TIMEOUT, on_line=lines.append), lines


def _repository(root: apt.Root, source: apt.Source, url: str) -> Repository:
    """The repository *source*, fetched from *url*, with the date of its Release file."""
    path = root.release_file(url, source.suite)
    try:
        date = apt.parse_release_date(path.read_text(errors="replace"))
    except (OSError, ValueError) as error:
        raise KnitterError(f"{source.url} {source.suite} has no dated Release file", details=str(error)) from None
    return Repository(url=source.url, suite=source.suite, date=date)


def _unmirrored(package: Package, sources: Sequence[apt.Source], mirrors: Mapping[str, str]) -> Package:
    """*package* with the URL it has without *mirrors*: a lock is the same whichever mirror is near."""
    for source in sorted(sources, key=lambda one: len(mirrored(one.url, mirrors)), reverse=True):
        base = mirrored(source.url, mirrors)
        if package.url.startswith(f"{base}/"):
            return package.model_copy(update={"url": source.url + package.url.removeprefix(base)})
    return package
