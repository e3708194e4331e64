"""Customise a root of the RPM family: texts, services, SELinux.  Pure: Commands to run in the root, in order."""

from collections.abc import Iterator
from typing import Final

from knitter.command import Command, command, script
from knitter.distro.customise import own_name, plan_units, timezone, write
from knitter.recipe.system import System, is_unit

_LOCALE: Final = """
wanted=$(printf '%s' "$1" | tr -d - | tr '[:upper:]' '[:lower:]')
if ! locale -a | tr -d - | tr '[:upper:]' '[:lower:]' | grep -qx "$wanted"; then
    echo "system.locale = $1: the image has no such locale (packages glibc-langpack-..., before EL8 glibc-common)" >&2
    exit 1
fi
"""
"""`locale -a` prints de_DE.utf8 for de_DE.UTF-8."""

_SELINUX: Final = """
file=/etc/selinux/config
if [ -e "$file" ]; then
    sed -i '/^[[:space:]]*SELINUX=/d' "$file"
elif [ "$1" = disabled ]; then
    mkdir -p "${file%/*}"
else
    echo "system.selinux = $1: the image has no policy (package selinux-policy-targeted)" >&2
    exit 1
fi
printf 'SELINUX=%s\\n' "$1" >> "$file"
"""

_RELABEL: Final = """
if [ -e /etc/selinux/config ] && ! grep -Eq '^[[:space:]]*SELINUX=disabled' /etc/selinux/config; then
    : > /.autorelabel
fi
"""

_SYSV: Final = {"enabled": "on", "disabled": "off"}
"""State of a service -> as chkconfig says it."""


def plan_system(system: System, *, systemd: bool) -> Iterator[Command]:
    """Host name, locale, time zone and SELinux: before the overlay, which may say otherwise."""
    yield write("/etc/hosts", hosts(system.hostname))
    yield script(_LOCALE, system.locale)
    yield timezone(system.timezone)
    yield from _plan_texts(system) if systemd else _plan_sysconfig(system)
    if system.selinux:
        yield script(_SELINUX, system.selinux)


def plan_services(system: System) -> Iterator[Command]:
    """What starts at boot, by systemd or by init scripts; and, if SELinux is on, a first boot that labels all files.

    Files are not labelled here: a user who is root of a private namespace may not.
    """
    yield from plan_units(system, filter(is_unit, system.services))
    for name, state in system.services.items():
        if not is_unit(name):
            yield command("chkconfig", "--add", name)
            yield command("chkconfig", name, _SYSV[state])
    yield script(_RELABEL)


def hosts(hostname: str) -> str:
    """/etc/hosts as Red Hat's installer writes it."""
    return (
        "127.0.0.1   localhost localhost.localdomain localhost4 localhost4.localdomain4\n"
        "::1         localhost localhost.localdomain localhost6 localhost6.localdomain6\n"
        f"{own_name(hostname)}"
    )


def _plan_texts(system: System) -> Iterator[Command]:
    yield write("/etc/hostname", f"{system.hostname}\n")
    yield write("/etc/locale.conf", f"LANG={system.locale}\n")


def _plan_sysconfig(system: System) -> Iterator[Command]:
    """Before systemd.  /etc/localtime is a copy there: the scripts that read it come before /usr may be mounted."""
    yield write("/etc/sysconfig/network", f"NETWORKING=yes\nHOSTNAME={system.hostname}\n")
    yield write("/etc/sysconfig/i18n", f'LANG="{system.locale}"\n')
    yield write("/etc/sysconfig/clock", f'ZONE="{system.timezone}"\n')
    yield command("cp", "--remove-destination", f"/usr/share/zoneinfo/{system.timezone}", "/etc/localtime")
