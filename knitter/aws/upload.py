"""The blocks of a disk go up into a pending snapshot: many threads, one process, one connection a thread.

Measured with 100 ms latency and TLS on two cores: 128 threads of http.client put 1,000 blocks a second, the quota of a
snapshot; boto3 stops near 40 % of it.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from knitter import interrupt
from knitter.aws.explain import explained, refusal, unreachable
from knitter.aws.journal import Journal
from knitter.aws.put import Engine, Putter, putters
from knitter.aws.retry import Answer, Pace, Verdict, backoff, verdict
from knitter.aws.session import Cloud
from knitter.errors import KnitterError
from knitter.progress import say
from knitter.units import BLOCK

Block = tuple[int, bytes]
"""Index of a block of 512 KiB, and its SHA-256 (32 bytes)."""


class Blocks(Protocol):
    """What is to be put; may be too long for a list of tuples in memory."""

    def __len__(self) -> int:
        """How many."""

    def __iter__(self) -> Iterator[Block]:
        """Each of them, ascending by index; from the start each time."""


PATIENCE: Final = 180.0
"""Seconds one block is tried again before the upload is given up; the next run continues it."""
SETTLING: Final = 120.0
"""Seconds in which a snapshot just started may be unknown (eventual consistency)."""
TELL_EVERY: Final = 0.2
"""Seconds between two words of progress."""
FAREWELL: Final = 3.0
"""Seconds that threads get to end after a failure or an interrupt; they are daemons, so none holds knitter back."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How to upload."""

    engine: Engine = "http"
    threads: int = 64
    rate: float = 1000.0
    """Blocks a second, at most."""
    patience: float = PATIENCE


class _StoppedError(Exception):
    """Another thread failed, or the user wants to stop."""


@dataclass
class _Upload:
    """One upload: what its threads share."""

    snapshot: str
    disk: Path
    descriptor: int
    journal: Journal
    manner: Manner
    connect: Callable[[], Putter]
    todo: Iterator[Block]
    note: Callable[[str], None]
    pace: Pace
    started: float = field(default_factory=time.monotonic)
    putters: list[Putter] = field(default_factory=list)
    failure: BaseException | None = None
    put: int = 0
    running: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def work(self) -> None:
        """One thread: blocks until there are no more."""
        try:
            putter = self.connect()
            with self.guard:
                self.putters.append(putter)
            buffer = bytearray(BLOCK)
            with explained(f"putting blocks into {self.snapshot}"):
                while block := self._next():
                    self._one(putter, block, buffer)
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 it is raised again in the caller's thread
            self._fail(error)
        finally:
            with self.guard:
                self.running -= 1
                if not self.running:
                    self.ended.set()

    def abort(self) -> None:
        """Make all threads end soon."""
        self.stop.set()
        with self.guard:
            connected = list(self.putters)
        for putter in connected:
            putter.abort()

    def _next(self) -> Block | None:
        with self.guard:
            return next(self.todo, None)

    def _one(self, putter: Putter, block: Block, buffer: bytearray) -> None:
        index, sha256 = block
        self._read(index, sha256, buffer)
        failures, patient_until = 0, float("inf")
        while True:
            self._pause(self.pace.reserve())
            answer = putter.put(index, buffer, sha256)
            what = verdict(answer, settling=time.monotonic() - self.started < SETTLING)
            if what is Verdict.DONE:
                break
            if self.stop.is_set():
                raise _StoppedError
            patient_until = min(patient_until, time.monotonic() + self.manner.patience)
            if what is Verdict.NEVER or time.monotonic() >= patient_until:
                raise _given_up(index, answer)
            self.note(f"block {index}: {answer.status} {answer.code} {answer.reason} {answer.message}: {what.value}")
            if what is Verdict.SLOWER:
                self.pace.throttled()
            failures += 1
            self._pause(backoff(failures))
        self.journal.add(index)
        with self.guard:
            self.put += 1

    def _read(self, index: int, sha256: bytes, buffer: bytearray) -> None:
        """Fill *buffer*.  Read, not mapped: a file that shrinks is an error then, not SIGBUS, and memory stays flat."""
        try:
            size = os.preadv(self.descriptor, [buffer], index * BLOCK)
        except OSError as error:
            raise _unreadable(self.disk, error) from None
        buffer[size:] = bytes(BLOCK - size)  # the disk's end may cut its last block short
        if hashlib.sha256(buffer).digest() != sha256:
            raise KnitterError(
                f"{self.disk} changed after it was made",
                details=f"block {index} (byte {index * BLOCK}) is not what {self.disk.with_suffix('.blocks')} says",
                hint="remove the disk's receipt, disk.json beside it, and run again: the disk is made anew",
            )

    def _pause(self, seconds: float) -> None:
        if self.stop.wait(seconds) if seconds > 0 else self.stop.is_set():
            raise _StoppedError

    def _fail(self, error: BaseException) -> None:
        with self.guard:
            self.failure = self.failure or error
        self.abort()


def upload(
    cloud: Cloud,
    snapshot: str,
    disk: Path,
    blocks: Blocks,
    *,
    journal: Journal,
    manner: Manner,
    note: Callable[[str], None] = lambda _: None,
) -> int:
    """Put those of *blocks* of the file *disk* that *journal* does not have; how many that were.

    note: told of each repetition, from any thread.
    Raises CloudError, KnitterError if the disk is not what *blocks* says, Interrupted.  What was put stays put.
    """
    known = journal.blocks
    skipped = sum(index in known for index, _ in blocks)
    if skipped == len(blocks):
        return 0
    missing = (block for block in blocks if block[0] not in known)
    threads = min(manner.threads, len(blocks) - skipped)
    connect = putters(manner.engine, cloud, snapshot, threads=threads)
    with _opened(disk) as descriptor:
        job = _Upload(snapshot, disk, descriptor, journal, manner, connect, missing, note, Pace(manner.rate))
        _run(job, threads, skipped=skipped, total=len(blocks))
    return job.put


def _run(job: _Upload, threads: int, *, skipped: int, total: int) -> None:
    crew = [threading.Thread(target=job.work, name=f"upload-{number}", daemon=True) for number in range(threads)]
    job.running = threads
    try:
        for thread in crew:
            thread.start()
        while not job.ended.wait(TELL_EVERY):
            interrupt.check()
            say("uploading", done=(skipped + job.put) * BLOCK, total=total * BLOCK, unit="B")
    finally:
        job.abort()
        deadline = time.monotonic() + FAREWELL
        for thread in crew:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        for putter in job.putters:
            putter.close()
    if job.failure:
        raise job.failure
    say("uploading", done=(skipped + job.put) * BLOCK, total=total * BLOCK, unit="B")


@contextmanager
def _opened(disk: Path) -> Iterator[int]:
    try:
        descriptor = os.open(disk, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(disk, error) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _unreadable(disk: Path, error: OSError) -> KnitterError:
    return KnitterError(f"cannot read {disk}", details=error.strerror or "")


def _given_up(index: int, answer: Answer) -> KnitterError:
    doing = f"putting block {index} into the snapshot"
    if answer.status == 0:
        return unreachable(doing, f"{answer.code}: {answer.message}")
    return refusal(doing, answer.code or f"HTTP {answer.status}", answer.message, answer.request)
