"""Each shape is a distribution: plain dnf installs it, its scriptlets run, and its own rpm is content."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from knitter.command import Command, command, script
from knitter.machine.local import Local
from knitter.machine.namespace import lease
from knitter.units import GIB
from tests.synthetic import EL6, EL9, Distribution, Shape, ensure
from tests.synthetic.debs import run
from tests.synthetic.served import Served

pytestmark = pytest.mark.lab
CENTOS = (
    "@core", "kernel", "chkconfig", "cronie", "cronie-noanacron", "curl", "dhclient", "dracut", "dracut-kernel", "e2fsprogs",
    "glibc-common", "grub", "initscripts", "iptables", "lvm2", "openssh-clients", "openssh-server", "passwd", "rpm",
    "rsyslog", "sudo", "tzdata", "util-linux-ng", "yum", "centos-release",
)  # fmt: skip
ALMALINUX = (
    "NetworkManager", "almalinux-release", "chrony", "cloud-init", "cloud-utils-growpart", "dnf", "dracut-config-generic",
    "e2fsprogs", "efibootmgr", "gdisk", "glibc-minimal-langpack", "grub2-efi-x64", "grub2-pc", "grub2-tools", "iproute",
    "kernel", "lvm2", "openssh-clients", "openssh-server", "passwd", "rsyslog", "selinux-policy-targeted", "shim-x64",
    "sudo", "systemd", "tzdata", "util-linux", "xfsprogs",
)  # fmt: skip
EXPECTED = ("/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow", "/proc", "/sys")
"""What scriptlets change, and what was mounted."""
_INSTALL = r"""
tree=$1
shift
mkdir -p "$tree"/dev "$tree"/proc "$tree"/run "$tree"/sys "$tree"/"$HOME"/cache
echo '%_dbpath /var/lib/rpm' > "$HOME/.rpmmacros"
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/run"
mount --bind "$HOME" "$tree/$HOME"
dnf -y -q -c "$HOME/dnf.conf" --installroot="$tree" --setopt=reposdir=/none --setopt=cachedir="$HOME/cache" "$@" >&2
umount "$tree/$HOME"
"""


class Installed:
    """A tree that plain dnf made in a private namespace."""

    def __init__(self, machine: Local, tree: Path) -> None:
        self._machine = machine
        self._tree = tree

    def ask(self, *argv: str) -> str:
        """What a program of the tree prints."""
        return self._machine.run(command("chroot", self._tree, *argv)).text

    def verify(self) -> list[str]:
        """Paths that are not as their packages had them."""
        asked = self._machine.run(command("chroot", self._tree, "rpm", "-Va"), check=False)
        return sorted(line.split()[-1] for line in asked.text.splitlines())
