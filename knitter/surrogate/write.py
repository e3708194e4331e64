"""The blocks of a disk go over SSH onto a volume, as often as the connection breaks; each block once it was read back.

One thread: it reads a block, sends it, and looks for acknowledgements; the connection's own thread does the rest.  The
SHA-256 that disk.blocks has of a block goes with it, and is compared with what the instance reads back from the device:
one digest proves the whole way, from the file on this host to the volume.
"""

import hashlib
import inspect
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from knitter import interrupt
from knitter.aws.journal import Journal
from knitter.aws.upload import Block, Blocks
from knitter.command import Command, command
from knitter.errors import KnitterError
from knitter.machine.ssh import LostError, Ssh, UnansweredError
from knitter.machine.stream import Stream
from knitter.progress import say
from knitter.surrogate import examine, program
from knitter.surrogate.compression import Compression
from knitter.units import BLOCK

ATTEMPTS: Final = 6
"""Connections in a row that bring no block over, until it is given up; the next run continues."""
FIRST_PAUSE: Final = 0.5
"""Seconds before the second connection; doubled before each further one."""
TELL_EVERY: Final = 0.2
"""Seconds between two words of progress."""
SILENCE: Final = 300.0
"""Seconds without a word from the program, while it has all there is, until the device is taken for stuck."""
_LOADER: Final = "import sys;exec(compile(sys.stdin.buffer.read(%d),'surrogate','exec'))"
_IMPORTED: Final = ("from __future__ ", "from knitter.")
_HEADER: Final = program.FRAME.size
_END: Final = program.FRAME.pack(0, program.RAW, 0, bytes(32))


class RefusedError(KnitterError):
    """The device is not the empty volume it should be."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a call of `write_disk` did."""

    blocks: int
    """Written and acknowledged."""
    sent: int
    """Bytes sent for them, compressed ones as they were sent."""
    connections: int


def plan_program(device: str, size: int, *, fresh: bool) -> Command:
    """The program on the instance.  It comes on stdin and leaves nothing behind."""
    text = _sent().encode()
    state = "fresh" if fresh else "resumed"
    return command("python3", "-I", "-c", _LOADER % len(text), device, size, state, stdin=text)


def _sent() -> str:
    """The text of `examine` and, behind it, that of `program`, which finds there what it imports here."""
    first, then = (Path(inspect.getfile(module)).read_text() for module in (examine, program))
    return first + "".join(line for line in then.splitlines(keepends=True) if not line.startswith(_IMPORTED))


def write_disk(
    connect: Callable[[], Ssh],
    disk: Path,
    blocks: Blocks,
    *,
    device: str,
    size: int,
    journal: Journal,
    note: Callable[[str], None] = lambda _: None,
) -> Written:
    """Write those of *blocks* of the file *disk* that *journal*, the volume's, does not have to *device*, and flush it.

    connect: logs in; called again whenever the connection broke.  Each connection is closed here.
    size: bytes of the device; it is refused if it has another size.
    journal: of a volume that was never written, the device must be fresh: all zeroes, as EBS makes it.
    note: told of each broken connection.
    Raises RefusedError, KnitterError, LostError after ATTEMPTS connections without progress, Interrupted.  What was
    acknowledged stays written.
    """
    descriptor = _open(disk)
    try:
        job = _Job(disk, descriptor, blocks, device, size, journal)
        _persist(job, connect, note)
    finally:
        os.close(descriptor)
    return Written(len(job.acknowledged) - len(journal.blocks), job.sent, job.connections)


