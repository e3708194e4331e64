"""The packages section: what the root file system is bootstrapped from, as all families have it and as Debian does."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator

from knitter.recipe.base import OWN_PATH, Form, Problem, Section, Step, twice

Architecture = Literal["x86_64", "arm64"]

_OTHER_NAMES: Final = {"amd64": "x86_64", "aarch64": "arm64"}


def _as_aws_says(value: Any) -> Any:
    if isinstance(value, str) and value in _OTHER_NAMES:
        raise ValueError(f'must be written as AWS does: "{_OTHER_NAMES[value]}"')
    return value


def _bare(value: Any) -> Any:
    """Refuse what apt's command line takes besides a name, with the reason."""
    if isinstance(value, str) and "=" in value:
        raise ValueError("must be a name without version: packages.lock pins the version of every package")
    if isinstance(value, str) and ("/" in value or ":" in value):
        raise ValueError("must be a name without suite or architecture: packages.repositories says where it comes from")
    return value


PackageName = Annotated[
    str,
    # Debian Policy 5.6.1
    Form(
        r"[a-z0-9][a-z0-9+.-]+",
        "a package's name: at least 2 lower-case letters, digits, +, - and ., a letter or digit first",
    ),
    BeforeValidator(_bare),
]

_Component = Annotated[str, Form(r"[A-Za-z0-9][A-Za-z0-9/._-]*", "a component such as main or non-free-firmware")]


class Repository(Section):
    """An apt repository."""

    url: Annotated[
        str,
        Form(
            r"(https?://[^\s/@]+(/[^\s@]*)?|file:///[^\s]*)",
            "a URL of http://, https:// or file:///, without space and without user or password: the lock repeats it",
        ),
    ]
    """Base URL; may hold `{release}`."""
    suite: Annotated[str, Form(r"([A-Za-z0-9/._-]|\{release\})+", "a suite such as {release} or bookworm-security")]
    """Such as `bookworm` or `bookworm-security`; may hold `{release}`."""
    components: tuple[_Component, ...] = ("main",)
    """Parts of the suite."""

    def _problems(self) -> Iterator[Problem]:
        if not self.components:
            yield Problem(("components",), 'must hold at least one, such as "main"')
        yield from twice(("components",), self.components)
        if "{" in self.url.replace("{release}", ""):
            yield Problem(("url",), "{release} is all that can be filled in")


class AnyPackages(Section):
    """What the packages section has in every family."""

    family: str
    release: str
    architecture: Annotated[Architecture, BeforeValidator(_as_aws_says)] = "x86_64"
    """Of the packages and the machine they run on."""
    install: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    @property
    def key_files(self) -> Mapping[tuple[Step, ...], str]:
        """Where in the section a file of public keys is named -> its path, as `Recipe.path_of` takes it."""
        return {}

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of the keys that packages themselves are signed with, 40 digits each."""
        return ()

    def _problems(self) -> Iterator[Problem]:
        for index, package in enumerate(self.remove):
            if package in self.install:
                yield Problem(("remove", index), f"is in packages.install[{self.install.index(package)}] too")


class DebianPackages(AnyPackages):
    """What the root is bootstrapped from, with apt.  Read by `packages`, and through its lock by `rootfs`."""

    family: Literal["debian"] = "debian"
    """Which family of distributions, that is which package manager."""
    release: Annotated[str, Form(r"[a-z][a-z0-9-]*", "a code name, such as bookworm")]
    """Code name, such as `bookworm`."""
    repositories: tuple[Repository, ...] = ()
    """Left out: the defaults of the host's bootstrap tool for this release."""
    keyring: Annotated[
        str,
        Form(
            rf"(/?{OWN_PATH})?",
            "a path in the recipe's folder, such as keys/archive.asc, or an absolute one: ASCII, no space, no ..",
        ),
    ] = ""
    """Public keys the repositories are signed with: a path in the recipe's folder (`keys/...`), or an absolute path of
    the host.  Empty: the distribution's own keyring package on the host."""
    install: tuple[PackageName, ...] = ()
    """Packages, besides the essential ones.  Added to the parent's if the recipe extends another."""
    remove: tuple[PackageName, ...] = ()
    """Packages that must not come in.  Also takes a package out of the parent's `install`."""
    recommends: bool = False
    """Whether recommended packages come in too."""

    @property
    def key_files(self) -> Mapping[tuple[Step, ...], str]:
        """The keyring, if the recipe names one."""
        return {("keyring",): self.keyring} if self.keyring else {}
