"""The rootfs stage: what it rests on, and the real tree of debian-12."""

import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knitter.aws.session import Cloud
from knitter.errors import KnitterError
from knitter.recipe import load
from knitter.recipe.model import Recipe
from knitter.settings import Settings
from knitter.stages.build import Build
from knitter.stages.packages import Packages
from knitter.stages.rootfs import Rootfs
from knitter.stages.stage import ensure
from tests.desk import Desk


def no_cloud() -> Cloud:
    raise AssertionError("this stage needs no cloud")


def build_of(directory: Path, *, system: dict[str, Any] | None = None, **packages: Any) -> Build:
    directory.mkdir(parents=True, exist_ok=True)
    values = {"name": directory.name, "directory": directory, "packages": {"release": "bookworm", **packages}}
    recipe = Recipe.model_validate(values | {"system": system or {}})
    return Build(recipe, Settings(build_directory=directory / "build"), no_cloud)


def test_it_rests_on_the_overlay_and_the_scripts(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny"
    (recipe / "files/etc").mkdir(parents=True)
    (recipe / "setup").write_text("one\n")
    build = build_of(recipe, system={"scripts": ("setup",)})
    before = Rootfs().sections(build)
    (recipe / "files/etc/motd").write_text("hello\n")
    with_file = Rootfs().sections(build)
    (recipe / "setup").write_text("two\n")
    with_script = Rootfs().sections(build)
    assert [key for key in before if before[key] != with_file[key]] == ["files"]
    assert [key for key in before if with_file[key] != with_script[key]] == ["system.scripts"]


def test_what_only_packages_reads_does_not_matter(tmp_path: Path) -> None:
    plain = Rootfs().sections(build_of(tmp_path / "a"))
    assert plain == Rootfs().sections(build_of(tmp_path / "b", recommends=True, remove=("nano",)))
    assert plain != Rootfs().sections(build_of(tmp_path / "c", install=("nano",)))  # apt's marks are in the image


def test_an_own_keyring_counts_by_content(tmp_path: Path) -> None:
    (tmp_path / "a/keys").mkdir(parents=True)
    key = tmp_path / "a/keys/archive.asc"
    key.write_text("one")
    build = build_of(tmp_path / "a", keyring="keys/archive.asc")
    before = Rootfs().sections(build)
    key.write_text("two")
    assert Rootfs().sections(build) != before


@pytest.fixture(scope="session")
def debian_rootfs(debian: Desk) -> Path:
    return debian.build / "debian-12" / "rootfs.tar"


@pytest.fixture
def archive(debian_rootfs: Path) -> Iterator[tarfile.TarFile]:
    with tarfile.open(debian_rootfs) as opened:
        yield opened


def text(archive: tarfile.TarFile, path: str) -> str:
    file = archive.extractfile(f"./{path}")
    assert file is not None
    return file.read().decode()


@pytest.mark.boot
class TestDebian:
    """rootfs.tar of debian-12 as it was built."""

    def test_it_is_native(self, archive: tarfile.TarFile, debian: Desk) -> None:
        names = set(archive.getnames())
        (kernel,) = debian.receipt("debian-12", "rootfs").facts["kernels"]  # type: ignore[misc, union-attr]
        assert {f"./boot/vmlinuz-{kernel}", f"./boot/initrd.img-{kernel}"} <= names
        assert archive.getmember("./initrd.img").linkname == f"boot/initrd.img-{kernel}"
        assert text(archive, "etc/initramfs-tools/update-initramfs.conf").count("update_initramfs=yes") == 1
        assert "knitter" not in text(archive, "var/lib/dpkg/diversions")
        assert not re.search("mmdebstrap|knitter", "\n".join(names))

    def test_every_locked_package_is_configured(self, archive: tarfile.TarFile, debian: Desk) -> None:
        status = text(archive, "var/lib/dpkg/status")
        locked = Packages().lock(debian.site.build("debian-12")).packages
        assert status.count("\nStatus: install ok installed\n") == status.count("\nStatus: ") == len(locked)

    def test_apt_trusts_the_archive_alone(self, archive: tarfile.TarFile) -> None:
        sources = text(archive, "etc/apt/sources.list").splitlines()
        assert len(sources) >= 2
        keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
        assert all(line.startswith(f"deb [signed-by={keyring}] http") for line in sources)
        assert archive.getmember(f".{keyring}").isfile()

    def test_dependencies_can_be_removed_when_nobody_needs_them(self, archive: tarfile.TarFile) -> None:
        states = text(archive, "var/lib/apt/extended_states")
        auto = set(re.findall(r"Package: (\S+)\nArchitecture: \S+\nAuto-Installed: 1", states))
        assert not auto & {"apt", "cloud-init", "dpkg", "linux-image-cloud-amd64", "openssh-server"}
        assert {name for name in auto if name.startswith("linux-image-6")}

    def test_capabilities_and_modes_are_kept(self, archive: tarfile.TarFile) -> None:
        assert archive.getmember("./usr/bin/sudo").mode == 0o4755
        assert archive.getmember("./etc/shadow").mode == 0o640
        assert archive.getmember("./etc/shadow").gid == 42

    def test_nothing_is_younger_than_the_lock(self, archive: tarfile.TarFile, debian: Desk) -> None:
        epoch = debian.receipt("debian-12", "rootfs").facts["source_date_epoch"]
        assert isinstance(epoch, int)
        assert max(member.mtime for member in archive.getmembers()) <= epoch


@pytest.fixture
def variant(debian: Desk, tmp_path: Path) -> Build:
    """A recipe that extends debian-12, with its lock and its base: nothing is resolved or bootstrapped for it."""
    shutil.copytree(debian.root / "recipes", tmp_path / "recipes")
    folder = tmp_path / "recipes" / "variant"
    folder.mkdir()
    shutil.copy(debian.build / "debian-12" / "packages.lock", folder)
    (folder / "recipe.toml").write_text('extends = "debian-12"\n')
    return _loaded(debian, tmp_path)


def _loaded(desk: Desk, root: Path, **settings: str) -> Build:
    values = {"build_directory": root / "build", "cache_directory": desk.cache, **settings}
    return Build(load.load(root / "recipes", "variant"), Settings.model_validate(values), no_cloud)


def _write(build: Build, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = build.recipe.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


CUSTOM = """
extends = "debian-12"
[system]
hostname = "web.example.org"
locale = "de_DE.UTF-8"
timezone = "Europe/Berlin"
services = { "serial-getty@ttyS0.service" = "enabled", "apt-daily.timer" = "masked" }
scripts = ["setup"]
users = [{ name = "app", uid = 1500, groups = ["adm"], sudo = true }]
files = [{ path = "/srv/app/secret", owner = "app", group = "adm", mode = "0640" }]
"""
SETUP = """#!/bin/sh -eu
id app
test ! -e /sys/class/net
if getent hosts example.org; then exit 9; fi
invoke-rc.d ssh start || true
touch /etc/made-by-setup
echo options nvme_core io_timeout=4294967295 > /etc/modprobe.d/nvme.conf
"""


@pytest.mark.boot
def test_a_recipe_is_followed(debian: Desk, variant: Build, debian_rootfs: Path, tmp_path: Path) -> None:
    _write(variant, {"recipe.toml": CUSTOM, "setup": SETUP, "files/srv/app/secret": "x\n", "files/etc/motd": "hi\n"})
    (variant.recipe.directory / "setup").chmod(0o755)
    build = _loaded(debian, tmp_path)
    for stage in (Packages(), Rootfs()):
        ensure(stage, build)
    log = Rootfs().log_path(build).read_text()
    assert "mmdebstrap" not in log
    assert "update-initramfs: Generating" in log  # modprobe.d is copied into it
    with tarfile.open(build.directory / "rootfs.tar") as archive, tarfile.open(debian_rootfs) as plain:
        assert text(archive, "etc/hostname") == "web.example.org\n"
        assert "127.0.1.1\tweb.example.org web\n" in text(archive, "etc/hosts")
        assert text(archive, "etc/default/locale") == "LANG=de_DE.UTF-8\n"
        assert archive.getmember("./etc/localtime").linkname == "/usr/share/zoneinfo/Europe/Berlin"
        assert archive.getmember("./etc/systemd/system/apt-daily.timer").linkname == "/dev/null"
        assert archive.getmember("./etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service").issym()
        assert re.search(r"^app:x:1500:1500:.*:/home/app:/bin/bash$", text(archive, "etc/passwd"), re.MULTILINE)
        assert re.search(r"^app:!:", text(archive, "etc/shadow"), re.MULTILINE)
        assert re.search(r"^adm:x:4:app$", text(archive, "etc/group"), re.MULTILINE)
        sudo, secret = archive.getmember("./etc/sudoers.d/app"), archive.getmember("./srv/app/secret")
        assert (sudo.mode, secret.mode, secret.uid, secret.gid) == (0o440, 0o640, 1500, 4)
        assert archive.getmember("./etc/made-by-setup").isfile()
        assert text(archive, "etc/cloud/cloud.cfg.d/50_ec2.cfg") == text(plain, "etc/cloud/cloud.cfg.d/50_ec2.cfg")


@pytest.mark.boot
@pytest.mark.usefixtures("variant")
def test_a_tree_made_from_the_kept_base_is_the_one_just_bootstrapped(debian: Desk, tmp_path: Path) -> None:
    """Bootstrapped anew, on disk and in another cache; the session's recipe of the same content is the other one."""
    shutil.copytree(debian.cache / "sha256", tmp_path / "cache" / "sha256")
    bootstrapped = _loaded(debian, tmp_path, cache_directory=str(tmp_path / "cache"), scratch="disk")
    digests = [ensure(stage, bootstrapped).receipt.digest for stage in (Packages(), Rootfs())]
    assert digests[1] == debian.receipt("debian-12", "rootfs").digest
    again = ensure(Rootfs(), Build(bootstrapped.recipe, _settings(bootstrapped, tmp_path / "again"), no_cloud))
    assert again.receipt.digest == digests[1]


def _settings(build: Build, directory: Path) -> Settings:
    shutil.copytree(build.directory, directory / build.recipe.name, ignore=shutil.ignore_patterns("rootfs.*"))
    return build.settings.model_copy(update={"build_directory": directory, "scratch": "auto"})


@pytest.mark.boot
def test_what_no_image_may_hold_fails_the_stage_by_name(variant: Build) -> None:
    _write(variant, {"files/root/.ssh/authorized_keys": "ssh-ed25519 AAAA me\n", "files/root/.bash_history": "ls\n"})
    ensure(Packages(), variant)
    with pytest.raises(KnitterError, match="2 things that no image may hold") as caught:
        ensure(Rootfs(), variant)
    assert caught.value.details.splitlines() == [
        "scrub: /root/.bash_history: a history",
        "scrub: /root/.ssh/authorized_keys: keys that may log in",
    ]
    assert not (variant.directory / "rootfs.tar").exists()
    assert not (variant.directory / ".rootfs").exists()


@pytest.mark.boot
def test_a_script_that_fails_is_named(debian: Desk, variant: Build, tmp_path: Path) -> None:
    recipe = 'extends = "debian-12"\n[system]\nscripts = ["setup"]\n'
    _write(variant, {"recipe.toml": recipe, "setup": "#!/bin/sh\necho trying\necho no such luck >&2\nexit 3\n"})
    build = _loaded(debian, tmp_path)
    ensure(Packages(), build)
    with pytest.raises(KnitterError, match="setup failed with exit code 3") as caught:
        ensure(Rootfs(), build)
    assert "trying\nno such luck" in caught.value.details
