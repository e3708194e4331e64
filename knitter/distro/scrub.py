"""Scrub: remove what building leaves in a root.  Then, apart from that, assert: find what no image may hold.

Scrubbing removes only what the build itself left (logs, caches, ids).  A key, a password or a history that somebody
brought in through the overlay or a script is never removed in silence: it is a finding, and the stage fails.

The rules are AWS's for shared AMIs (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/building-shared-amis.html):
no host keys, no authorized keys, no passwords, no histories, no credentials; and our own: no ids, logs, leases, caches.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitter.command import Command, command

_SCRUB: Final = """
# logs: login records stay as empty files, the rest is made when first written
if [ -d /var/log/journal ]; then find /var/log/journal -mindepth 1 -delete; fi
for name in btmp faillog lastlog wtmp; do if [ -e "/var/log/$name" ]; then : > "/var/log/$name"; fi; done
find /var/log -type f -size +0 -delete
# package management
@MANAGEMENT@
# caches that hold inode numbers and times
rm -f /var/cache/ldconfig/aux-cache
rm -rf /var/cache/man/* /var/cache/fontconfig/*
# ids and states of one machine
if [ -e /lib/systemd/systemd ]; then
    : > /etc/machine-id
    chmod 0444 /etc/machine-id
else
    rm -f /etc/machine-id
fi
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/random-seed
rm -rf /var/lib/cloud/* /var/lib/dhcp/* /var/lib/dhclient/* /var/lib/systemd/timesync/clock
# account files: backups, and the day of the build as the day of the last password change
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid- /etc/.pwd.lock
awk -F : -v OFS=: -v day="$1" '{ if ($3 != "") $3 = day; print }' /etc/shadow > /etc/shadow.new
cat /etc/shadow.new > /etc/shadow
rm /etc/shadow.new
find /var/tmp -mindepth 1 -delete
"""

_DAY: Final = 86400
"""Seconds: shadow(5) counts days."""

_EMPTY: Final = """
for name in dev proc run sys tmp; do find "$1/$name" -xdev -mindepth 1 -delete; done
"""


def scrub(management: str, *, epoch: int) -> Command:
    """Run in the root: remove what building left.  management: shell text for what the package manager left."""
    return command("sh", "-euc", _SCRUB.replace("@MANAGEMENT@", management), "sh", epoch // _DAY)


def empty_mounts(tree: Path) -> Command:
    """Run beside the root: empty the directories that the running system covers by mounts."""
    return command("sh", "-euc", _EMPTY, "sh", tree)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that no image may hold."""

    path: str
    """Absolute, in the image."""
    what: str

    def __str__(self) -> str:
        return f"scrub: {self.path}: {self.what}"


@dataclass(frozen=True, slots=True)
class _Rule:
    """Any path (without leading slash) that matches is a finding."""

    pattern: re.Pattern[str]
    what: str
    filled: bool = False
    """Only files that are not empty."""


def _rule(pattern: str, what: str, *, filled: bool = False) -> _Rule:
    return _Rule(re.compile(pattern), what, filled)


_RULES: Final = (
    _rule(r"etc/ssh/ssh_host_.*", "an SSH host key: all instances would share it"),
    _rule(r"(.*/)?\.ssh/authorized_keys2?", "keys that may log in"),
    _rule(r"(.*/)?\.ssh/id_[^/]+", "an SSH key"),
    _rule(r"(.*/)?\.(\w+_history|history|lesshst|viminfo)", "a history"),
    _rule(r"(.*/)?\.(aws/credentials|netrc|pgpass|git-credentials|docker/config\.json|npmrc|pypirc)", "credentials"),
    _rule(r"var/log/.*", "a log", filled=True),
    _rule(r"var/lib/apt/lists/.*|var/cache/(apt|dnf|yum)/.*", "a package cache", filled=True),
    _rule(r"var/lib/(dnf|yum)/history.*", "a history of the package manager", filled=True),
    _rule(r"(var/lib|usr/lib/sysimage)/rpm/(__db.*|.*-(shm|wal))", "a state of the rpm database", filled=True),
    _rule(r"var/lib/(dhcp|dhclient|NetworkManager)/.*lease.*|var/lib/systemd/network/.*", "a DHCP lease"),
    _rule(r"var/lib/cloud/.*", "state of cloud-init", filled=True),
    _rule(r"var/lib/((systemd|urandom)/)?random-seed|var/lib/systemd/credential\.secret", "a secret of one machine"),
    _rule(r"etc/udev/rules\.d/70-persistent-.*", "names of the builder's devices"),
    _rule(r"usr/sbin/policy-rc\.d", "a policy that keeps daemons from starting"),
    _rule(r"etc/(apt/apt|dpkg/dpkg\.cfg)\.(conf\.)?d/99mmdebstrap", "a setting of the bootstrap"),
    _rule(r"knitter(/.*)?", "a leftover of the bootstrap"),
    _rule(r"(dev|proc|run|sys|tmp|var/tmp)/.+", "a file where there must be none"),
)

