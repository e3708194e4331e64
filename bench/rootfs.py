"""The root of the synthetic distribution's EL9 shape: by stage `rootfs`, and by plain dnf from the same files, in turn.

Both start from packages on the disk and make the initial RAM disk.  dnf's tree stays a tree; the stage's is kept as a
base, customised, scrubbed, packed and proven.
"""

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from knitter.cache import Cache
from knitter.command import command
from knitter.machine.scratch import scratch
from knitter.stages.rootfs import Rootfs
from knitter.units import GIB
from tests.stages.rooted import NEW, Rooted
from tests.synthetic import EL9
from tests.synthetic.served import served

_DNF: Final = """
tree=$1/tree
mkdir -p "$tree/dev" "$tree/proc" "$tree/run" "$tree/sys"
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/run"
home=$2
shift 2
exec env HOME="$home" dnf --assumeyes --quiet --config="$home/dnf.conf" --installroot="$tree" install "$@" >&2
"""


def measure(runs: int) -> list[tuple[str, str, str]]:
    """Median seconds of *runs*, and their ratio."""
    with tempfile.TemporaryDirectory(prefix="knitter-bench-") as name, served(EL9) as one:
        root = Path(name)
        rooted = Rooted(root, EL9, one, NEW, {})
        rooted.make()
        _prepare(rooted, one.distribution.key, root / "home")
        names = [package.name for package in rooted.lock.packages]
        ours, plain = [], []
        for _ in range(runs):
            plain.append(_timed(lambda: _dnf(root, names)))
            Rootfs().clean(rooted.build())
            rooted.forget_bases()
            ours.append(_timed(rooted.make))
    first, second = statistics.median(ours), statistics.median(plain)
    return [
        ("root of EL9: plain dnf", f"{second:.1f} s", ""),
        ("root of EL9: stage rootfs", f"{first:.1f} s", f"{first / second:.2f} x dnf (at most 1.15)"),
    ]


def _prepare(rooted: Rooted, key: Path, home: Path) -> None:
    """The locked packages as files with names, and dnf's configuration."""
    (home / "rpms").mkdir(parents=True)
    cache = Cache(rooted.root / "cache")
    for package in rooted.lock.packages:
        shutil.copy(cache.path(package.sha256), home / "rpms" / Path(package.url).name)
    subprocess.run(["createrepo_c", "--quiet", home / "rpms"], check=True)
    (home / ".rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
    (home / "dnf.conf").write_text(
        "[main]\nreposdir=/none\ncachedir=/cache\nmodule_platform_id=platform:el9\n"
        f"[files]\nname=files\nbaseurl=file://{home}/rpms\ngpgcheck=1\ngpgkey=file://{key}\n"
    )


def _dnf(root: Path, names: list[str]) -> None:
    place = root / "dnf"
    place.mkdir()
    with scratch("memory", place, need=2 * GIB) as (machine, tree):
        machine.run(command("unshare", "--mount", "sh", "-euc", _DNF, "sh", tree, root / "home", *names))
    place.rmdir()


def _timed(work: Callable[[], object]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin
