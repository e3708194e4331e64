"""One seed, played: faulty runs of doit on a desk of its own, then a clean one, then a look at what is there."""

import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from knitter.lab.service import Lab
from knitter.units import MIB
from tests.campaign import cut
from tests.campaign.conftest import register
from tests.campaign.draw import Case, Run
from tests.campaign.faults import Plan
from tests.campaign.left import find_left
from tests.campaign.prepared import COUNT, prepare
from tests.campaign.proxy import Proxy
from tests.campaign.row import Row
from tests.desk import Desk
from tests.lab.conftest import boto_client, read_blocks

LIMIT: Final = 240.0
"""Seconds that a run has."""
TYPES: Final = "t3.micro t3.small t3.medium"


@dataclass(frozen=True)
class Kind:
    """What surrogates are: servers of this host, if nothing else is said."""

    image: str = ""
    """Their AMI; "": one that nobody boots."""
    user: str = "root"
    ttl: str = "5min"
    limit: float = LIMIT


class Trial:
    """See above.  `play` raises AssertionError if knitter fails the seed."""

    def __init__(self, case: Case, lab: Lab, region: str, root: Path, kind: Kind = Kind()) -> None:
        self.case = case
        self.kind = kind
        self.region = region
        self.lab = lab
        self.row = Row(case.seed, case.road)
        self.name = f"seed-{case.seed}"
        self.desk = Desk(root, root / "cache")
        self.outputs: list[str] = []
        self._ec2: Any = boto_client(lab, "ec2", region=region)
        self._ebs: Any = boto_client(lab, "ebs", region=region)

    def play(self) -> None:
        self._prepare()
        with Proxy(self.lab, self.region) as proxy:
            for number, run in enumerate(self.case.runs):
                self._faulty(proxy, run, number)
            self._clean(proxy)
            self._check_one()
        shutil.rmtree(self.desk.root)
        self.row.result = "ok"

    def _prepare(self) -> None:
        """A checkout with a disk; what comes before it is taken for done."""
        self.desk.settings = {
            "region": self.region,
            "via": self.case.road,
            "boot_check": "no",
            "surrogate_image": self.kind.image or register(self._ec2, self._ebs),
            "surrogate_user": self.kind.user,
            "surrogate_types": TYPES,
            "surrogate_ttl": self.kind.ttl,
            "uploads": "6",
        }
        self.blocks = prepare(self.desk, self.name, Random(self.case.seed))

    def _faulty(self, proxy: Proxy, run: Run, number: int) -> None:
        before, known = find_left(self._ec2, self.name), self._journal()
        proxy.begin(run.plan)
        extra = {"surrogate_spot": "yes"} if run.spot else {}
        if run.cuts:
            log = self.desk.root / f"cuts-{number}"
            extra["ssh_proxy_command"] = (
                f"{sys.executable} {cut.__file__} --seed {run.plan.seed} --log {log} --cuts {run.cuts} "
                f"--most {4 * MIB} {{address}} {{port}}"
            )
        self._began = time.monotonic()
        process = self.desk.start(f"build:{self.name}", endpoint=proxy.url, **extra)
        struck = threading.Event()

        def strike() -> None:
            if process.poll() is None and run.end != "itself":
                struck.set()
                process.send_signal(signal.Signals[run.end])

        proxy.on_strike = strike
        output = self._ended(process)
        self.row.faults += proxy.injected
        self.row.faults["SSH cut"] += self._cuts(number)
        self._note(run.end if struck.is_set() else f"exit {process.returncode}")
        self._check_puts(proxy, known)
        if process.returncode != -signal.SIGKILL:
            new = find_left(self._ec2, self.name).fleeting - before.fleeting
            unnamed = [thing for thing in new if thing not in output and _unasked(thing) not in output]
            assert not unnamed, f"{unnamed} left behind, and not named"

    def _clean(self, proxy: Proxy) -> None:
        known = self._journal()
        proxy.begin(Plan())
        self._began = time.monotonic()
        process = self.desk.start(f"build:{self.name}", endpoint=proxy.url)
        self._ended(process)
        self._note(f"exit {process.returncode}")
        assert process.returncode == 0, "the run without faults failed"
        self._check_puts(proxy, known)
        self._check_written(known)

    def _note(self, end: str) -> None:
        self.row.ends.append(f"{end} ({time.monotonic() - self._began:.0f} s)")

    def _ended(self, process: subprocess.Popen[str]) -> str:
        """What it printed, once it has ended by itself or as it was told to."""
        try:
            output, _ = process.communicate(timeout=self.kind.limit)
        except subprocess.TimeoutExpired:
            process.kill()
            self.outputs.append(process.communicate()[0])
            raise AssertionError(f"did not end within {self.kind.limit:.0f} s") from None
        self.outputs.append(f"exit code {process.returncode}\n{output}")
        assert "Traceback" not in output
        return output

    def _cuts(self, number: int) -> int:
        log = self.desk.root / f"cuts-{number}"
        return sum(line != "all" for line in log.read_text().split()) if log.exists() else 0

    def _check_puts(self, proxy: Proxy, known: dict[str, set[int]]) -> None:
        """No block that was acknowledged is put again, in this run or after it."""
        puts = {int(key.split()[1]): count for key, count in proxy.carried_out.items() if "PutSnapshotBlock" in key}
        again = [index for index, count in puts.items() if count > 1 + proxy.lost[f"ebs:PutSnapshotBlock {index}"]]
        assert not again, f"blocks {again} were put again though they had been acknowledged"
        snapshots = set(self._journal()) & set(known)  # else the run began another snapshot
        repeated = [index for index in puts if any(index in known[one] for one in snapshots)]
        assert not repeated, f"blocks {repeated} were put again though an earlier run had put them"

    def _check_written(self, known: dict[str, set[int]]) -> None:
        """What the surrogate's last run wrote is what its journal lacked."""
        log = self.desk.build / self.name / "logs" / "volume.log"
        text = log.read_text() if log.exists() else ""
        told = re.search(r"^volume (vol-\w+) in \S+: (\d+) blocks written", text, re.MULTILINE)
        if told and self.case.road == "surrogate":
            lacking = COUNT - len(known.get(told[1], ()))
            assert int(told[2]) <= lacking, f"{told[2]} blocks were written, the journal lacked {lacking}"

    def _journal(self) -> dict[str, set[int]]:
        """Snapshot or volume -> its blocks that an earlier run knows to be there."""
        found = {}
        for path in (self.desk.build / self.name).glob("lab/*.journal"):
            lines = path.read_text().split("\n")
            found[lines[0]] = {int(line) for line in lines[1:-1] if line.isdecimal()}
        return found

    def _check_one(self) -> None:
        """One AMI, one snapshot, which holds the disk; gc leaves just them."""
        left = find_left(self._ec2, self.name)
        assert len(left.images) == 1, f"AMIs: {left.images}"
        assert len(left.snapshots) == 1, f"snapshots: {left.snapshots}"
        (image,) = self._ec2.describe_images(ImageIds=list(left.images))["Images"]
        assert re.fullmatch(rf"{self.name}-20261121-[0-9a-f]{{8}}", image["Name"]), image["Name"]
        assert image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] in left.snapshots
        assert read_blocks(self._ebs, next(iter(left.snapshots))) == self.blocks, "the snapshot is not the disk"
        self._gc("--yes", "--all")
        after = find_left(self._ec2, self.name)
        assert not after.fleeting, f"gc left {after.fleeting}"
        assert (after.images, after.snapshots) == (left.images, left.snapshots)
        assert "nothing is left over" in self._gc()

    def _gc(self, *options: str) -> str:
        process = self.desk.start("gc", *options, endpoint=self.lab.endpoint)
        output = self._ended(process)
        assert process.returncode == 0, "gc failed"
        return output


def _unasked(thing: str) -> str:
    """What knitter says if it cannot ask for things like this one, and does not know that it made it."""
    kind = {"i": "instance", "vol": "volume", "sg": "security group"}[thing.partition("-")[0]]
    return f"{kind}: whether this run has left one is not known"


Play = Callable[[int], tuple[Trial, Future[None]]]
"""Of a seed: its trial, which was begun, and its end."""
