"""An ordinary user of this host, who runs doit in a namespace in which pytest's and root's folders can be reached."""

import getpass
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.desk import ROOT, Desk

_AS_USER = """
set -eu
folder=$1 user=$2 packages=$3 source=$4
shift 4
mount --make-rprivate /
mount --bind "$packages" "$folder/packages"
mount --bind "$source" "$folder/source"
cd "$folder/desk"
exec setpriv --reuid="$user" --regid="$user" --init-groups --inh-caps=-all -- \
    env -i HOME="$folder/home" PATH=/usr/bin:/bin PYTHONPATH="$folder/source:$folder/packages" \
    PYTHONDONTWRITEBYTECODE=1 CI=true "$@"
"""


@contextmanager
def user() -> Iterator[str]:
    """With ranges in /etc/subuid and /etc/subgid; without root, whoever runs the tests."""
    if os.geteuid():
        yield getpass.getuser()
        return
    name = f"knitter-test-{os.getpid()}"
    subprocess.run(["useradd", "--no-create-home", "--home-dir", "/nonexistent", name], check=True)
    try:
        ranges = [f"--add-{kind}=700000-765535" for kind in ("subuids", "subgids")]
        subprocess.run(["usermod", *ranges, name], check=True)
        yield name
    finally:
        subprocess.run(["userdel", name], check=True)


@contextmanager
def folder() -> Iterator[Path]:
    """With places for a desk, `desk`, and its cache, `home/cache`.  Where a user may go: pytest's are root's alone."""
    with tempfile.TemporaryDirectory(prefix="knitter-rootless-") as name:
        path = Path(name)
        path.chmod(0o755)
        for part in ("packages", "source", "home/cache"):
            (path / part).mkdir(parents=True)
        yield path


def doit(folder: Path, desk: Desk, name: str, *words: str) -> None:
    """Run doit with *words* on *desk*, which lies in *folder*, as the user *name*."""
    if os.geteuid():
        desk.doit(*words)
        return
    for path in (folder / "home", desk.root):
        subprocess.run(["chown", "-R", f"{name}:{name}", path], check=True)
    settings = {"cache_directory": str(folder / "home/cache"), **desk.settings}
    variables = [f"KNITTER_{key.upper()}={value}" for key, value in settings.items()]
    places = [folder, name, sysconfig.get_path("purelib"), ROOT]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _AS_USER, "sh", *places, *variables, _python(), "-m", "doit", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _python() -> str:
    """An interpreter of this version that any user may run: pyenv's lies below /root."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = shutil.which(version, path="/usr/bin:/usr/local/bin")
    assert found, f"no {version} outside of virtual environments"
    return found
