"""The same upload into the lab by knitter's own engine and by boto3, in turn."""

import secrets
import statistics
import time

from bench.site import Bench
from knitter.aws import snapshots
from knitter.aws.put import Engine
from knitter.aws.session import Cloud
from knitter.aws.tags import stamp
from knitter.aws.upload import Manner
from knitter.disk import blocks
from knitter.site import Site
from knitter.units import BLOCK, MIB

THREADS = 64


def compare(bench: Bench, runs: int) -> tuple[float, float]:
    """Median MiB/s of knitter's engine and of boto3, from StartSnapshot to completed."""
    cloud = Site(bench.root).cloud()
    speeds: dict[Engine, list[float]] = {"http": [], "boto3": []}
    for _ in range(runs):
        for engine, found in speeds.items():
            found.append(_speed(cloud, bench, engine))
    return statistics.median(speeds["http"]), statistics.median(speeds["boto3"])


def _speed(cloud: Cloud, bench: Bench, engine: Engine) -> float:
    listed = blocks.read(bench.build / "disk.blocks")
    key = secrets.token_hex(32)
    order = snapshots.Order(
        key=key,
        disk=bench.build / "disk.raw",
        blocks=listed,
        size=listed.size,
        description="bench",
        tags=stamp(key=key, recipe="bench", stage="snapshot", name="bench"),
    )
    journal = bench.root / f"{key}.journal"
    begin = time.monotonic()
    stored = snapshots.ensure_snapshot(
        cloud, order, journal=journal, manner=Manner(engine, THREADS), dead=frozenset(), note=lambda _: None
    )
    seconds = time.monotonic() - begin
    cloud.ec2.delete_snapshot(SnapshotId=stored.id)
    return len(listed) * BLOCK / MIB / seconds
