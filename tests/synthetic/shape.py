"""What a shape of the synthetic distribution is; `el6` and `el9` are two.  And what both share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PARTS: Final = Path(__file__).parent / "parts"
KERNEL: Final = re.compile(r"linux-image-(?P<uname>\d+\.\d+\.\d+.*)")
"""A package with a kernel; others so called only depend on one."""


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository; its name is of the shape's table."""

    path: str
    """Below the server's root, as on the distribution's own mirrors."""
    comps: str = ""
    """File of groups, in the shape's parts."""
    signed: bool = False
    """Whether its metadata is."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Which packages of Debian become which of ours, and in which repositories they lie."""

    name: str
    dist: str
    """The end of each release: `el6`."""
    debian: tuple[str, ...]
    """Packages, besides what they need."""
    names: Mapping[str, str]
    """Debian's package -> ours, besides COMMON_NAMES."""
    owners: tuple[tuple[str, str], ...]
    """Pattern of paths -> the package that has them, whatever Debian says; "" for none.  The first that fits."""
    moves: tuple[tuple[str, str], ...]
    """Pattern of paths -> where they go instead."""
    repositories: Mapping[str, Repository]
    """The first has what `placed` does not speak of."""
    key: str
    """Where the public key lies below the server's root."""
    release_package: str
    """The package that brings it too."""
    kernel: str = "kernel"
    """The package that has its files."""
    bare: tuple[str, ...] = ()
    """Directories without a file."""
    placed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Repository -> patterns of names of its packages."""
    newer: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Repository -> packages that it has at a higher release; a kernel is the newest of Debian's."""
    copies: Mapping[str, str] = field(default_factory=dict)
    """File -> another, of the same package."""
    stubs: tuple[str, ...] = ()
    """Packages without files."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> another, whose version it has."""
    grub2: bool = False
    """Whether it boots through GRUB 2."""
    locales: tuple[str, ...] = ()
    """Besides C.UTF-8, in glibc-common."""

    def parts(self) -> tuple[Path, ...]:
        """Directories of our own files and scriptlets, <package>/{files,spec}; a later one wins."""
        return PARTS / "both", PARTS / self.name

    def rpm_of(self, deb: str) -> str:
        """Our name of Debian's package *deb*; "" if it is left out."""
        if deb in DROPPED:
            return ""
        if deb.startswith("linux-image-"):
            return self.kernel if KERNEL.match(deb) else ""
        return self.names.get(deb, COMMON_NAMES.get(deb, deb))

    def owner_of(self, path: str, deb: str) -> str:
        """The package that has the file *path* of *deb*; "" for none."""
        found = next((name for pattern, name in (*self.owners, *COMMON_OWNERS) if re.match(pattern, path)), None)
        return self.rpm_of(deb) if found is None else found

    def moved(self, path: str) -> str:
        """Where the file *path* of Debian goes."""
        for pattern, target in self.moves:
            path = re.sub(pattern, target, path)
        return path


DROPPED: Final = frozenset({
    "adduser", "apt", "base-files", "base-passwd", "bash-completion", "ca-certificates", "cron-daemon-common", "dash",
    "debconf", "debian-archive-keyring", "debugedit", "dirmngr", "dpkg", "gnupg", "gnupg-l10n", "gnupg-utils",
    "gpg-wks-client", "gpg-wks-server", "gpgsm", "init-system-helpers", "initramfs-tools", "initramfs-tools-core",
    "klibc-utils", "libapt-pkg6.0", "libdebconfclient0", "libfile-find-rule-perl", "libgdbm-compat4", "libgdbm6",
    "libklibc", "libnumber-compare-perl", "libperl5.36", "libtext-glob-perl", "linux-base", "locales", "mailcap",
    "media-types", "os-prober", "perl", "perl-base", "perl-modules-5.36", "pinentry-curses", "runit-helper",
    "sensible-utils", "sgml-base", "ucf", "usr-is-merged", "usrmerge", "xml-core",
})  # fmt: skip
"""Of Debian itself, and no distribution of RPMs has the like; or too big for what they give here."""

COMMON_NAMES: Final[Mapping[str, str]] = {
    "bsdutils": "util-linux",
    "cron": "cronie",
    "dbus-bin": "dbus",
    "dbus-daemon": "dbus",
    "dbus-session-bus-common": "dbus",
    "dbus-system-bus-common": "dbus",
    "debianutils": "coreutils",
    "dmeventd": "device-mapper-event",
    "dmsetup": "device-mapper",
    "dnf-data": "dnf",
    "dracut-core": "dracut",
    "eject": "util-linux",
    "fdisk": "util-linux",
    "gcc-12-base": "libgcc",
    "gpg": "gnupg2",
    "gpg-agent": "gnupg2",
    "gpgconf": "gnupg2",
    "gpgv": "gnupg2",
    "hostname": "initscripts",
    "iproute2": "iproute",
    "iputils-ping": "iputils",
    "isc-dhcp-client": "dhclient",
    "libaio1": "libaio",
    "libc-bin": "glibc-common",
    "libc6": "glibc",
    "libc6-i386": "glibc32",
    "libcrypt1": "glibc",
    "libdevmapper-event1.02.1": "device-mapper-event-libs",
    "libdevmapper1.02.1": "device-mapper-libs",
    "libgcc-s1": "libgcc",
    "libpam-modules": "pam",
    "libpam-modules-bin": "pam",
    "libpam-runtime": "pam",
    "libpam0g": "pam",
    "libpython3-stdlib": "python3-libs",
    "libpython3.11-minimal": "python3-libs",
    "libpython3.11-stdlib": "python3-libs",
    "librpm9": "rpm-libs",
    "librpmbuild9": "rpm-libs",
    "librpmio9": "rpm-libs",
    "librpmsign9": "rpm-libs",
    "libudev1": "systemd-libs",
    "libsystemd0": "systemd-libs",
    "login": "util-linux",
    "logsave": "e2fsprogs",
    "mawk": "gawk",
    "mount": "util-linux",
    "ncurses-bin": "ncurses",
    "netbase": "setup",
    "openssh-client": "openssh-clients",
    "openssh-sftp-server": "openssh-server",
    "passwd": "shadow-utils",
    "python3-dnf": "dnf",
    "python3-minimal": "python3",
    "python3.11": "python3",
    "python3.11-minimal": "python3",
    "rpm-common": "rpm",
    "rpm2cpio": "rpm",
    "sysvinit-utils": "initscripts",
    "util-linux-extra": "util-linux",
    "xz-utils": "xz",
}

COMMON_OWNERS: Final = (
    (r"/etc/(apt|dpkg|cron\.[a-z]+|logcheck|apparmor\.d|ucf\.conf|default/(cron|useradd|ssh))(/|$)", ""),
    (r"/etc/kernel/(post|pre|install)", ""),
    (r"/usr/share/(perl5?|initramfs-tools|base-files|apport|menu|python3/debpython|gcc)(/|$)", ""),
    (r"/usr/lib/x86_64-linux-gnu/perl", ""),
    (r"/usr/lib(/x86_64-linux-gnu|32)/gconv/(?!UTF-|ISO8859-1\.|gconv-modules)", ""),
    (r"/usr/(bin/(passwd|chage)|share/doc/passwd)$|/etc/pam\.d/passwd$", "passwd"),
    (r"/usr/lib/locale/", "glibc-common"),
)
