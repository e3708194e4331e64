"""Uploads over real sockets into a scripted endpoint."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from knitter import interrupt, progress
from knitter.aws.journal import Journal
from knitter.aws.put import Engine
from knitter.aws.session import Cloud
from knitter.aws.upload import Block, Manner, upload
from knitter.errors import CloudError, KnitterError
from knitter.units import BLOCK
from tests.aws.sink import SNAPSHOT, Fault, Script, Sink

pytestmark = pytest.mark.lab
ENGINES: tuple[Engine, ...] = ("http", "boto3")


def make_disk(path: Path, indexes: list[int]) -> list[Block]:
    """A sparse file with random blocks at *indexes*, and what disk.blocks would say."""
    rng = random.Random(7)
    blocks = []
    with path.open("wb") as file:
        for index in indexes:
            data = rng.randbytes(BLOCK)
            file.seek(index * BLOCK)
            file.write(data)
            blocks.append((index, hashlib.sha256(data).digest()))
        file.truncate((max(indexes) + 3) * BLOCK)
    return blocks


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return tmp_path / "disk.raw"


def run(sink: Sink, disk: Path, blocks: list[Block], **manner: object) -> int:
    told: dict[str, object] = {"threads": 8, "rate": 1000, **manner}
    with Journal(disk.with_suffix(".journal"), SNAPSHOT) as journal:
        return upload(sink.cloud, SNAPSHOT, disk, blocks, journal=journal, manner=Manner(**told))  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ENGINES)
def test_blocks_arrive_as_they_are(disk: Path, engine: Engine) -> None:
    blocks = make_disk(disk, [0, 1, 5, 40, 41, 99])
    with Sink() as sink:
        assert run(sink, disk, blocks, engine=engine) == 6
    data = disk.read_bytes()
    assert sink.blocks == {index: data[index * BLOCK : (index + 1) * BLOCK] for index, _ in blocks}
    assert set(sink.puts.values()) == {1}


def test_both_engines_say_the_same_to_the_cloud(disk: Path) -> None:
    """API Reference, PutSnapshotBlock: the headers of a block."""
    blocks = make_disk(disk, [3])
    seen = []
    for engine in ENGINES:
        with Sink() as sink:
            run(sink, disk, blocks, engine=engine)
        seen.append({name: value for name, value in sink.headers.items() if name.startswith("x-amz-c")})
        assert "knitter/" in sink.headers["user-agent"]
        disk.with_suffix(".journal").unlink()
    ours, botos = seen
    assert ours == {name: value for name, value in botos.items() if name in ours}
    assert {"x-amz-checksum", "x-amz-checksum-algorithm", "x-amz-content-sha256"} == set(ours)


FAULTS: dict[str, Callable[[int], Fault | None]] = {
    "500": lambda attempt: Fault(500, "InternalServerException") if attempt < 3 else None,
    "503": lambda attempt: Fault(503, "SlowDown") if attempt < 2 else None,
    "throttled": lambda attempt: (
        Fault(400, "RequestThrottledException", "slow", "ACCOUNT_THROTTLED") if attempt < 2 else None
    ),
    "unread": lambda attempt: Fault(400, "ValidationException", "Failed to read block data") if attempt < 3 else None,
    "timeout": lambda attempt: Fault(400, "ValidationException", "", "WRITE_REQUEST_TIMEOUT") if attempt < 2 else None,
    "unknown": lambda attempt: Fault(404, "ResourceNotFoundException") if attempt < 3 else None,
    "signature": lambda attempt: Fault(403, "InvalidSignatureException") if attempt < 2 else None,
    "reset": lambda attempt: Fault() if attempt < 3 else None,
}


def _on_some(script: Callable[[int], Fault | None]) -> Script:
    return lambda index, attempt: script(attempt) if index % 3 == 0 else None


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", FAULTS)
def test_passing_faults_are_overcome(disk: Path, fault: str, engine: Engine) -> None:
    """Amazon EBS User Guide, EBS direct APIs, error retries; 404 right after the start is eventual consistency."""
    blocks = make_disk(disk, list(range(9)))
    with Sink(_on_some(FAULTS[fault])) as sink:
        assert run(sink, disk, blocks, engine=engine) == 9
    assert sorted(sink.blocks) == list(range(9))
    assert {sink.puts[index] for index in (1, 2, 4, 5, 7, 8)} == {1}
    assert min(sink.puts[index] for index in (0, 3, 6)) >= 2


def test_repetitions_are_noted(disk: Path) -> None:
    blocks = make_disk(disk, [0])
    notes: list[str] = []
    with Sink(_on_some(FAULTS["500"])) as sink, Journal(disk.with_suffix(".journal"), SNAPSHOT) as journal:
        upload(sink.cloud, SNAPSHOT, disk, blocks, journal=journal, manner=Manner(), note=notes.append)
    assert len(notes) == 2
    assert "block 0: 500 InternalServerException" in notes[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(403, "AccessDeniedException", "not for you"), "AccessDeniedException"),
        (Fault(400, "ValidationException", "no such block", "INVALID_BLOCK"), "ValidationException"),
        (Fault(402, "ServiceQuotaExceededException", "enough"), "ServiceQuotaExceededException"),
    ],
)
def test_a_hard_refusal_stops_all_at_once(disk: Path, fault: Fault, code: str, engine: Engine) -> None:
    blocks = make_disk(disk, list(range(60)))
    with Sink(lambda index, _: fault if index == 10 else None, delay=0.05) as sink:
        with pytest.raises(CloudError) as caught:
            run(sink, disk, blocks, engine=engine)
        assert caught.value.code == code
        assert "block 10" in caught.value.brief
        assert "request-1" in caught.value.details
        assert sink.total < 40
        disk_journal = disk.with_suffix(".journal").read_text().split()
        assert set(disk_journal[1:]) <= {str(index) for index in sink.blocks}


def test_an_upload_that_failed_is_continued(disk: Path) -> None:
    blocks = make_disk(disk, list(range(40)))
    with Sink(lambda index, _: Fault(403, "AccessDenied") if index == 30 else None) as sink:
        with pytest.raises(CloudError):
            run(sink, disk, blocks)
        stored = len(disk.with_suffix(".journal").read_text().split()) - 1
        sink.script = lambda *_: None
        assert run(sink, disk, blocks) == 40 - stored
        assert run(sink, disk, blocks) == 0
    assert len(sink.blocks) == 40


def test_patience_ends(disk: Path) -> None:
    blocks = make_disk(disk, [0, 1])
    with Sink(lambda *_: Fault()) as sink, pytest.raises(CloudError) as caught:
        run(sink, disk, blocks, patience=0.5)
    assert caught.value.code == "Unreachable"
    assert sink.total > 2


@pytest.mark.parametrize("engine", ENGINES)
def test_an_endpoint_that_is_gone_is_told(disk: Path, engine: Engine) -> None:
    blocks = make_disk(disk, [0, 1])
    with Sink() as sink:
        cloud = sink.cloud
    with Journal(disk.with_suffix(".journal"), SNAPSHOT) as journal, pytest.raises(CloudError) as caught:
        upload(cloud, SNAPSHOT, disk, blocks, journal=journal, manner=Manner(engine, patience=0.3))
    assert caught.value.code == "Unreachable"
    assert "endpoint" in caught.value.hint


@pytest.mark.parametrize("engine", ENGINES)
def test_missing_credentials_are_told(disk: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(disk.parent))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    blocks = make_disk(disk, [0, 1])
    cloud = Cloud("lab", "us-east-1", endpoint="http://127.0.0.1:9")
    with Journal(disk.with_suffix(".journal"), SNAPSHOT) as journal, pytest.raises(CloudError) as caught:
        upload(cloud, SNAPSHOT, disk, blocks, journal=journal, manner=Manner(engine))
    assert caught.value.code == "NoCredentialsError"
    assert "aws configure" in caught.value.hint


def test_a_disk_that_changed_is_refused(disk: Path) -> None:
    blocks = make_disk(disk, list(range(5)))
    with disk.open("r+b") as file:
        file.seek(3 * BLOCK + 77)
        file.write(b"changed")
    with Sink() as sink, pytest.raises(KnitterError, match="changed after it was made") as caught:
        run(sink, disk, blocks)
    assert "block 3" in caught.value.details
    assert 3 not in sink.blocks


def test_a_disk_that_shrank_is_refused(disk: Path) -> None:
    blocks = make_disk(disk, list(range(5)))
    os.truncate(disk, 2 * BLOCK + 5)
    with Sink() as sink, pytest.raises(KnitterError, match="changed after it was made"):
        run(sink, disk, blocks)


def test_a_last_block_cut_short_is_filled_with_zeroes(disk: Path) -> None:
    """API Reference, PutSnapshotBlock: a block is always 524288 bytes."""
    disk.write_bytes(b"end")
    padded = b"end".ljust(BLOCK, b"\0")
    with Sink() as sink:
        run(sink, disk, [(0, hashlib.sha256(padded).digest())])
    assert sink.blocks == {0: padded}


def test_a_missing_disk_is_refused(tmp_path: Path) -> None:
    with Sink() as sink, pytest.raises(KnitterError, match="cannot read"):
        run(sink, tmp_path / "none", [(0, b"")])


def test_rate_is_kept(disk: Path) -> None:
    blocks = make_disk(disk, list(range(30)))
    with Sink() as sink:
        run(sink, disk, blocks, rate=30)
    seconds = max(sink.at) - min(sink.at)
    assert seconds > 29 / 30 * 0.9


def test_progress_is_said_in_bytes_by_the_callers_thread(disk: Path) -> None:
    blocks = make_disk(disk, list(range(20)))
    words: list[tuple[progress.Progress, int]] = []
    end = progress.listen(lambda word: words.append((word, threading.get_ident())))
    try:
        with Sink(delay=0.1) as sink, progress.task("snapshot:test"):
            run(sink, disk, blocks, threads=2)
    finally:
        end()
    assert {thread for _, thread in words} == {threading.get_ident()}
    assert {word.task for word, _ in words} == {"snapshot:test"}
    assert (words[-1][0].done, words[-1][0].total, words[-1][0].unit) == (20 * BLOCK, 20 * BLOCK, "B")
    assert len(words) > 2


@pytest.fixture
def interruptible() -> object:
    yield
    interrupt._stopping.clear()


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_it_promptly_even_if_the_cloud_hangs(disk: Path) -> None:
    blocks = make_disk(disk, list(range(20)))
    with Sink(delay=60) as sink:
        threading.Timer(0.5, interrupt.stop).start()
        began = time.monotonic()
        with pytest.raises(interrupt.Interrupted):
            run(sink, disk, blocks)
        assert time.monotonic() - began < 30
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("upload-")]


UPLOADER = """
import sys
from pathlib import Path
from knitter.aws.journal import Journal
from knitter.aws.session import Cloud
from knitter.aws.upload import Manner, upload
from tests.aws.sink import KEYS, SNAPSHOT
from tests.aws.test_upload import make_disk
disk = Path(sys.argv[2])
blocks = make_disk(disk, list(range(int(sys.argv[3]))))
cloud = Cloud("lab", "us-east-1", endpoint=sys.argv[1], keys=KEYS)
with Journal(disk.with_suffix(".journal"), SNAPSHOT) as journal:
    upload(cloud, SNAPSHOT, disk, blocks, journal=journal, manner=Manner(threads=4))
