"""The rootfs stage of the RPM family, on the synthetic distribution's two shapes."""

import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.folders import shared
from tests.stages.rooted import NEW, OLD, Rooted
from tests.synthetic import EL6, EL9
from tests.synthetic.served import Served

pytestmark = pytest.mark.boot

OLD_SYSTEM: Mapping[str, Any] = {
    "hostname": "old.example.org",
    "locale": "ja_JP.UTF-8",
    "timezone": "Asia/Tokyo",
    "selinux": "disabled",
    "services": {"iptables": "disabled", "hello": "enabled"},
    "files": ({"path": "/etc/rc.d/init.d/hello", "mode": "0755"},),
}
INIT_SCRIPT = "#!/bin/sh\n# chkconfig: 2345 11 89\n# description: says hello\nexit 0\n"
NEW_SYSTEM: Mapping[str, Any] = {
    "hostname": "new.example.org",
    "timezone": "Europe/Berlin",
    "selinux": "permissive",
    "services": {"sshd.service": "enabled", "chronyd.service": "masked"},
    "users": ({"name": "app", "uid": 1500, "sudo": True},),
}


class Image:
    """rootfs.tar, opened."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self.names = {name.removeprefix(".") for name in archive.getnames()}

    def __getitem__(self, path: str) -> tarfile.TarInfo:
        return self._archive.getmember(f".{path}")

    def text(self, path: str) -> str:
        file = self._archive.extractfile(self[path])
        assert file is not None
        return file.read().decode()

    def found(self, pattern: str) -> list[str]:
        return sorted(name for name in self.names if re.fullmatch(pattern, name))


@pytest.fixture(scope="module")
def old(request: pytest.FixtureRequest, el6: Served) -> Iterator[Rooted]:
    with shared(request, "old") as root:
        script = root / "recipe/files/etc/rc.d/init.d/hello"
        script.parent.mkdir(parents=True)
        script.write_text(INIT_SCRIPT)
        rules = root / "recipe/files/etc/udev/rules.d/75-persistent-net-generator.rules"
        rules.parent.mkdir(parents=True)
        rules.touch()
        made = Rooted(root, EL6, el6, OLD, OLD_SYSTEM)
        made.make()
        yield made


@pytest.fixture(scope="module")
def new(request: pytest.FixtureRequest, el9: Served) -> Iterator[Rooted]:
    with shared(request, "new") as root:
        made = Rooted(root, EL9, el9, NEW, NEW_SYSTEM)
        made.make()
        yield made


def opened(rooted: Rooted) -> Iterator[Image]:
    with tarfile.open(rooted.build().directory / "rootfs.tar") as archive:
        yield Image(archive)


@pytest.fixture
def old_image(old: Rooted) -> Iterator[Image]:
    yield from opened(old)


@pytest.fixture
def new_image(new: Rooted) -> Iterator[Image]:
    yield from opened(new)


class TestOld:
    """EL6's shape."""

    def test_its_texts_are_where_init_scripts_look(self, old_image: Image) -> None:
        assert "HOSTNAME=old.example.org" in old_image.text("/etc/sysconfig/network")
        assert old_image.text("/etc/sysconfig/i18n") == 'LANG="ja_JP.UTF-8"\n'
        assert old_image["/etc/localtime"].isfile()
        assert "SELINUX=disabled" in old_image.text("/etc/selinux/config").splitlines()
        assert "/.autorelabel" not in old_image.names

    def test_init_scripts_are_enabled_and_disabled(self, old_image: Image) -> None:
        assert old_image.found(r"/etc/rc\.d/rc[2345]\.d/S11hello") == [
            f"/etc/rc.d/rc{level}.d/S11hello" for level in "2345"
        ]
        assert old_image.found(r"/etc/rc\.d/rc.\.d/S..iptables") == []

    def test_there_is_an_initial_ram_disk_for_each_kernel(self, old_image: Image) -> None:
        (kernel,) = old_image.found(r"/boot/vmlinuz-.*")
        assert f"/boot/initramfs-{kernel.removeprefix('/boot/vmlinuz-')}.img" in old_image.names


class TestNew:
    """EL9's shape."""

    def test_its_texts_are_where_systemd_looks(self, new_image: Image) -> None:
        assert new_image.text("/etc/hostname") == "new.example.org\n"
        assert new_image.text("/etc/locale.conf") == "LANG=C.UTF-8\n"
        assert new_image["/etc/localtime"].linkname == "/usr/share/zoneinfo/Europe/Berlin"
        assert new_image["/etc/machine-id"].size == 0

    def test_selinux_labels_at_the_first_boot(self, new_image: Image) -> None:
        assert "SELINUX=permissive" in new_image.text("/etc/selinux/config").splitlines()
        assert "/.autorelabel" in new_image.names

    def test_services_and_users_are_there(self, new_image: Image) -> None:
        assert new_image["/etc/systemd/system/multi-user.target.wants/sshd.service"].issym()
        assert new_image["/etc/systemd/system/chronyd.service"].linkname == "/dev/null"
        assert re.search(r"^app:!", new_image.text("/etc/shadow"), re.MULTILINE)
        assert new_image["/etc/sudoers.d/app"].mode == 0o440

    def test_nothing_of_the_builders_kernel_command_line_came_in(self, new_image: Image) -> None:
        ours = Path("/proc/cmdline").read_text().split()
        for path in new_image.found(r"/boot/loader/entries/.+|/etc/kernel/cmdline|/etc/default/grub"):
            assert not [word for word in ours if "=" in word and word in new_image.text(path)]


@pytest.mark.parametrize("name", ["old", "new"])
def test_the_initial_ram_disk_is_made_once(name: str, request: pytest.FixtureRequest) -> None:
    assert request.getfixturevalue(name).log.count("dracut: Executing:") == 1


@pytest.mark.parametrize("name", ["old", "new"])
def test_nothing_of_making_it_is_left(name: str, request: pytest.FixtureRequest) -> None:
    rooted = request.getfixturevalue(name)
    for image in opened(rooted):
        assert "/var/lib/rpm/rpmdb.sqlite" in image.names
        assert {image[path].size for path in image.found(r"/var/lib/rpm/.*-(wal|shm)")} == {0}
        assert not image.found(
            r"/knitter.*|/var/lib/rpm/(__db.*|\.rpm\.lock)|/root/\.rpmdb.*|/(dev|run|tmp|proc|sys)/.+"
        )
        assert not image.found(r"/var/cache/(dnf|yum)/.+|/etc/ssh/ssh_host_.*|/etc/resolv\.conf")
