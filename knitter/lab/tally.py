"""The record of calls: which actions were asked for, how often, by knitter and by others."""

import json
import os
import re
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

CALLS: Final = "/knitter/calls"
FILE: Final = "LAB_CALLS"
"""Environment variable: names a file to which each action is appended when it is asked for first."""
_SERVICE: Final = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/")
_ROUTES: Final = (
    ("POST", re.compile(r"/snapshots"), "StartSnapshot"),
    ("PUT", re.compile(r"/snapshots/[^/]+/blocks/[^/]+"), "PutSnapshotBlock"),
    ("POST", re.compile(r"/snapshots/completion/[^/]+"), "CompleteSnapshot"),
    ("GET", re.compile(r"/snapshots/[^/]+/blocks"), "ListSnapshotBlocks"),
    ("GET", re.compile(r"/snapshots/[^/]+/blocks/[^/]+"), "GetSnapshotBlock"),
    ("GET", re.compile(r"/snapshots/[^/]+/changedblocks"), "ListChangedBlocks"),
)


class Tally:
    """Counts.  Thread-safe."""

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._guard = threading.Lock()
        self._counts: dict[str, Counter[str]] = {"knitter": Counter(), "others": Counter()}
        self._written: set[str] = set()

    def count(self, action: str, agent: str) -> None:
        """One call of *action*, such as ec2:RunInstances, by the client that calls itself *agent*."""
        who = "knitter" if "knitter/" in agent else "others"
        with self._guard:
            self._counts[who][action] += 1
            line = f"{who} {action}"
            if self._path and line not in self._written:
                self._written.add(line)
                _append(self._path, f"{line}\n")

    def told(self, *, reset: bool) -> str:
        """All counts as JSON; afterwards they are zero if *reset*."""
        with self._guard:
            text = json.dumps({who: dict(sorted(counts.items())) for who, counts in self._counts.items()})
            if reset:
                for counts in self._counts.values():
                    counts.clear()
        return text


def _append(path: str, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def name_block_action(method: str, path: str) -> str:
    """The action of a request to EBS direct; Unknown if there is none."""
    found = (name for verb, pattern, name in _ROUTES if verb == method and pattern.fullmatch(path))
    return f"ebs:{next(found, 'Unknown')}"


def name_action(headers: Mapping[str, str], body: bytes) -> str:
    """The action of a request to any other service, named as IAM does.  *headers* have lower-case names."""
    service = _SERVICE.search(headers.get("authorization", ""))
    target = headers.get("x-amz-target", "").rpartition(".")[2]
    action = target or parse_qs(body.decode("latin-1")).get("Action", ["Unknown"])[0]
    return f"{service[1] if service else 'unknown'}:{action}"
