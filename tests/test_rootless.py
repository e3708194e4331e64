"""The same lock gives the same disk.raw: in another directory, from another cache, as root and as an ordinary user."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desk import ROOT, Desk

pytestmark = pytest.mark.boot
USER = "knitter-test"
_AS_USER = """
set -eu
mount --make-rprivate /
mount --bind "$1" "$3/packages"
mount --bind "$2" "$3/source"
cd "$3/desk"
exec setpriv --reuid="$4" --regid="$4" --init-groups --inh-caps=-all -- \
    env -i HOME="$3/home" PATH=/usr/bin:/bin PYTHONPATH="$3/source:$3/packages" PYTHONDONTWRITEBYTECODE=1 CI=true \
    KNITTER_CACHE_DIRECTORY="$3/home/cache" "$5" -m doit disk:debian-12
"""


@pytest.fixture
def user() -> Iterator[str]:
    """An ordinary user with ranges in /etc/subuid and /etc/subgid."""
    subprocess.run(["useradd", "--no-create-home", "--home-dir", "/nonexistent", USER], check=True)
    try:
        ranges = [f"--add-{kind}=700000-765535" for kind in ("subuids", "subgids")]
        subprocess.run(["usermod", *ranges, USER], check=True)
        yield USER
    finally:
        subprocess.run(["userdel", USER], check=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where that user may go: pytest's own folders are root's alone."""
    with tempfile.TemporaryDirectory(prefix="knitter-rootless-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def digest(desk: Desk) -> str:
    with (desk.build / "debian-12" / "disk.raw").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_another_directory_and_an_empty_cache(debian: Desk, tmp_path: Path) -> None:
    """As whoever runs the tests; with the trees on the disk, not in memory."""
    other = Desk(tmp_path / "elsewhere", tmp_path / "cache", {"scratch": "disk"})
    pin(debian, other)
    other.doit("disk:debian-12")
    assert digest(other) == digest(debian)


@pytest.mark.skipif(os.geteuid() != 0, reason="without root, all of this module runs rootless already")
def test_an_ordinary_user(debian: Desk, folder: Path, user: str) -> None:
    home = folder / "home"
    desk = Desk(folder / "desk", home / "cache")
    pin(debian, desk)
    (home / "cache").mkdir(parents=True)
    for name in ("packages", "source"):
        (folder / name).mkdir()
    for path in (home, folder / "desk"):
        subprocess.run(["chown", "-R", f"{user}:{user}", path], check=True)
    argv = [sysconfig.get_path("purelib"), ROOT, folder, user, python()]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _AS_USER, "sh", *argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (desk.build / "debian-12" / "disk.raw").stat().st_uid != 0
    assert digest(desk) == digest(debian)


def pin(from_desk: Desk, to_desk: Desk) -> None:
    """The same lock for both."""
    shutil.copy(from_desk.build / "debian-12" / "packages.lock", to_desk.root / "recipes" / "debian-12")


def python() -> str:
    """An interpreter of this version that any user may run: pyenv's lies below /root."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = shutil.which(version, path="/usr/bin:/usr/local/bin")
    assert found, f"no {version} outside of virtual environments"
    return found
