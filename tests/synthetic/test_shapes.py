"""Each shape is a distribution: plain dnf installs it, its scriptlets run, and its own rpm is content."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from knitter.command import command, script
from knitter.machine.local import Local
from knitter.machine.namespace import lease
from knitter.units import GIB
from tests.synthetic import EL6, EL9, Shape, ensure
from tests.synthetic.served import Served

pytestmark = pytest.mark.lab
CENTOS: Final = (
    "@core", "centos-release", "chkconfig", "cronie", "cronie-noanacron", "curl", "dhclient", "dracut",
    "dracut-kernel", "e2fsprogs", "glibc-common", "grub", "initscripts", "iptables", "kernel", "lvm2",
    "openssh-clients", "openssh-server", "passwd", "rpm", "rsyslog", "sudo", "tzdata", "util-linux-ng", "yum",
)  # fmt: skip
ALMALINUX: Final = (
    "NetworkManager", "almalinux-release", "chrony", "cloud-init", "cloud-utils-growpart", "dnf",
    "dracut-config-generic", "e2fsprogs", "efibootmgr", "gdisk", "glibc-minimal-langpack", "grub2-efi-x64",
    "grub2-pc", "grub2-tools", "iproute", "kernel", "lvm2", "openssh-clients", "openssh-server", "passwd", "rsyslog",
    "selinux-policy-targeted", "shim-x64", "sudo", "systemd", "tzdata", "util-linux", "xfsprogs",
)  # fmt: skip
CHANGED: Final = {"/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow"}
"""What scriptlets change."""
MOUNTED: Final = {"/dev", "/proc", "/run", "/sys"}
_INSTALL: Final = r"""
tree=$1
shift
for name in dev proc run sys; do mkdir "$tree/$name"; done
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/run"
mount --rbind /sys "$tree/sys"
dnf --assumeyes --config="$HOME/dnf.conf" --installroot="$tree" --setopt=reposdir=/none "$@" >&2
"""


class Installed:
    """A tree that plain dnf made in a private namespace."""

    def __init__(self, machine: Local, tree: Path, said: Sequence[str]) -> None:
        self._machine = machine
        self._tree = tree
        self.said = said

    def ask(self, *argv: str) -> str:
        """What a program of the tree prints."""
        return self._machine.run(command("chroot", self._tree, *argv)).text

    def has(self, path: str) -> bool:
        return not self._machine.run(command("test", "-s", f"{self._tree}{path}"), check=False).code

    def changed(self) -> set[str]:
        """Paths that are not as their packages had them."""
        asked = self._machine.run(command("chroot", self._tree, "rpm", "-Va"), check=False)
        return {line.split()[-1] for line in asked.text.splitlines()} - MOUNTED


@contextmanager
def installed(served: Served, shape: Shape, work: Path, install: Sequence[str], *options: str) -> Iterator[Installed]:
    """Everything is checked against the key; the host's rpm macros are kept out by a HOME of its own."""
    home, tree = work / "home", work / "tree"
    home.mkdir()
    tree.mkdir()
    (home / ".rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
    (home / "dnf.conf").write_text(_config(served, shape))
    said: list[str] = []
    with lease(tree, memory=2 * GIB) as machine:
        words = (*options, "install", *install)
        install_it = script(_INSTALL, tree, *words, env={"HOME": str(home)})
        machine.run(install_it, on_line=said.append)
        yield Installed(machine, tree, said)


def _config(served: Served, shape: Shape) -> str:
    lines = ["[main]", "gpgcheck=1", "install_weak_deps=0", "keepcache=0"]
    for name, repository in shape.repositories.items():
        if name != "newer":
            lines += [f"[{name}]", f"name={name}", f"baseurl={served.url}/{repository.path}/"]
            lines += [f"gpgkey={served.url}/{shape.key}"]
    return "\n".join(lines) + "\n"


def scriptlets_failed(said: Sequence[str]) -> list[str]:
    """dnf ends with 0 all the same."""
    return [line for line in said if "scriptlet failed" in line]


def test_el6(el6: Served, tmp_path: Path) -> None:
    options = ("--releasever=6.9", "--exclude=cronie-anacron", "--exclude=yum-autoupdate")
    with installed(el6, EL6, tmp_path, CENTOS, *options) as tree:
        assert scriptlets_failed(tree.said) == []
        names = tree.ask("rpm", "-qa", "--queryformat", "%{NAME}\\n").split()
        assert {name for name in CENTOS if not name.startswith("@")} <= set(names)
        assert not {"cronie-anacron", "yum-autoupdate", "gdisk"} & set(names)
        assert "2.el6" in tree.ask("rpm", "-q", "tzdata"), "it is newer in updates"
        assert tree.changed() == CHANGED
        assert "sshd" in tree.ask("getent", "passwd", "sshd")
        assert tree.ask("chkconfig", "--list", "sshd").split()[1:] == [
            "0:off",
            "1:off",
            *(f"{level}:on" for level in range(2, 6)),
            "6:off",
        ]
        version = tree.ask("ls", "/lib/modules").strip()
        listed = tree.ask("lsinitrd", f"/boot/initramfs-{version}.img")
        assert "sbin/lvm" in listed
        assert tree.has("/usr/share/grub/x86_64-redhat/stage2")
        assert "GNU GRUB 0.97" in tree.ask("grub", "--version")


def test_el9(el9: Served, tmp_path: Path) -> None:
    with installed(el9, EL9, tmp_path, ALMALINUX, "--releasever=9") as tree:
        assert scriptlets_failed(tree.said) == []
        assert set(ALMALINUX) <= set(tree.ask("rpm", "-qa", "--queryformat", "%{NAME}\\n").split())
        assert tree.changed() == CHANGED
        assert tree.ask("systemctl", "is-enabled", "sshd", "NetworkManager", "cloud-init").split() == ["enabled"] * 3
        version, machine = tree.ask("ls", "/lib/modules").strip(), tree.ask("cat", "/etc/machine-id").strip()
        assert tree.has(f"/boot/initramfs-{version}.img")
        entry = tree.ask("cat", f"/boot/loader/entries/{machine}-{version}.conf")
        assert f"linux /boot/vmlinuz-{version}\ninitrd /boot/initramfs-{version}.img\n" in entry
        assert "grub-mkimage" in tree.ask("grub2-mkimage", "--version")
        assert tree.has("/usr/lib/grub/i386-pc/blscfg.mod")
        for name in ("almalinux/grubx64.efi", "almalinux/shimx64.efi", "BOOT/BOOTX64.EFI"):
            assert tree.has(f"/boot/efi/EFI/{name}")


@pytest.mark.parametrize("shape", [EL6, EL9], ids=lambda shape: shape.name)
def test_a_second_time_it_is_there_at_once(request: pytest.FixtureRequest, shape: Shape) -> None:
    request.getfixturevalue(shape.name)
    start = time.monotonic()
    distribution = ensure(shape)
    assert time.monotonic() - start < 1
    assert len(distribution.fingerprint) == 40
    shown = subprocess.run(["gpg", "--show-keys", "--with-colons", distribution.key], capture_output=True, check=True)
    assert distribution.fingerprint.encode() in shown.stdout


def test_the_newer_kernel_is_newer(el9: Served) -> None:
    def kernel(repository: str) -> str:
        folder = el9.distribution.www / EL9.repositories[repository].path / "Packages"
        return next(one.name.split("-")[2] for one in folder.glob("kernel-core-*"))

    assert kernel("BaseOS").startswith("6.1.")
    assert kernel("newer").startswith("6.12.")


def test_a_copy_can_be_tampered_with(el6: Served, tmp_path: Path) -> None:
    copy = el6.distribution.copy(tmp_path / "copy")
    assert {one.name for one in copy.folder.iterdir()} == {one.name for one in el6.distribution.folder.iterdir()}
