"""A distribution of RPM packages made on the spot from Debian's, in two shapes: `EL6` and `EL9`.

    distribution = ensure(EL6)
    with FileServer(distribution.www) as server:
        ... server.url stands for the distribution's mirror; distribution.key, distribution.fingerprint

Real: signed repositories, groups, dependencies that rpm's own generators found, scriptlets that run, a kernel, an
initial RAM disk, a boot loader, an image that boots.  Not Red Hat's: any program in it.

    both   everything in /lib and /sbin lies in /usr; rpm is 4.18 with sqlite; dracut is 059
    EL6    systemd stands in for upstart, and runs the init scripts through its generator; chkconfig, new-kernel-pkg,
           network and the other init scripts are ours; yum is dnf; GRUB 0.97 is Debian's, with its own stage files;
           iptables' scripts do nothing
    EL9    kernel-install's steps, grub2-mkconfig and cloud-init's units are ours; GRUB is 2.14, its module `blsuki`
           called blscfg as in Red Hat's; grubx64.efi is not signed, the shim is Debian's; SELinux has no policy
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knitter.cache import Cache
from tests.synthetic import build
from tests.synthetic.el6 import EL6
from tests.synthetic.el9 import EL9
from tests.synthetic.shape import Shape

__all__ = ["EL6", "EL9", "Distribution", "Shape", "ensure"]

_UNUSED_DAYS: Final = 14
"""After which another version's distribution is removed."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """One shape, built.  Read it, do not change it: `copy` is for that."""

    folder: Path

    @property
    def www(self) -> Path:
        """What is served; paths below it are as on the distribution's own mirrors."""
        return self.folder / build.WWW

    @property
    def key(self) -> Path:
        """The public key that packages are signed with, armored."""
        return self.folder / build.KEY

    @property
    def fingerprint(self) -> str:
        """The key's, 40 hexadecimal digits."""
        return (self.folder / build.FINGERPRINT).read_text()

    @property
    def secret(self) -> Path:
        """GnuPG's home with the secret key, which has no passphrase; copy it to a short path to sign with it."""
        return self.folder / build.GNUPG

    def copy(self, folder: Path) -> "Distribution":
        """The same in *folder*, to be tampered with."""
        shutil.copytree(self.folder, folder)
        return Distribution(folder)


def ensure(shape: Shape, directory: Path | None = None) -> Distribution:
    """The distribution of *shape*, from *directory* or built into it; several processes may ask at once.

    directory: left out, SYNTHETIC_CACHE of the environment, or knitter-tests of the user's cache.
    """
    directory = directory or _default()
    directory.mkdir(parents=True, exist_ok=True)
    folder = directory / f"{shape.name}-{_key()[:12]}"
    if not folder.exists():
        with _lock(directory / f"{folder.name}.lock"):
            if not folder.exists():
                _make(shape, directory, folder)
        _forget_others(shape, directory)
    os.utime(folder)
    return Distribution(folder)


def _default() -> Path:
    if given := os.environ.get("SYNTHETIC_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "knitter-tests"


def _key() -> str:
    """Of all that the distributions are made of, but for Debian's packages: those of the day are taken."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*")):
        if path.is_symlink():
            digest.update(f"{path.relative_to(here)} -> {path.readlink()}\n".encode())
        elif (
            path.is_file() and path.suffix != ".pyc" and not re.fullmatch(r"(__init__|served|test_\w+)\.py", path.name)
        ):
            digest.update(f"{path.relative_to(here)} {path.stat().st_mode & 0o111:o} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _make(shape: Shape, directory: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{shape.name}-making-", dir=directory) as work:
        made = Path(work) / "made"
        made.mkdir()
        build.build(shape, Cache(directory / "debs"), made, Path(work) / "work")
        made.rename(folder)


def _forget_others(shape: Shape, directory: Path) -> None:
    for other in directory.glob(f"{shape.name}-*"):
        if other.is_dir() and other.stat().st_mtime < time.time() - _UNUSED_DAYS * 86400:
            shutil.rmtree(other, ignore_errors=True)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