"""


@contextmanager
def uploading(sink: Sink, disk: Path, count: int, *, seen: int) -> Iterator[subprocess.Popen[str]]:
    """An upload of *count* blocks in another process, of which *seen* puts have come."""
    argv = [sys.executable, "-c", UPLOADER, sink.url, str(disk), str(count)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while sink.total < seen and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sink.total >= seen
        yield process


def test_ctrl_c_ends_it_promptly_even_if_the_cloud_hangs(disk: Path) -> None:
    make_disk(disk, list(range(20)))
    with Sink(delay=60) as sink, uploading(sink, disk, 20, seen=4) as process:
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
        assert time.monotonic() - began < 30
        assert "KeyboardInterrupt" in stderr


def test_killed_upload_puts_only_what_is_missing(disk: Path) -> None:
    """kill -9 in the middle: the next run puts the blocks that the cloud had not acknowledged, and no others."""
    count, threads = 60, 4
    blocks = make_disk(disk, list(range(count)))
    with Sink(delay=0.05) as sink:
        with uploading(sink, disk, count, seen=20) as process:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        time.sleep(0.2)
        first = sink.total
        assert 20 <= first < count
        put = run(sink, disk, blocks)
        assert sink.total == first + put
        assert first + put <= count + 2 * threads
    assert sorted(sink.blocks) == list(range(count))
