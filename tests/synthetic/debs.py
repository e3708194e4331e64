"""Debian's packages as the stuff of others: resolved, fetched and unpacked, without running any script of theirs."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitter.cache import Cache
from knitter.distro import apt
from knitter.fetch import Download, fetch
from knitter.lock import Package

_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_MERGED: Final = ("bin", "lib", "lib32", "lib64", "sbin")
"""Directories of / that are links into /usr."""
_UNUSED: Final = ("doc", "man", "info", "locale", "lintian", "bug", "doc-base", "bash-completion", "zsh", "fish")
_EXCLUDED: Final = (*(f"./usr/share/{name}/*" for name in _UNUSED), "./etc/init.d", "./etc/rc?.d")
"""What no package of ours has, and where links of ours are."""


@dataclass(frozen=True, slots=True)
class Deb:
    """A package that was unpacked."""

    name: str
    version: str
    """Without epoch and revision's odd characters, as RPM takes it."""
    depends: tuple[tuple[str, ...], ...]
    """Alternatives of names."""
    provides: tuple[str, ...]
    files: tuple[str, ...]
    """Absolute paths of all but directories, through merged /usr."""


def resolve(release: str, install: Sequence[str]) -> tuple[Package, ...]:
    """What *install* needs in Debian's *release*."""
    with tempfile.TemporaryDirectory() as folder:
        root = apt.Root(Path(folder))
        for one in root.directories():
            one.mkdir(parents=True, exist_ok=True)
        root.status.write_bytes(b"")
        root.keyring(b"").write_bytes(_KEYRING.read_bytes())
        old = 'Acquire::Check-Valid-Until "false";\n'  # a mirror that stands still will do here
        root.config.write_text(apt.config_text(root, architecture="amd64", recommends=False) + old)
        root.sources.write_text("".join(f"{line}\n" for line in _sources(release, root.directory)))
        for command in (apt.plan_update(root), apt.plan_resolve(root, install=install, remove=())):
            text = run(*command.argv, env={**os.environ, **command.env})
    return apt.parse_uris(text)


def bring(packages: Sequence[Package], cache: Cache) -> None:
    """Fetch *packages* and check them."""
    fetch([Download(one.name, one.url, one.sha256, one.size) for one in packages], cache, parallel=8, mirrors={})


def unpack(packages: Sequence[Package], cache: Cache, tree: Path) -> list[Deb]:
    """Unpack *packages* into *tree*, in which /usr is merged."""
    for name in _MERGED:
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda one: _unpack(one, cache.path(one.sha256), tree), packages))


def run(*argv: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """What *argv* prints; it must end well."""
    done = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def _sources(release: str, scratch: Path) -> Iterator[str]:
    """The host's bootstrap tool knows where a release is to be had."""
    empty = scratch / "empty.conf"
    empty.write_bytes(b"")
    ask = apt.plan_defaults(scratch, empty, release=release, architecture="amd64")
    said = subprocess.run(ask.argv, env={**os.environ, **ask.env}, capture_output=True, text=True, check=False).stderr
    yield from (one.line(one.url) for one in apt.parse_sources(said.splitlines()))


def _unpack(package: Package, file: Path, tree: Path) -> Deb:
    control = _fields(run("dpkg-deb", "--field", file))
    return Deb(
        name=package.name,
        version=re.sub(r"[^A-Za-z0-9.+~]", ".", package.version.rpartition(":")[2]),
        depends=tuple(
            tuple(_name(one) for one in clause.split("|"))
            for field in ("Pre-Depends", "Depends")
            for clause in control.get(field, "").split(",")
            if clause.strip()
        ),
        provides=tuple(_name(one) for one in control.get("Provides", "").split(",") if one.strip()),
        files=tuple(_extract(file, tree)),
    )


def _extract(file: Path, tree: Path) -> list[str]:
    excluded = [f"--exclude={pattern}" for pattern in _EXCLUDED]
    options = (
        "--extract",
        "--verbose",
        "--quoting-style=literal",
        "--no-same-owner",
        "--same-permissions",
        "--keep-directory-symlink",
    )
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", file], stdout=subprocess.PIPE) as source:
        done = subprocess.run(
            ["tar", *options, *excluded, "--directory", tree], stdin=source.stdout, capture_output=True, check=True
        )
    assert source.returncode == 0, file
    return [_canonical(name) for name in done.stdout.decode().splitlines() if not name.endswith("/")]


def _canonical(name: str) -> str:
    path = name.removeprefix(".")
    return f"/usr{path}" if path.split("/")[1] in _MERGED else path


def _fields(control: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z][A-Za-z-]+): (.*)$", control, re.MULTILINE))


def _name(clause: str) -> str:
    return clause.split(maxsplit=1)[0].partition(":")[0]
