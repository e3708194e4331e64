"""apt in a private root: its configuration, its commands, and what it prints.  Pure: nothing here runs or reads a file.

    sources --update--> signed Release files --> verified indices --plan_resolve--> URL, size and sha256 of each package

The private root holds its own configuration, keyring, lists and an empty dpkg database; the host's are never read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from knitter.command import Command, command
from knitter.lock import Package
from knitter.recipe.packages import Repository

_DEFAULTS_HOOK: Final = 'cat "$1"/etc/apt/sources.list; exit 1'


@dataclass(frozen=True, slots=True)
class Source:
    """One line of sources.list."""

    url: str
    """Without a slash at the end."""
    suite: str
    """Ends with a slash in a flat repository, which has no components."""
    components: tuple[str, ...]

    def line(self, url: str) -> str:
        """The line, fetched from *url*."""
        components = () if self.suite.endswith("/") else self.components
        return " ".join(["deb", url, self.suite, *components])


def source_of(wanted: Repository, release: str) -> Source:
    """The repository *wanted* of a recipe, with *release* filled in."""
    url, suite = (text.replace("{release}", release) for text in (wanted.url, wanted.suite))
    return Source(url.rstrip("/"), suite, wanted.components)


@dataclass(frozen=True, slots=True)
class Root:
    """Where things lie in the private root."""

    directory: Path

    @property
    def config(self) -> Path:
        """Read through APT_CONFIG."""
        return self.directory / "apt.conf"

    @property
    def sources(self) -> Path:
        """The sources.list."""
        return self.directory / "etc/apt/sources.list"

    @property
    def status(self) -> Path:
        """The dpkg database: empty, so that everything is to be installed."""
        return self.directory / "var/lib/dpkg/status"

    def keyring(self, keys: bytes) -> Path:
        """Where the public *keys* go; apt tells armored from binary by the suffix."""
        suffix = "asc" if keys.startswith(b"-----BEGIN PGP") else "gpg"
        return self.directory / "etc/apt/trusted.gpg.d" / f"recipe.{suffix}"

    def directories(self) -> tuple[Path, ...]:
        """All that must exist."""
        names = ("apt.conf.d", "preferences.d", "trusted.gpg.d")
        rest = ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg")
        return tuple(self.directory / name for name in [*(f"etc/apt/{name}" for name in names), *rest])

    def release_file(self, url: str, suite: str) -> Path:
        """The signed Release file of a repository after `update`."""
        path = suite if suite.endswith("/") else f"dists/{suite}/"
        return self.directory / "var/lib/apt/lists" / _list_name(f"{url}/{path}InRelease")


def config_text(root: Root, *, architecture: str, recommends: bool) -> str:
    """apt.conf of the private root, in whose path no quote may be: apt cannot escape one.

    architecture: dpkg's name.
    """
    values = {
        "Dir": root.directory,
        "Dir::State::status": root.status,
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": str(recommends).lower(),
        "APT::Install-Suggests": "false",
        "APT::Cmd::Pattern-Only": "true",  # or a misspelt name with a dot in it is taken for a regular expression
        "APT::Sandbox::User": "root",  # or root's apt becomes _apt, which may not enter the build directory
        "APT::Update::Error-Mode": "any",  # or update ends with 0 although a repository failed
        "APT::Get::AllowUnauthenticated": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::Check-Date": "true",
        "Acquire::Check-Valid-Until": "true",
        "Acquire::ForceHash": "SHA256",  # --print-uris prints the hash it would check first
        "Acquire::Languages": "none",
        "Acquire::PDiffs": "false",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
    }
    return "".join(f'{name} "{value}";\n' for name, value in values.items())


def plan_update(root: Root) -> Command:
    """Fetch and verify the indices."""
    return _apt("apt-get", root, "update")


def plan_resolve(root: Root, *, install: Sequence[str], remove: Sequence[str]) -> Command:
    """Print what would be downloaded; see `parse_uris`.

    Besides *install*: apt, which it calls essential itself, and what Debian policy calls essential or required.
    *remove* may name required packages, but no essential ones, on which others depend without saying so.
    """
    required = "?priority(required)" + "".join(f"?not(?exact-name({name}))" for name in remove)
    names = ["?essential", required, "apt", *install, *(f"{name}-" for name in remove)]
    return _apt("apt-get", root, "--yes", "--print-uris", "install", "--", *names)


def plan_names(root: Root) -> Command:
    """Print the name of every package there is."""
    return _apt("apt-cache", root, "pkgnames")


def plan_defaults(scratch: Path, config: Path, *, release: str, architecture: str) -> Command:
    """Let mmdebstrap print the sources it would use, among other lines, on stderr; it ends with an error.

    scratch: an existing directory; config: an empty file.  A hook stops it before anything is installed, so no mode
    of it needs root; chrootless needs no user namespace either.  A hook's stdout is mmdebstrap's stderr.
    """
    return command(
        "mmdebstrap",
        "--mode=chrootless",
        f"--architectures={architecture}",
        "--variant=custom",
        "--format=null",
        f"--setup-hook={_DEFAULTS_HOOK}",
        release,
        "/dev/null",
        env={"APT_CONFIG": str(config), "TMPDIR": str(scratch)},
    )


def parse_sources(lines: Sequence[str]) -> tuple[Source, ...]:
    """The `deb` lines among *lines*; options in brackets are dropped: which key is trusted is not theirs to say."""
    plain = (re.sub(r"^deb\s+\[.*?\]", "deb", line).split() for line in lines if line.startswith("deb "))
    return tuple(Source(url.rstrip("/"), suite, tuple(components)) for _, url, suite, *components in plain)


def parse_uris(text: str) -> tuple[Package, ...]:
    """The packages that `plan_resolve` printed, by name.  Raises ValueError for one without a sha256."""
    found = re.findall(r"^'(\S+)' (\S+)_(\S+)_(\S+)\.deb (\d+) (\S*)$", text, re.MULTILINE)
    packages = [
        Package(
            name=unquote(name),
            version=unquote(version),  # the epoch's colon is %3a in a file name
            architecture=architecture,
            sha256=_sha256(digest, name),
            size=int(size),
            url=url,
        )
        for url, name, version, architecture, size, digest in found
    ]
    return tuple(sorted(packages, key=lambda package: package.name))


def parse_release_date(text: str) -> datetime:
    """The Date of a Release file.  Raises ValueError."""
    match = re.search(r"^Date: (.+)$", text, re.MULTILINE)
    if match is None:
        raise ValueError("it has no Date")
    return parsedate_to_datetime(match[1].replace(" UTC", " +0000"))


def _apt(program: str, root: Root, *words: str) -> Command:
    return command(program, *words, env={"APT_CONFIG": str(root.config)})


def _sha256(digest: str, name: str) -> str:
    kind, _, value = digest.partition(":")
    if kind != "SHA256":
        raise ValueError(f"the repository gives no SHA256 for {name}, but {kind or 'nothing'}")
    return value


def _list_name(url: str) -> str:
    """The file apt keeps *url* in: URItoFileName and QuoteString of apt-pkg/contrib/strutl.cc."""
    rest = re.sub(r"^[^:]+://(?:[^/@]*@)?", "", url)
    quoted = re.sub(r'[\\|{}\[\]<>"^~_=!@#$%&*\x00-\x20\x7f-\xff]', lambda match: f"%{ord(match[0]):02x}", rest)
    return quoted.replace("/", "_")
