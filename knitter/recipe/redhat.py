"""The packages section of the RPM family: repositories, keys, groups."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator

from knitter.recipe.base import Form, OwnPath, Problem, Section, Step, twice
from knitter.recipe.packages import AnyPackages

SOURCES: Final = ("url", "mirrorlist", "metalink")
"""The keys that say where a repository is, one of which it has."""
_FILLED: Final = ("{release}", "{arch}")

_Url = Annotated[
    str,
    Form(
        r"((https?://[^\s/@]+(/[^\s@]*)?|file:///[^\s]*))?",
        "a URL of http://, https:// or file:///, without space and without user or password: the lock repeats it",
    ),
]


def _bare(value: Any) -> Any:
    """Refuse what dnf's command line takes besides a name, with the reason."""
    if isinstance(value, str) and value.startswith("@"):
        raise ValueError(f'must be a package; for a group write packages.groups = ["{value[1:]}"]')
    return value


PackageName = Annotated[
    str,
    Form(
        r"[A-Za-z0-9_][A-Za-z0-9+._-]*",
        "a package's name, without version and architecture: packages.lock pins the version of every package",
    ),
    BeforeValidator(_bare),
]


Fingerprint = Annotated[
    str,
    Form(r"\s*([0-9A-Fa-f]\s*){40}", "all 40 hexadecimal digits of a fingerprint, as gpg --show-keys prints it"),
    AfterValidator(lambda text: "".join(text.split()).upper()),
]
"""Of an OpenPGP key of version 4 (RFC 4880, 12.2): upper case, without space."""


class RedhatRepository(Section):
    """A repository of RPMs.

    It has one of `url`, `mirrorlist` and `metalink`, in which `{release}` and `{arch}` are filled in; the latter is
    `x86_64` or `aarch64`.
    """

    id: Annotated[str, Form(r"[A-Za-z0-9][A-Za-z0-9._-]*", "letters, digits, ., _ and -")]
    """Short name, such as `baseos`; packages.lock has it."""
    name: str = ""
    """For people."""
    url: _Url = ""
    """The directory that holds `repodata/`."""
    mirrorlist: _Url = ""
    """A text with such a directory's URL in each line."""
    metalink: _Url = ""
    """A Metalink of `repomd.xml`; its hashes are checked."""
    signed_metadata: bool = False
    """Whether the distribution signs `repomd.xml`: then `repomd.xml.asc` must be there and good."""

    @property
    def source(self) -> str:
        """Which of SOURCES it has."""
        return next(name for name in SOURCES if getattr(self, name))

    def _problems(self) -> Iterator[Problem]:
        given = [name for name in SOURCES if getattr(self, name)]
        if len(given) != 1:
            yield Problem((), f"must have one of {', '.join(SOURCES)}")
        for name in given:
            text = getattr(self, name)
            if "{" in re.sub("|".join(map(re.escape, _FILLED)), "", text):
                yield Problem((name,), f"{' and '.join(_FILLED)} are all that can be filled in")


class SigningKey(Section):
    """A public key that packages are signed with, from a file or a URL.

    What is found there is refused unless it holds the key with this very fingerprint; others beside it are not used.
    """

    file: OwnPath | None = None
    """Path in the recipe's folder, such as `keys/RPM-GPG-KEY-example`."""
    url: _Url = ""
    """Where it is fetched from, once."""
    fingerprint: Fingerprint
    """All 40 digits, from a source that you trust; spaces are allowed."""

    def _problems(self) -> Iterator[Problem]:
        if bool(self.file) == bool(self.url):
            yield Problem((), "must have one of file, url")


class RedhatPackages(AnyPackages):
    """What the root is bootstrapped from, with dnf.  Read by `packages`, and through its lock by `rootfs`."""

    family: Literal["redhat"]
    """Which family of distributions, that is which package manager."""
    release: Annotated[str, Form(r"[0-9A-Za-z][0-9A-Za-z._-]*", "a release, such as 9 or 6.9")]
    """Such as `9` or `6.9`."""
    repositories: tuple[RedhatRepository, ...] = ()
    """Where packages come from; at least one."""
    keys: tuple[SigningKey, ...] = ()
    """What they are signed with; at least one.  A package that none of them signed is refused."""
    groups: tuple[Annotated[str, Form(r"[A-Za-z0-9][A-Za-z0-9._-]*", "a group's id, such as core")], ...] = ()
    """Ids of groups: their mandatory and default members come in, and each mandatory one must be there."""
    install: tuple[PackageName, ...] = ()
    """Packages.  Added to the parent's if the recipe extends another."""
    remove: tuple[PackageName, ...] = ()
    """Packages that must not come in, members of a group too.  Also takes a package out of the parent's `install`."""
    weak_dependencies: bool = False
    """Whether recommended packages come in too."""
    module_platform: Annotated[str, Form(r"(platform:[a-z0-9.]+)?", "such as platform:el9")] = ""
    """Such as `platform:el9`, where repositories have modules."""

    @property
    def key_files(self) -> Mapping[tuple[Step, ...], str]:
        """The keys that are files of the recipe."""
        return {("keys", index, "file"): key.file for index, key in enumerate(self.keys) if key.file}

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of the keys."""
        return tuple(key.fingerprint for key in self.keys)

    def _problems(self) -> Iterator[Problem]:
        yield from super()._problems()
        for name in ("repositories", "keys"):
            if not getattr(self, name):
                yield Problem((name,), "must hold at least one")
        if not (self.groups or self.install):
            yield Problem(("install",), "must hold at least one, or packages.groups must: nothing comes by itself")
        yield from twice(("repositories",), tuple(one.id for one in self.repositories), "id")
