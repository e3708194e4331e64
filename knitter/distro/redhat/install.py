"""Install a root from locked RPMs, offline, by the host's rpm in one transaction.  Pure: Commands and texts.

rpm and not dnf: the lock says it all, so nothing is to be resolved again, and no cache is left anywhere.  The host's
configuration and home are kept out: a host's rpm may have its database, like Debian's, in a user's home.

dracut is put off while packages are installed, by an empty script of its name that comes first in scriptlets' PATH,
and run once when all is there (see `initramfs`).  ssh-keygen does nothing at all: an image must hold no host keys.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from knitter.command import Argument, Command, command
from knitter.distro.chroot import PATH, beside
from knitter.distro.redhat import dracut, rpm
from knitter.lock import Package

REVISION: Final = 1
"""Raise it when the same lock now gives another base."""

WORK: Final = "/knitter"
"""Directory in the root for the time of the bootstrap; scriptlets' home."""
DATABASE: Final = f"{WORK}/rpm"
PACKAGES: Final = f"{WORK}/packages"
KEYS: Final = f"{WORK}/keys"
_STUBS: Final = f"{WORK}/bin"

MACHINE_ID: Final = "6b6e6974746572206b6e697474657220"
"""For the time of the bootstrap: kernel-install names boot entries by it, and with none it copies no kernel."""

_PREPARE: Final = f"""
umask 022
mkdir "$1"
cd "$1"
mkdir -p dev run .{DATABASE} .{PACKAGES} .{KEYS} .{_STUBS} etc/dracut.conf.d
mkdir -m 0555 proc sys
mkdir -m 1777 tmp
for name in dracut ssh-keygen; do printf '#!/bin/sh\\n' > ".{_STUBS}/$name"; done
chmod 755 .{_STUBS}/*
printf '{MACHINE_ID}\\n' > etc/machine-id
cat > .{dracut.PATH}
"""

_BOOT_PLACEHOLDERS: Final = """
mkdir -p "$1/etc/kernel" "$1/etc/default"
printf 'ro\\n' > "$1/etc/kernel/cmdline"
printf 'GRUB_CMDLINE_LINUX="ro"\\n' > "$1/etc/default/grub"
"""
"""Where these are missing, kernel-install takes the builder's.  Stage disk writes the real ones."""

_FILL: Final = """
cd "$1"
xargs -d '\\n' -n 2 cp --
sha256sum -- *
"""

_INSTALL: Final = """
cd "$1"
shift
exec "$@" *.rpm >&2
"""

NO_RPM: Final = "none"
"""What `adopt` prints if the image has no rpm."""
_ROW: Final = "%{NAME} %{EPOCH}:%{VERSION}-%{RELEASE} %{ARCH}\\n"


def prepare(tree: Path, *, systemd: bool) -> Command:
    """Make *tree* as packages expect it, beside it."""
    text = _PREPARE + (_BOOT_PLACEHOLDERS if systemd else "")
    return command("sh", "-euc", text, "sh", tree, stdin=dracut.CONFIG)


def file_name(package: Package) -> str:
    """The package's name among the copies."""
    return f"{package.name}_{package.sha256[:16]}.rpm"


def fill(tree: Path, files: Mapping[Package, Path]) -> Command:
    """Copy *files* into *tree*, beside it, and hash the copies."""
    pairs = "".join(f"{path}\n{file_name(package)}\n" for package, path in files.items())
    return command("sh", "-euc", _FILL, "sh", f"{tree}{PACKAGES}", stdin=pairs)


def hashes(listing: str) -> dict[str, str]:
    """File name -> sha256, of what `fill` printed."""
    return {name: digest for digest, name in (line.split() for line in listing.splitlines())}


def import_key(tree: Path, key: Path, *, epoch: int) -> Command:
    """Take the armored public key in the file *key* into the tree's database."""
    return beside(tree, _rpm(tree, "--import", key), epoch=epoch)


def install(tree: Path, *, epoch: int) -> Command:
    """Install all copies.  Each must be signed by a key that was imported; dependencies must hold.

    rpm takes the times of installation from SOURCE_DATE_EPOCH.  All output goes to stderr, which is followed and
    logged.
    """
    planned = _rpm(tree, "-iv", "--ignorearch", "--ignoreos")
    inner = command("sh", "-euc", _INSTALL, "sh", f"{tree}{PACKAGES}", *planned.argv, env=planned.env)
    return beside(tree, inner, epoch=epoch)


