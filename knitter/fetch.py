"""Downloads into the cache: parallel, resumed, verified.

    mirror --Range--> partial/<sha256> --size and sha256 right--> sha256/ab/<sha256>

A file is in the cache whole and verified, or not at all.  One process downloads a file, others wait for it.
"""

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Final

from knitter import interrupt
from knitter.cache import Cache
from knitter.errors import KnitterError
from knitter.progress import say
from knitter.transport import REACH, GoneError, TransientError, Transport

ATTEMPTS: Final = 5
"""In a row without a byte, before a mirror is given up."""
_BEHIND: Final = "the mirror is being updated, or behind: try again later, or use another (mirrors in .doit.cfg)"


@dataclass(frozen=True, slots=True)
class Download:
    """One file wanted."""

    name: str
    """As errors call it."""
    url: str
    sha256: str
    size: int
    vouched: str = "the index"
    """What says that this is its hash."""


class NotOnMirrorError(KnitterError):
    """The mirror answers, but no longer has the file."""


def mirrored(url: str, mirrors: Mapping[str, str]) -> str:
    """*url* with the longest prefix that *mirrors* knows replaced; a prefix ends where a path segment does."""
    for prefix in sorted(mirrors, key=len, reverse=True):
        rest = url.removeprefix(prefix.rstrip("/"))
        if rest != url and rest[:1] in {"", "/"}:
            return mirrors[prefix].rstrip("/") + rest
    return url


def fetch(
    downloads: Sequence[Download],
    cache: Cache,
    *,
    parallel: int,
    mirrors: Mapping[str, str],
    what: str = "fetching packages",
    pause: float = 0.5,
) -> None:
    """Bring *downloads* into *cache*, *parallel* at once.  What is there already is left alone.

    what: said meanwhile.
    pause: seconds before a second attempt; doubled before each one after it.
    Raises KnitterError; what came so far is kept, and the next run goes on there.
    """
    missing = [one for one in {one.sha256: one for one in downloads}.values() if not cache.find(one.sha256, one.size)]
    if not missing:
        return
    cache.open()
    total = sum(one.size for one in missing)
    cache.require_space(total - sum(_length(cache.partial(one.sha256)) for one in missing))
    session = _Session(cache, parallel, pause)
    with _threads(parallel, session.stopped) as pool:
        _watch([pool.submit(session.bring, one, mirrored(one.url, mirrors)) for one in missing], session, what, total)


@contextmanager
def _threads(count: int, stopped: threading.Event) -> Iterator[ThreadPoolExecutor]:
    """A pool whose work ends soon after an error, or Ctrl-C, in the block."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="fetch")
    try:
        yield pool
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)


def _watch(futures: Sequence[Future[None]], session: "_Session", what: str, total: int) -> None:
    """Say how far it is until all are done.  Raises the first error."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
        interrupt.check()
        say(what, done=min(session.done, total), total=total, unit="B")
        for future in done:
            future.result()


class _Session:
    """What the threads of one `fetch` share."""

    def __init__(self, cache: Cache, parallel: int, pause: float) -> None:
        self.done = 0
        self.stopped = threading.Event()
        self._cache = cache
        self._pause = pause
        self._guard = threading.Lock()
        self._transport = Transport(parallel)

    def bring(self, one: Download, url: str) -> None:
        """Download one file, unless another process does."""
        with self._cache.guard(), self._claimed(self._cache.partial(one.sha256)) as file:
            if self._cache.find(one.sha256, one.size):
                self._count(one.size)
                return
            old = file.seek(0, os.SEEK_END)
            self._count(old)
            self._fill(one, url, file)
            if old and _digest(file) != one.sha256:  # the old half may be of another file: once more, from nothing
                self._restart(file)
                self._fill(one, url, file)
            self._accept(one, url, file)

    def _accept(self, one: Download, url: str, file: BufferedRandom) -> None:
        """Move the file into the cache if it is the one wanted, else empty it.  Raises KnitterError."""
        size, digest = file.tell(), _digest(file)
        if (size, digest) == (one.size, one.sha256):
            os.fdatasync(file.fileno())
            self._cache.put(self._cache.partial(one.sha256), one.sha256)
            return
        file.truncate(0)
        raise KnitterError(
            f"{one.name} is refused: what the mirror sent is not what {one.vouched} says",
            details=f"{url}\nexpected: {one.size} bytes, sha256 {one.sha256}\nfound:    {size} bytes, sha256 {digest}",
            hint="the mirror is broken, behind, or tampered with: use another (mirrors in .doit.cfg)",
        )

    def _fill(self, one: Download, url: str, file: BufferedRandom) -> None:
        """Append to *file* until it has the size wanted, or the mirror sent more."""
        attempt = 0
        while file.tell() < one.size:
            before = file.tell()
            try:
                self._request(url, file, one.size)
            except GoneError as error:
                raise NotOnMirrorError(
                    f"the mirror does not have {one.name}", details=f"{url}: {error}", hint=_BEHIND
                ) from None
            except TransientError as error:
                attempt = 1 if file.tell() > before else attempt + 1
                if attempt == ATTEMPTS:
                    raise KnitterError(f"{one.name} cannot be fetched", details=f"{url}\n{error}", hint=REACH) from None
                self.stopped.wait(self._pause * 2 ** (attempt - 1))

    def _request(self, url: str, file: BufferedRandom, limit: int) -> None:
        """One request for what is missing at the end of *file*."""
        with self._transport.open(url, start=file.tell()) as answer:
            if answer.start < file.tell():
                self._restart(file)
            for chunk in answer.chunks:
                if self.stopped.is_set():
                    raise KnitterError("the download was stopped")
                file.write(chunk)
                self._count(len(chunk))
                if file.tell() > limit:
                    return
        if file.tell() < limit:
            raise TransientError(f"the mirror stopped after {file.tell()} of {limit} bytes")

    def _restart(self, file: BufferedRandom) -> None:
        self._count(-file.seek(0, os.SEEK_END))
        file.truncate(0)
        file.seek(0)

    def _count(self, size: int) -> None:
        with self._guard:
            self.done += size

    @contextmanager
    def _claimed(self, path: Path) -> Iterator[BufferedRandom]:
        """The partial file at *path*, locked.  The kernel ends the lock with the process.

        Empty afterwards, or after a failed write, it is removed; only who holds the lock moves or removes it.
        """
        with self._locked(path) as file:
            try:
                yield file
            except OSError:
                path.unlink(missing_ok=True)
                raise
            finally:
                if os.fstat(file.fileno()).st_size == 0:
                    path.unlink(missing_ok=True)

    def _locked(self, path: Path) -> BufferedRandom:
        while not self.stopped.is_set():
            file = path.open("ab+")
            if _locks(file) and _is_at(path, file):
                return file
            file.close()
            time.sleep(0.1)
        raise KnitterError("the download was stopped")


def _locks(file: BufferedRandom) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, file: BufferedRandom) -> bool:
    """Whether *path* still is *file*: whoever had the lock before may have moved or removed it."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def _digest(file: BufferedRandom) -> str:
    """sha256 of all of *file*, which is left at its end."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
