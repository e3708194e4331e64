"""Bootstrap a Debian root offline: mmdebstrap from a local repository made of the lock.  Pure: Commands and texts.

Three programs that maintainer scripts call are put off while packages are configured, by empty scripts of their names
that come first in PATH, and are run once when all is configured:

    update-initramfs         else twice: by the kernel's postinst, and by initramfs-tools' trigger
    py3compile               else once per package, one after the other; put off, on all processors
    update-ca-certificates   else twice

ssh-keygen does nothing at all: an image must hold no host keys, so none are made.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from knitter.command import Command, command, script
from knitter.distro.chroot import PATH
from knitter.lock import Package

REVISION: Final = 2
"""Raise it when the same lock now gives another base."""

_STUBS: Final = "/knitter"
"""Directory in the root for the time of the bootstrap."""

_REPOSITORY: Final = """
cd "$1"
xargs -d '\\n' -n 2 cp --
apt-ftparchive -o APT::FTPArchive::MD5=false -o APT::FTPArchive::SHA1=false -o APT::FTPArchive::SHA512=false \
    packages . > Packages
cat Packages
"""

_SETUP: Final = f"""
mkdir "$1{_STUBS}"
for name in ssh-keygen update-initramfs update-ca-certificates; do
    printf '#!/bin/sh\\n' > "$1{_STUBS}/$name"
done
printf '#!/bin/sh\\necho "$@" >> {_STUBS}/put-off\\n' > "$1{_STUBS}/py3compile"
chmod 755 "$1{_STUBS}"/*
""".strip()

_FINISH: Final = f"""
if [ -e {_STUBS}/put-off ]; then
    sort -u {_STUBS}/put-off | env -u SOURCE_DATE_EPOCH xargs -P "$(nproc)" -L 1 py3compile &
    compiling=$!
fi
for kernel in /boot/vmlinuz-*; do
    if [ -e "$kernel" ] && command -v update-initramfs > /dev/null; then
        update-initramfs -c -k "${{kernel#/boot/vmlinuz-}}" >&2
    fi
done
if command -v update-ca-certificates > /dev/null; then update-ca-certificates >&2; fi
if [ -n "${{compiling:-}}" ]; then wait "$compiling"; fi
rm -r {_STUBS}
"""

_SETTLE: Final = """
rm -f /etc/apt/apt.conf.d/99mmdebstrap /etc/dpkg/dpkg.cfg.d/99mmdebstrap /etc/apt/sources.list
rm -f /etc/hostname /etc/.resolv.conf.systemd-resolved.bak
if [ ! -L /etc/resolv.conf ]; then rm -f /etc/resolv.conf; fi
dpkg-query --show --showformat '${Package} ${Version} ${db:Status-Status}\\n'
"""


def file_name(package: Package) -> str:
    """The package's name in the local repository."""
    return f"{package.name}_{package.sha256[:16]}.deb"


def fill_repository(repository: Path, files: Mapping[Package, Path]) -> Command:
    """Copy *files* into *repository*, an existing directory, and index them; the index comes on stdout.

    Copies, as cache and repository are seldom on one file system; in memory that is 0.05 s for 100 MB.
    """
    pairs = "".join(f"{path}\n{file_name(package)}\n" for package, path in files.items())
    return command("sh", "-euc", _REPOSITORY, "sh", repository, stdin=pairs)


def indexed(index: str) -> dict[str, str]:
    """File name -> sha256 of an index as apt-ftparchive computed it."""
    names = re.findall(r"^Filename: (?:\./)?(\S+)$", index, re.MULTILINE)
    hashes = re.findall(r"^SHA256: ([0-9a-f]{64})$", index, re.MULTILINE)
    return dict(zip(names, hashes, strict=True))


def bootstrap(packages: Iterable[Package], repository: Path, tree: Path) -> Command:
    """Make *tree* from all *packages* and nothing else, without a network.

    `trusted=yes` is right here, and only here: the repository is made of files whose sha256 the lock gives, and the
    lock was made from signed indices.  The essential variant, as `custom` would unpack every package twice.  An empty
    suite, as a flat repository has none.  No SOURCE_DATE_EPOCH: with it Python compiles modules to files that it checks
    by hashing the source at each import, not by its time, as Debian's do.  All output goes to stderr, which is followed
    and logged.
    """
    argv = (
        "mmdebstrap",
        "--mode=root",
        "--variant=essential",
        "--format=directory",
        "--verbose",
        "--include=" + ",".join(sorted({package.name for package in packages})),
        f'--aptopt=DPkg::Path "{_STUBS}:{PATH}"',
        '--aptopt=APT::Sandbox::User "root"',
        "--dpkgopt=force-unsafe-io",
        f"--setup-hook={_SETUP}",
        "",
        tree,
        f"deb [trusted=yes] copy://{quote(str(repository))} ./",
    )
    environment = {"HOME": "/root", "PATH": f"{_STUBS}:{PATH}", "TMPDIR": tree.parent}
    assignments = [f"{name}={value}" for name, value in environment.items()]
    return command("unshare", "--net", "sh", "-c", 'umask 022; exec "$@" >&2', "sh", "env", "-i", *assignments, *argv)


def finish() -> Command:
    """Run in the new root what was put off."""
    return command("sh", "-euc", _FINISH)


def settle() -> Command:
    """Run in the new root: remove what the bootstrap left of itself; print what is installed (see `installed`)."""
    return script(_SETTLE)


def installed(listing: str) -> set[tuple[str, str]]:
    """(name, version) of each package that is installed and configured, of what `settle` printed."""
    rows = (line.split() for line in listing.splitlines())
    return {(name, version) for name, version, status in rows if status == "installed"}


_FAILED: Final = re.compile(r"error processing (?:package|archive) (\S+)")


def step(line: str) -> str:
    """The step that mmdebstrap announces by *line* of its output; "" if it announces none."""
    match = re.fullmatch(r"I: (\S.*)\.\.\.", line)
    return match[1] if match else ""


def failed_package(output: str) -> str:
    """The package that dpkg names as failing; "" if it names none."""
    match = _FAILED.search(output)
    return match[1].split("/")[-1].split("_")[0].split(":")[0] if match else ""
