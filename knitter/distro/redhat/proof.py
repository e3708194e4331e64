"""Whether the installed files are what the packages brought, as the image's own rpm sees it.  Pure."""

import re
from collections.abc import Iterable
from typing import Final

from knitter.command import Command, script

_VERIFY: Final = "if command -v rpm > /dev/null; then rpm -Va --nodeps || true; fi"
"""Dependencies were proven by installing; an old rpm does not know what a new one's packages need of rpm itself."""

_PACKAGED: Final = "if command -v rpm > /dev/null; then rpm -qal; fi"

SCRUB: Final = """
rm -rf /var/cache/dnf/* /var/cache/yum/* /var/lib/dnf/history* /var/lib/yum/history/* /var/lib/rpm-state/*
rm -rf /var/lib/authselect/backups/* /var/lib/NetworkManager/*
rm -f /etc/udev/rules.d/70-persistent-net.rules /etc/udev/rules.d/70-persistent-cd.rules
for path in /var/lib/rpm /usr/lib/sysimage/rpm; do
    rm -f "$path"/__db* "$path"/.rpm.lock "$path"/.dbenv.lock
    if [ -e "$path/rpmdb.sqlite" ]; then
        if [ -s "$path/rpmdb.sqlite-wal" ]; then echo "$path is not closed: an rpm was killed" >&2; exit 1; fi
        : > "$path/rpmdb.sqlite-wal"
        : > "$path/rpmdb.sqlite-shm"
    fi
done
"""
"""Shell text: what package management leaves.  Without the two files of SQLite, who is not root could not ask rpm; -shm
holds random numbers, and empty it serves as well.
"""

_LINE: Final = re.compile(r"(?:missing|[.?SM5DLUGTPC]{8,})\s+(?:([cdglr])\s+)?(/.*)")
"""rpm(8), "VERIFY OPTIONS": what differs, what kind of file, which."""
_MAY_DIFFER: Final = "cg"
"""Configuration, and ghosts: files that are made later, which packages only claim."""
_OWN: Final = re.compile(
    r"/(dev|proc|run|sys|tmp|var/run)(/.*)?"  # covered by mounts while commands run
    r"|/(lib|usr/lib)/modules/[^/]+/modules\..*"  # depmod's
    r"|/boot/initramfs-.*|/boot/loader/entries.*"
    r"|/var/log/.*|/etc/(machine-id|hostname|localtime|locale\.conf)"
)
"""What knitter itself, or the tools that it runs, make anew."""


def verify() -> Command:
    """Run in the root: prints what differs from the packages (see `differences`)."""
    return script(_VERIFY)


def packaged() -> Command:
    """Run in the root: prints the paths that came in packages."""
    return script(_PACKAGED)


def differences(lines: Iterable[str]) -> list[str]:
    """The lines that `verify` printed and nothing explains."""
    return [line for line in lines if line.strip() and not _explained(line)]


def _explained(line: str) -> bool:
    match = _LINE.match(line)
    return bool(match and ((match[1] or "-") in _MAY_DIFFER or _OWN.fullmatch(match[2])))