@dataclass
class _Job:
    """One disk on its way, over one connection after the other."""

    disk: Path
    descriptor: int
    blocks: Blocks
    device: str
    size: int
    journal: Journal
    acknowledged: set[int] = field(default_factory=set)
    frame: bytearray = field(default_factory=lambda: bytearray(_HEADER + BLOCK))
    compression: Compression = field(default_factory=Compression)
    sent: int = 0
    connections: int = 0
    told: float = 0.0

    def __post_init__(self) -> None:
        self.acknowledged |= self.journal.blocks

    def attempt(self, machine: Ssh) -> None:
        """Everything that is missing, over one connection.  Raises LostError when it breaks."""
        self.connections += 1
        with machine.stream(plan_program(self.device, self.size, fresh=not self.journal.begun)) as stream:
            self._follow(stream, until="ready")
            self.journal.add_begun()
            for index, sha256 in self._missing():
                self._send(stream, index, sha256)
                for line in stream.lines():
                    self._hear(line)
                self._tell()
            stream.write(_END)
            self._follow(stream, until="done")
        self._tell(last=True)

    def _missing(self) -> Iterator[Block]:
        known = frozenset(self.acknowledged)
        return (block for block in self.blocks if block[0] not in known)

    def _send(self, stream: Stream, index: int, sha256: bytes) -> None:
        block = memoryview(self.frame)[_HEADER:]
        _read(self.disk, self.descriptor, index, block)
        codec, payload = self.compression.encode(block)
        program.FRAME.pack_into(self.frame, 0, index, codec, len(payload), sha256)
        start = time.monotonic()
        if codec == program.RAW:
            stream.write(self.frame)
        else:
            stream.write(b"".join((memoryview(self.frame)[:_HEADER], payload)))
        self.compression.sent(_HEADER + len(payload), time.monotonic() - start)
        self.sent += _HEADER + len(payload)

    def _follow(self, stream: Stream, *, until: str) -> None:
        """Hear what the program says, up to the word *until*."""
        deadline = time.monotonic() + SILENCE
        while True:
            for line in stream.lines(wait=TELL_EVERY):
                deadline = time.monotonic() + SILENCE
                if line == until:
                    return
                self._hear(line)
            self._tell()
            if (code := stream.code) is not None:
                raise _ended(self.device, code, stream.tail)
            if time.monotonic() > deadline:
                raise KnitterError(f"{self.device} takes no more", details=f"silent for {SILENCE:.0f} s")

    def _hear(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "ok":
            self.acknowledged.add(int(rest))
            self.journal.add(int(rest))
        elif word == "bad":
            raise self._blame(int(rest))
        elif word == "refused":
            raise RefusedError(
                f"{self.device} is not written: it {rest}",
                hint="only an empty volume of the right size is: remove that one, or detach what else is there",
            )
        else:
            raise KnitterError(f"{self.device} cannot be written", details=line)

    def _blame(self, index: int) -> KnitterError:
        """Either the file is not what its list says, or the device did not keep what it was given."""
        block = memoryview(bytearray(BLOCK))
        _read(self.disk, self.descriptor, index, block)
        if hashlib.sha256(block).digest() != dict(self.blocks)[index]:
            return KnitterError(
                f"{self.disk} changed after it was made",
                details=f"block {index} (byte {index * BLOCK}) is not what {self.disk.with_suffix('.blocks')} says",
                hint="remove the disk's receipt, disk.json beside it, and run again: the disk is made anew",
            )
        return KnitterError(
            f"{self.device} does not keep what is written to it",
            details=f"block {index} (byte {index * BLOCK}) reads back differently",
            hint="the volume is not to be trusted: remove it, and run again",
        )

    def _tell(self, *, last: bool = False) -> None:
        if last or time.monotonic() - self.told > TELL_EVERY:
            self.told = time.monotonic()
            say("writing", done=len(self.acknowledged) * BLOCK, total=len(self.blocks) * BLOCK, unit="B")


def _persist(job: _Job, connect: Callable[[], Ssh], note: Callable[[str], None]) -> None:
    """Attempt until it is done, or until too many attempts in a row brought nothing over."""
    fruitless = 0
    while True:
        before = len(job.acknowledged)
        try:
            machine = connect()
            try:
                return job.attempt(machine)
            finally:
                machine.close()
        except (LostError, UnansweredError) as error:
            fruitless = 1 if len(job.acknowledged) > before else fruitless + 1
            if fruitless >= ATTEMPTS:
                raise
            note(f"{error.brief} ({len(job.acknowledged)} blocks are written): {error.details}")
        interrupt.sleep(FIRST_PAUSE * 2 ** (fruitless - 1))


def _ended(device: str, code: int, tail: str) -> KnitterError:
    missing = "the source instance needs Python 3.9 or later" if code in (126, 127) else ""
    return KnitterError(
        f"the program that writes {device} ended with exit code {code}",
        details=tail or "(it said nothing)",
        hint=missing,
    )


def _open(disk: Path) -> int:
    try:
        return os.open(disk, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(disk, error) from None


def _read(disk: Path, descriptor: int, index: int, block: memoryview) -> None:
    try:
        size = os.preadv(descriptor, [block], index * BLOCK)
    except OSError as error:
        raise _unreadable(disk, error) from None
    block[size:] = bytes(BLOCK - size)  # the disk's end may cut its last block short


def _unreadable(disk: Path, error: OSError) -> KnitterError:
    return KnitterError(f"cannot read {disk}", details=error.strerror or "")