_MERGED: Final = ("bin/", "lib", "sbin/")
"""Links into /usr on most systems; packages may still name their files by them."""
_SCANNED: Final = 1 << 20
"""Bytes: larger files are not looked into."""
_SECRETS: Final = (
    (re.compile(rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----\s"), "a private key"),
    (re.compile(rb"(?i)aws_secret_access_key\s*[=:]\s*\S{16}"), "credentials of AWS"),
)
_ROOT_LOGIN: Final = re.compile(rb"(?im)^\s*PermitRootLogin\s+yes\b")
_UNVERIFIED: Final = re.compile(rb"(?im)^\s*gpgcheck\s*=\s*(0|no|false)\b")
_LOCAL_SOURCE: Final = re.compile(rb"(?im)^\s*(deb\b.*(trusted=yes|\b(copy|file):)|trusted:\s*yes)")


def find_all(archive: tarfile.TarFile, packaged: Iterable[str]) -> list[Finding]:
    """Everything in *archive*, the root tree's tar, that no image may hold, sorted by path.

    packaged: the absolute paths that came in packages.
    """
    members = {member.name.removeprefix("./"): member for member in archive.getmembers()}
    trusted = _trusted(packaged)
    found: list[Finding] = []
    for path, member in members.items():
        if member.isdev() and path not in trusted:
            found.append(Finding(f"/{path}", "a device or pipe"))
        found += [Finding(f"/{path}", what) for what in _by_path(path, member)]
        if member.isfile() and 0 < member.size <= _SCANNED and path not in trusted and not path.endswith(".pyc"):
            found += [Finding(f"/{path}", what) for what in _by_content(path, _read(archive, member))]
    found += _identity(members)
    return sorted(set(found), key=str)


def _by_path(path: str, member: tarfile.TarInfo) -> Iterator[str]:
    for rule in _RULES:
        if rule.pattern.fullmatch(path) and not (rule.filled and not (member.isfile() and member.size)):
            yield rule.what


def _by_content(path: str, content: bytes) -> Iterator[str]:
    yield from (what for pattern, what in _SECRETS if pattern.search(content))
    if path.startswith("etc/ssh/sshd_config") and _ROOT_LOGIN.search(content):
        yield "root may log in with a password"
    if path.startswith("etc/apt/sources.list") and _LOCAL_SOURCE.search(content):
        yield "a package source that is local or unverified"
    if path.startswith("etc/yum.repos.d/") and _UNVERIFIED.search(content):
        yield "a package source that is unverified"
    if path in {"etc/passwd", "etc/shadow"}:
        yield from _passwords(path, content.decode())


def _passwords(path: str, content: str) -> Iterator[str]:
    for line in content.splitlines():
        account, password, *_ = line.split(":")
        if not password:
            yield f"{account} needs no password"
        elif not (password[0] in "!*" or (path == "etc/passwd" and password == "x")):  # noqa: S105 x: see shadow(5)
            yield f"{account} has a password"


def _identity(members: dict[str, tarfile.TarInfo]) -> Iterator[Finding]:
    machine_id = members.get("etc/machine-id")
    if machine_id is None:
        wrong = bool({"lib/systemd/systemd", "usr/lib/systemd/systemd"} & members.keys())
    else:
        wrong = not machine_id.isfile() or machine_id.size > 0
    if wrong:
        yield Finding("/etc/machine-id", "must be an empty file: each instance gets an id of its own at first boot")
    for path in ("var/lib/dbus/machine-id", "etc/resolv.conf"):
        member = members.get(path)
        if member and member.isfile():
            yield Finding(f"/{path}", "must be a link or absent: it is the builder's")


def _trusted(packaged: Iterable[str]) -> frozenset[str]:
    """Paths that came in packages, except what packages call configuration, which anybody may have changed."""
    paths = {path.lstrip("/") for path in packaged if not path.startswith("/etc/")}
    return frozenset(paths | {f"usr/{path}" for path in paths if path.startswith(_MERGED)})


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()
