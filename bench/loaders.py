"""A disk with LVM and GRUB 0.97, and one with plain ext4 and GRUB 2, of one root, in turn."""

import io
import shutil
import statistics
import tarfile
import tempfile
import time
from pathlib import Path

from knitter.disk.assembly import Plan, assemble
from knitter.disk.geometry import plan_layout
from knitter.machine.scratch import scratch
from knitter.recipe.boot import Boot
from knitter.recipe.disk import Disk
from knitter.units import GIB
from tests.disk.legacy import legacy

_EPOCH = 1_700_000_000
_PLAIN = ({"kind": "bios-boot"}, {"size": "rest", "mount": "/"})
_LVM = (
    {"size": "1023MiB", "mount": "/boot", "filesystem": "ext4-el6"},
    {
        "kind": "lvm",
        "size": "rest",
        "group": "vg_1",
        "volumes": (
            {"name": "lv_root", "size": "4GiB", "mount": "/", "filesystem": "ext4-el6"},
            {"name": "lv_var", "size": "rest", "mount": "/var", "filesystem": "ext4-el6"},
        ),
    },
)


def measure(archive: Path, runs: int) -> list[tuple[str, str, str]]:
    """Rows of the table.  archive: rootfs.tar of a Debian root."""
    plans = [
        _plan(Boot(loader="grub-legacy", firmware="bios"), label="msdos", partitions=_LVM),
        _plan(Boot(firmware="bios"), label="gpt", partitions=_PLAIN),
    ]
    times: list[list[float]] = [[], []]
    with tempfile.TemporaryDirectory(prefix="knitter-bench-") as name:
        root = _with_legacy(archive, Path(name))
        for _ in range(runs):
            for plan, found in zip(plans, times, strict=True):
                found.append(_timed(root, plan))
    volumes, plain = (statistics.median(found) for found in times)
    return [
        ("disk, LVM and GRUB 0.97", f"{volumes:.1f} s", f"{volumes / plain:.2f} x plain (at most 1.3)"),
        ("disk, ext4 and GRUB 2", f"{plain:.1f} s", ""),
    ]


def _plan(boot: Boot, **disk: object) -> Plan:
    layout = plan_layout(Disk.model_validate({"size": "8GiB", **disk}, strict=False), "bench")
    return Plan(layout, boot, "x86_64", "debian", _EPOCH)


def _with_legacy(archive: Path, directory: Path) -> Path:
    """A copy of *archive* with what GRUB 0.97 and LVM need."""
    path = Path(shutil.copy(archive, directory / "rootfs.tar"))
    files, programs = legacy()
    merged = {f"usr/{name}": data for name, data in programs.items()} | {"usr/sbin/lvm": b""}
    with tarfile.open(path, "a") as tar:
        for name, data in (files | merged).items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mtime, member.mode = len(data), _EPOCH, 0o755
            tar.addfile(member, io.BytesIO(data))
    return path


def _timed(root: Path, plan: Plan) -> float:
    log = root.with_name("log")
    with scratch("memory", root.parent, need=2 * GIB, log=log) as (machine, place):
        begin = time.monotonic()
        assemble(machine, place, root, plan, log=log)
        return time.monotonic() - begin
