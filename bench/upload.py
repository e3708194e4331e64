"""The same blocks into the lab by knitter's own engine and by boto3, in turn."""

import secrets
import statistics
import time

from bench.site import Bench
from knitter.aws.journal import Journal
from knitter.aws.put import Engine
from knitter.aws.session import Cloud
from knitter.aws.upload import Manner, upload
from knitter.disk import blocks
from knitter.site import Site
from knitter.units import BLOCK, GIB, MIB

THREADS = 64
UNBOUNDED = 1e6
"""Blocks a second: AWS's quota of 1,000 would hold back the faster engine alone."""


def compare(bench: Bench, runs: int) -> tuple[float, float]:
    """Median MiB/s of knitter's engine and of boto3, from the first block put to the last acknowledged."""
    cloud = Site(bench.root).cloud()
    speeds: dict[Engine, list[float]] = {"http": [], "boto3": []}
    for _ in range(runs):
        for engine, found in speeds.items():
            found.append(_speed(cloud, bench, engine))
    return statistics.median(speeds["http"]), statistics.median(speeds["boto3"])


def _speed(cloud: Cloud, bench: Bench, engine: Engine) -> float:
    listed = blocks.read(bench.build / "disk.blocks")
    snapshot = cloud.ebs.start_snapshot(VolumeSize=listed.size // GIB)["SnapshotId"]
    journal = Journal(bench.root / f"{secrets.token_hex(8)}.journal", snapshot)
    begin = time.monotonic()
    manner = Manner(engine, THREADS, UNBOUNDED)
    upload(cloud, snapshot, bench.build / "disk.raw", listed, journal=journal, manner=manner)
    seconds = time.monotonic() - begin
    cloud.ec2.delete_snapshot(SnapshotId=snapshot)
    return len(listed) * BLOCK / MIB / seconds
