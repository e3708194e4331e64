"""The benchmark: `.venv/bin/python -m bench`, as root.  One command, one table, every ratio measured in this one run.

floor     the same packages by plain tools: mmdebstrap from a local repository, mke2fs -d, GRUB by hand
cold      `doit disk:debian-12`, packages cached, nothing else
change    the same after one changed overlay file
no-op     `doit build:debian-12` with nothing to do
list      `doit list` with 10 and with 300 recipes
upload    the disk into the lab, by knitter's own engine and by boto3
loaders   the disk of the same root with LVM and GRUB 0.97, and with plain ext4 and GRUB 2
memory    peak of doit's own process, for a small and a large disk
surrogate 1 GiB of noise written as the surrogate's stage does, and by `ssh host 'cat > file'`, both on loopback;
          and what a build asks of the cloud; alone: `python -m bench surrogate`
rootfs    the root of the synthetic distribution's EL9 shape, by the stage and by plain dnf;
          alone: `python -m bench rootfs`

Each figure is the median of --runs runs (default 3); floor and cold take turns, so that a machine that slows down slows
both.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import floor, loaders, road, rootfs, site, surrogate, upload


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    if arguments.only == "surrogate":
        _print([*surrogate.measure(arguments.runs), *road.measure()])
        return
    if arguments.only == "rootfs":
        _print(rootfs.measure(arguments.runs))
        return
    with tempfile.TemporaryDirectory(prefix="knitter-bench-") as name:
        bench = site.Bench(Path(name))
        print("fetching the packages once", file=sys.stderr)
        bench.fetch()
        families = rootfs.measure(arguments.runs)
        _print([*_measure(bench, arguments.runs), *families, *surrogate.measure(arguments.runs), *road.measure()])


def _measure(bench: site.Bench, runs: int) -> list[tuple[str, str, str]]:
    floors, colds = [], []
    for number in range(runs):
        print(f"floor and cold, run {number + 1} of {runs}", file=sys.stderr)
        floors.append(_timed(lambda: floor.build(bench.lock, bench.cache, bench.root / "floor")))
        colds.append(_timed(bench.cold))
    changes = [_timed(bench.change) for _ in range(runs)]
    print("no-op and upload", file=sys.stderr)
    bench.finish()
    noops = [_timed(bench.nothing) for _ in range(runs)]
    few, many = (_listing(bench, recipes, 2 * runs + 1) for recipes in (10, 300))
    ours, boto3 = upload.compare(bench, 2 * runs + 1)
    shapes = loaders.measure(bench.build / "rootfs.tar", runs)
    small, large = bench.memory("4GiB"), bench.memory("64GiB")
    base, cold = statistics.median(floors), statistics.median(colds)
    return [
        ("floor: plain tools", f"{base:.1f} s", ""),
        ("cold disk", f"{cold:.1f} s", f"{cold / base:.2f} x floor (at most 1.0)"),
        (
            "disk after one changed file",
            f"{statistics.median(changes):.1f} s",
            _share(statistics.median(changes), cold),
        ),
        ("no-op build", f"{statistics.median(noops):.2f} s", "(under 1 s)"),
        ("doit list, 10 recipes", f"{few:.2f} s", "(under 0.5 s)"),
        ("doit list, 300 recipes", f"{many:.2f} s", "(under 1.5 s)"),
        *shapes,
        ("upload, own engine", f"{ours:.0f} MiB/s", f"{ours / boto3:.2f} x boto3 (at least 1.5)"),
        ("upload, boto3", f"{boto3:.0f} MiB/s", ""),
        ("peak memory, 4 GiB disk", f"{small:.0f} MB", "(under 300)"),
        ("peak memory, 64 GiB disk", f"{large:.0f} MB", "(under 300)"),
    ]


def _listing(bench: site.Bench, recipes: int, runs: int) -> float:
    with bench.recipes(recipes):
        return statistics.median(_timed(bench.listing) for _ in range(runs))


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.2f} x cold (at most 0.20)"


def _timed(work: Callable[[], object]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def _print(rows: list[tuple[str, str, str]]) -> None:
    for name, value, ratio in rows:
        print(f"{name:<30}{value:>14}   {ratio}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="?", choices=["rootfs", "surrogate"], help="measure this alone")
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