def list_installed(tree: Path, *, epoch: int) -> Command:
    """What the host's rpm installed (see `installed`)."""
    return beside(tree, _rpm(tree, "-qa", "--queryformat", _ROW), epoch=epoch)


def _rpm(tree: Path, *arguments: Argument) -> Command:
    macros = {
        "_db_backend": "sqlite",
        "_keyring": "rpmdb",
        "_netsharedpath": "/proc",  # is mounted, and no user may change its owner; `prepare` made the directory beneath
        "_pkgverify_level": "all",
        "_install_script_path": f"{_STUBS}:{PATH}",
    }
    defines = (f"--define={name} {value}" for name, value in macros.items())
    planned = rpm.plan("rpm", f"--root={tree}", *defines, *arguments, database=Path(DATABASE))
    return replace(planned, env={**planned.env, "HOME": WORK, "RPM_FORCE_DEBIAN": "1"})


_ADOPT: Final = f"""
path=/var/lib/rpm
if command -v rpm > /dev/null; then path=$(rpm --eval '%{{_dbpath}}'); fi
mkdir -p "$path"
find "$path/" -maxdepth 1 -type f -delete
cp -a {DATABASE}/. "$path/"
if ! command -v rpm > /dev/null; then
    echo {NO_RPM}
elif [ "$(rpm --eval '%{{_db_backend}}')" = sqlite ]; then
    rpm -qa --queryformat '{_ROW}' || true
fi
"""

_REBUILD: Final = f"""
path=$(rpm --eval '%{{_dbpath}}')
find "$path/" -maxdepth 1 -type f -delete
rpm --initdb
for key in {KEYS}/*; do rpm --import "$key"; done
cd {PACKAGES}
rpm -U --justdb --noscripts --notriggers --nodeps --nosignature --ignorearch --ignoreos *.rpm >&2
rpm -qa --queryformat '{_ROW}'
"""


def adopt() -> Command:
    """Run in the root: put the database where the image's own rpm looks; print what that reads in it (see `installed`).

    Nothing if it does not write SQLite: EL8's reads it, so that it may be converted.  NO_RPM if the image has none.
    """
    return command("sh", "-euc", _ADOPT)


def rebuild() -> Command:
    """Run in the root, whose rpm cannot read the host's database: make another by it; print what that reads in it.

    rpm before 4.16 knows Berkeley DB only, which no rpm of today writes.  `--justdb` needs nothing but options that
    rpm 4.8 has; `--importdb` came with 4.12.
    """
    return command("sh", "-euc", _REBUILD)


def clear() -> Command:
    """Run in the root: remove what the bootstrap needed."""
    return command("rm", "-r", WORK)


def installed(listing: str) -> set[tuple[str, ...]]:
    """(name, version, architecture) of each package of what `list_installed` and others print, without keys."""
    rows = [tuple(line.split()) for line in listing.splitlines()]
    return {(name, _bare(version), architecture) for name, version, architecture in rows if name != "gpg-pubkey"}


def locked(packages: Iterable[Package]) -> set[tuple[str, ...]]:
    """What `installed` must say of *packages*."""
    return {(one.name, _bare(one.version), one.architecture) for one in packages}


def _bare(version: str) -> str:
    """*version* without an epoch that is 0 or none."""
    return re.sub(r"^(0|\(none\)):", "", version)


_SCRIPTLET: Final = re.compile(r'(?:%(\w+)\((\S+)\) scriptlet failed|lua script failed: \[string "%(\w+)\((\S+?)\)"\])')
_FAILED: Final = re.compile(r"^error: (\S+): install failed", re.MULTILINE)


def failed_scriptlets(lines: Iterable[str]) -> list[str]:
    """`%post of NAME` for each scriptlet that rpm says failed; it fails itself for the fewest of them."""
    found = (match for line in lines if (match := _SCRIPTLET.search(line)))
    return list(dict.fromkeys(f"%{match[1] or match[3]} of {_name(match[2] or match[4])}" for match in found))


def failed_package(output: str) -> str:
    """The package that rpm names as failing; "" if it names none."""
    match = _FAILED.search(output)
    return _name(match[1]) if match else ""


def _name(full: str) -> str:
    """The name in name-version-release.architecture."""
    return full.rsplit("-", 2)[0]
