"""Customise a bootstrapped Debian root: texts, apt, the initial RAM disk.  Pure: Commands to run in the root."""

from collections.abc import Iterator, Sequence
from typing import Final

from knitter.command import Command, command, script
from knitter.distro.apt import Source
from knitter.distro.customise import own_name, timezone, write
from knitter.recipe.model import System

_LOCALE: Final = """
case $1 in
    C | POSIX | C.UTF-8 | C.utf8) ;;
    *)
        if ! entry=$(grep -m1 "^$1 " /usr/share/i18n/SUPPORTED); then
            echo "system.locale = $1: not in /usr/share/i18n/SUPPORTED of the image (package locales)" >&2
            exit 1
        fi
        echo "$entry" >> /etc/locale.gen
        locale-gen >&2
        ;;
esac
printf 'LANG=%s\\n' "$1" > /etc/default/locale
"""

_MARK: Final = """
if command -v apt-mark > /dev/null; then
    apt-mark auto '?installed' > /dev/null
    apt-mark manual '?and(?installed,?or(?essential,?priority(required),?exact-name(apt)))' "$@" > /dev/null
fi
"""

_FINGERPRINT: Final = """
paths=
for path in etc/initramfs-tools etc/modprobe.d etc/modules etc/modules-load.d etc/udev etc/fstab etc/crypttab etc/lvm \\
    etc/mdadm etc/systemd/network etc/default/keyboard usr/share/initramfs-tools usr/lib/udev usr/lib/modprobe.d; do
    if [ -e "/$path" ]; then paths="$paths $path"; fi
done
{
    tar --create --sort=name --mtime=@0 --numeric-owner -C / $paths
    find /usr/lib/modules /usr/lib/firmware -printf '%p %y %s %T@ %l\\n' 2> /dev/null | sort
    cat /var/lib/dpkg/status
} | sha256sum
"""

_POLICY: Final = "/usr/sbin/policy-rc.d"

_INITRAMFS: Final = "if command -v update-initramfs > /dev/null; then update-initramfs -u -k all < /dev/null >&2; fi"

SCRUB: Final = """
rm -rf /var/lib/apt/lists/* /var/lib/apt/periodic/* /var/cache/apt/*
if id _apt > /dev/null 2>&1; then  # as apt makes them, unless it cannot reach the place where the tree is built
    install -d -o _apt -g root -m 0700 /var/lib/apt/lists/partial /var/cache/apt/archives/partial
fi
rm -f /var/lib/dpkg/lock* /var/lib/dpkg/triggers/Lock
find /var/lib/dpkg /var/cache/debconf -maxdepth 1 -type f -name '*-old' -delete
find /var/lib/ucf -name '*.[0-9]' -delete 2> /dev/null || true
rm -rf /var/backups/*
"""
"""What package management leaves."""


def plan_system(system: System) -> Iterator[Command]:
    """Host name, locale and time zone: before the overlay, which may say otherwise."""
    yield write("/etc/hostname", f"{system.hostname}\n")
    yield write("/etc/hosts", hosts(system.hostname))
    yield script(_LOCALE, system.locale)
    yield timezone(system.timezone)
    yield write("/etc/timezone", f"{system.timezone}\n")


def hosts(hostname: str) -> str:
    """/etc/hosts as Debian's installer writes it."""
    return (
        f"127.0.0.1\tlocalhost\n{own_name(hostname)}"
        "::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n"
    )


def sources_list(sources: Sequence[Source], keyring: str) -> str:
    """/etc/apt/sources.list of the image.  keyring: the path of the archive's public keys in the image."""
    return "".join(
        source.line(source.url).replace("deb ", f"deb [signed-by={keyring}] ", 1) + "\n" for source in sources
    )


def mark_packages(install: Sequence[str]) -> Command:
    """Tell apt which packages were asked for and which came as dependencies, so that autoremove is right."""
    return script(_MARK, *install)


def fingerprint() -> Command:
    """Prints a hash of all that an initramfs is made from."""
    return script(_FINGERPRINT)


def update_initramfs() -> Command:
    """Make each initramfs anew."""
    return script(_INITRAMFS)


def packaged() -> Command:
    """Prints the paths that came in packages."""
    return script("cat /var/lib/dpkg/info/*.list")


def forbid_daemons() -> Command:
    """Let maintainer scripts start no daemons: invoke-rc.d (Debian's init-system-helpers) asks this program."""
    return write(_POLICY, "#!/bin/sh\nexit 101\n", mode="0755")


def allow_daemons() -> Command:
    """Undo `forbid_daemons`."""
    return command("rm", "-f", _POLICY)
