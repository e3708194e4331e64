"""packages.lock: exactly which packages, by hash, an image is made of.  The only thing `rootfs` bootstraps from.

Text, one package a line, sorted, so that a diff between two locks reads as the list of what changed:

    # packages.lock of knitter; a copy in the recipe's folder pins it
    format 1
    distribution debian bookworm x86_64
    repository https://example.org/debian bookworm 2026-11-15T09:31:27Z
    package adduser 3.134 all sha256:98a8... 116364 https://example.org/debian/pool/main/a/adduser/adduser_3.134_all.deb

Where each package carries its own signature, the public keys are locked too: `key FINGERPRINT sha256:5d2c... 1802`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from knitter.errors import KnitterError

FORMAT: Final = "1"
_HEADER: Final = "# packages.lock of knitter; a copy in the recipe's folder pins it"


class Package(BaseModel):
    """One package file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    architecture: str
    """As the distribution writes it: `amd64`, `all`, `noarch`."""
    sha256: str
    """Of the file, hexadecimal."""
    size: int
    """Bytes."""
    url: str
    """Where it was found, before `mirrors` of the settings."""


class Repository(BaseModel):
    """One repository at the moment of resolving."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """Or of the list of its mirrors, whichever of these answered."""
    suite: str
    """Or its id, as the recipe says."""
    date: AwareDatetime
    """Of its signed Release file, or the newest in its repomd.xml."""


class Key(BaseModel):
    """A public key that verified packages, as knitter keeps it: armored, nothing but the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    """40 hexadecimal digits, upper case."""
    sha256: str
    """Of the file in the cache."""
    size: int
    """Bytes."""


class Lock(BaseModel):
    """All packages of one image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    release: str
    architecture: str
    """As knitter writes it: `x86_64`, `arm64`."""
    repositories: tuple[Repository, ...]
    packages: tuple[Package, ...]
    """Sorted by name."""
    keys: tuple[Key, ...] = ()
    """As the recipe orders them; none where signed indices vouch for the packages."""

    @property
    def epoch(self) -> int:
        """SOURCE_DATE_EPOCH: seconds since 1970 of the newest repository."""
        return max(int(repository.date.timestamp()) for repository in self.repositories)

    def files(self) -> Iterator[tuple[str, int]]:
        """sha256 and size of everything that must be in the cache."""
        yield from ((one.sha256, one.size) for one in self.packages)
        yield from ((one.sha256, one.size) for one in self.keys)

    def same_packages(self, other: "Lock") -> bool:
        """Whether both speak of the same files from the same repositories, whatever their dates and their mirrors."""
        return _lasting(self) == _lasting(other)

    def text(self) -> str:
        """The file; the same for equal locks."""
        return "\n".join([_HEADER, f"format {FORMAT}", *self._lines()]) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"distribution {self.family} {self.release} {self.architecture}"
        for one in self.repositories:
            yield f"repository {one.url} {one.suite} {one.date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        for key in self.keys:
            yield f"key {key.fingerprint} sha256:{key.sha256} {key.size}"
        for package in sorted(self.packages, key=lambda item: (item.name, item.architecture)):
            yield (
                f"package {package.name} {package.version} {package.architecture} "
                f"sha256:{package.sha256} {package.size} {package.url}"
            )


def read(path: Path) -> Lock:
    """The lock in the file at *path*.  Raises KnitterError."""
    try:
        return parse(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise KnitterError(f"cannot read {path}", details=str(error), hint="remove it and resolve anew") from None


def parse(text: str, origin: str) -> Lock:
    """The lock written in *text*; *origin* is named in errors.  Raises KnitterError."""
    has_format, head = False, list[str]()
    repositories: list[Repository] = []
    packages: list[Package] = []
    keys: list[Key] = []
    number = 0
    try:
        for number, line in enumerate(text.splitlines(), 1):  # noqa: B007 (the error names it)
            match line.split():
                case [] | ["#", *_]:
                    pass
                case ["format", version]:
                    _check_format(version)
                    has_format = True
                case ["distribution", family, release, architecture]:
                    head = [family, release, architecture]
                case ["repository", url, suite, date]:
                    repositories.append(Repository(url=url, suite=suite, date=datetime.fromisoformat(date)))
                case ["key", fingerprint, digest, size]:
                    keys.append(Key(fingerprint=fingerprint, sha256=_sha256(digest), size=int(size)))
                case ["package", *words]:
                    packages.append(_package(words))
                case _:
                    raise ValueError(f"not a line of a lock: {line!r}")
        if not (has_format and head and repositories and packages):
            raise ValueError("it is not whole: format, distribution, repository and package lines are needed")
        _check_names(packages)
    except ValueError as error:
        raise KnitterError(
            f"{origin} is not a packages.lock", details=f"line {number}: {error}", hint="remove it and resolve anew"
        ) from None
    return Lock(
        family=head[0],
        release=head[1],
        architecture=head[2],
        repositories=tuple(repositories),
        packages=tuple(packages),
        keys=tuple(keys),
    )


def _lasting(lock: Lock) -> list[str]:
    """The lines, without what stands last in some: a repository's date, and where on which mirror a package was."""
    lines = lock.text().splitlines()
    return [line.rpartition(" ")[0] if line.startswith(("repository ", "package ")) else line for line in lines]


def _check_format(version: str) -> None:
    if version != FORMAT:
        raise ValueError(f"format {version}, but this knitter reads {FORMAT}")


def _check_names(packages: list[Package]) -> None:
    counts = Counter(package.name for package in packages)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ValueError(f"{', '.join(twice)} is there twice")


def _package(words: list[str]) -> Package:
    name, version, architecture, digest, size, url = words
    return Package(
        name=name, version=version, architecture=architecture, sha256=_sha256(digest), size=int(size), url=url
    )


def _sha256(digest: str) -> str:
    kind, _, sha256 = digest.partition(":")
    if kind != "sha256" or re.fullmatch(r"[0-9a-f]{64}", sha256) is None:  # it becomes a file name
        raise ValueError(f"not a sha256: {digest!r}")
    return sha256
