"""Downloads from a server that misbehaves."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knitter import progress
from knitter.cache import Cache
from knitter.command import command
from knitter.errors import KnitterError
from knitter.fetch import ATTEMPTS, Download, NotOnMirrorError, fetch, mirrored
from knitter.machine import namespace
from knitter.units import MIB
from tests.file_server import FileServer

ROOT = Path(__file__).resolve().parent.parent
CONTENT = os.urandom(1_000_000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    (tmp_path / "www").mkdir()
    (tmp_path / "www/one.deb").write_bytes(CONTENT)
    with FileServer(tmp_path / "www") as made:
        yield made


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def wanted(server: FileServer, content: bytes = CONTENT, path: str = "one.deb") -> Download:
    return Download("one", f"{server.url}/{path}", hashlib.sha256(content).hexdigest(), len(content))


def bring(cache: Cache, *downloads: Download) -> None:
    fetch(downloads, cache, parallel=4, mirrors={}, pause=0.01)


def left_over(cache: Cache) -> list[str]:
    return [path.name for path in (cache.directory / "partial").iterdir()]


@pytest.mark.parametrize(
    ("url", "mapped"),
    [
        ("http://a.example/debian/x", "http://near.example/d/x"),
        ("http://a.example/debian", "http://near.example/d"),
        ("http://a.example/debian-security/x", "http://far.example/debian-security/x"),
        ("http://b.example/debian/x", "http://b.example/debian/x"),
        ("http://a.example.org/debian/x", "http://a.example.org/debian/x"),
    ],
)
def test_longest_prefix_of_whole_segments_wins(url: str, mapped: str) -> None:
    mirrors = {"http://a.example": "http://far.example/", "http://a.example/debian/": "http://near.example/d"}
    assert mirrored(url, mirrors) == mapped


@pytest.mark.lab
class TestFetch:
    def test_brings_each_file_once(self, server: FileServer, cache: Cache) -> None:
        bring(cache, wanted(server), wanted(server))
        bring(cache, wanted(server))
        assert cache.path(wanted(server).sha256).read_bytes() == CONTENT
        assert server.requests == [("/one.deb", "")]
        assert left_over(cache) == []

    def test_says_how_far_it_is(self, server: FileServer, cache: Cache) -> None:
        words: list[progress.Progress] = []
        end = progress.listen(words.append)
        bring(cache, wanted(server))
        end()
        assert (words[-1].done, words[-1].total, words[-1].unit) == (len(CONTENT), len(CONTENT), "B")

    def test_goes_on_where_the_connection_died(self, server: FileServer, cache: Cache) -> None:
        server.cut["/one.deb"] = 400_000
        bring(cache, wanted(server))
        assert server.requests == [("/one.deb", ""), ("/one.deb", "bytes=400000-")]

    def test_goes_on_where_an_earlier_run_stopped(self, server: FileServer, cache: Cache) -> None:
        cache.open()
        cache.partial(wanted(server).sha256).write_bytes(CONTENT[:250_000])
        bring(cache, wanted(server))
        assert server.requests == [("/one.deb", "bytes=250000-")]
        assert cache.find(wanted(server).sha256, len(CONTENT))

    def test_starts_again_if_the_mirror_cannot_resume(self, server: FileServer, cache: Cache) -> None:
        server.ranges = False
        server.cut["/one.deb"] = 400_000
        bring(cache, wanted(server))
        assert cache.path(wanted(server).sha256).read_bytes() == CONTENT

    @pytest.mark.parametrize("size", [250_000, len(CONTENT), len(CONTENT) + 5])
    def test_starts_again_if_the_old_half_is_of_another_file(self, server: FileServer, cache: Cache, size: int) -> None:
        cache.open()
        cache.partial(wanted(server).sha256).write_bytes(b"x" * size)
        bring(cache, wanted(server))
        assert cache.path(wanted(server).sha256).read_bytes() == CONTENT
        assert left_over(cache) == []

    def test_takes_a_whole_that_was_not_moved_in_yet(self, server: FileServer, cache: Cache) -> None:
        cache.open()
        cache.partial(wanted(server).sha256).write_bytes(CONTENT)
        bring(cache, wanted(server))
        assert server.requests == []
        assert cache.path(wanted(server).sha256).read_bytes() == CONTENT

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_tries_again_after_trouble(self, server: FileServer, cache: Cache, status: int) -> None:
        server.status["/one.deb"] = [status, status]
        bring(cache, wanted(server))
        assert len(server.requests) == 3

    def test_gives_up_after_some_attempts(self, server: FileServer, cache: Cache) -> None:
        server.status["/one.deb"] = [503] * 99
        with pytest.raises(KnitterError, match="one cannot be fetched") as caught:
            bring(cache, wanted(server))
        assert "HTTP 503" in caught.value.details
        assert len(server.requests) == ATTEMPTS
        assert left_over(cache) == []

    def test_mirror_that_is_down(self, server: FileServer, cache: Cache) -> None:
        server.down()
        with pytest.raises(KnitterError, match="one cannot be fetched") as caught:
            bring(cache, wanted(server))
        assert "refused" in caught.value.details
        assert "mirrors in .doit.cfg" in caught.value.hint

    def test_file_that_is_gone(self, server: FileServer, cache: Cache) -> None:
        with pytest.raises(NotOnMirrorError, match="does not have one"):
            bring(cache, wanted(server, path="two.deb"))
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "sent", [CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]), CONTENT + b"more"], ids=["other bytes", "too many bytes"]
    )
    def test_refuses_what_is_not_wanted(self, server: FileServer, cache: Cache, sent: bytes) -> None:
        (server.directory / "one.deb").write_bytes(sent)
        with pytest.raises(KnitterError, match="one is refused") as caught:
            bring(cache, wanted(server))
        assert wanted(server).sha256 in caught.value.details
        assert hashlib.sha256(sent).hexdigest() in caught.value.details
        assert cache.find(wanted(server).sha256, len(CONTENT)) is None
        assert left_over(cache) == []

    def test_file_that_is_too_short(self, server: FileServer, cache: Cache) -> None:
        (server.directory / "one.deb").write_bytes(CONTENT[:1000])
        with pytest.raises(KnitterError, match="one cannot be fetched"):
            bring(cache, wanted(server))

    def test_one_failure_stops_the_others_and_keeps_what_came(self, server: FileServer, cache: Cache) -> None:
        (server.directory / "slow.deb").write_bytes(CONTENT[::-1])
        slow = wanted(server, CONTENT[::-1], "slow.deb")
        server.cut["/slow.deb"] = 10_000
        kept = cache.partial(slow.sha256)
        server.before = lambda path: wait_until(lambda: path == "/slow.deb" or size_of(kept) == 10_000)
        with pytest.raises(NotOnMirrorError):
            fetch([slow, wanted(server, b"gone", "gone.deb")], cache, parallel=2, mirrors={}, pause=60)
        assert size_of(kept) == 10_000

    def test_stops_when_everything_stops(self, server: FileServer, cache: Cache) -> None:
        server.status["/one.deb"] = [503] * 99
        code = (
            "import threading; from tests.test_fetch import *; from knitter import interrupt\n"
            "threading.Timer(0.5, interrupt.stop).start()\n"
            f"fetch([{wanted(server)!r}], Cache(Path({str(cache.directory)!r})), parallel=1, mirrors={{}}, pause=60)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert "Interrupted" in done.stderr

    def test_through_a_proxy(self, server: FileServer, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.setenv("no_proxy", "")
        (server.directory / "http:/archive.example.org").mkdir(parents=True)
        (server.directory / "http:/archive.example.org/one.deb").write_bytes(CONTENT)
        there = Download("one", "http://archive.example.org/one.deb", wanted(server).sha256, len(CONTENT))
        bring(cache, there)
        assert server.requests == [("http://archive.example.org/one.deb", "")]

    def test_proxy_of_another_kind(self, server: FileServer, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
        with pytest.raises(KnitterError, match="a proxy of the kind socks5://"):
            bring(cache, wanted(server))

    def test_no_proxy_is_honoured(self, server: FileServer, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "localhost, 127.0.0.1,[::1],*.example.org:80")
        bring(cache, wanted(server))

    def test_of_two_processes_one_downloads(self, server: FileServer, cache: Cache) -> None:
        one = wanted(server)
        server.before = lambda _: time.sleep(0.3)
        other = start(cache, one)
        wait_until(lambda: bool(server.requests))
        bring(cache, one)
        assert other.wait() == 0
        assert len(server.requests) == 1
        assert cache.find(one.sha256, one.size)
        assert left_over(cache) == []

    def test_goes_on_after_kill_9(self, server: FileServer, cache: Cache) -> None:
        one = wanted(server)
        server.cut["/one.deb"] = 300_000
        killed = threading.Event()
        server.before = lambda _: wait_until(lambda: len(server.requests) != 2 or killed.is_set())
        child = start(cache, one)
        wait_until(lambda: len(server.requests) == 2)
        child.kill()
        child.wait()
        killed.set()
        assert size_of(cache.partial(one.sha256)) == 300_000
        bring(cache, one)
        assert server.requests[-1] == ("/one.deb", "bytes=300000-")
        assert cache.find(one.sha256, one.size)

    def test_disk_that_fills_up(self, tmp_path: Path) -> None:
        """On a tmpfs of 2 MiB, which `fill_up` fills when the download has begun."""
        (tmp_path / "www").mkdir()
        (tmp_path / "small").mkdir()
        code = f"from tests.test_fetch import *; fill_up(Path({str(tmp_path)!r}))"
        with namespace.lease(tmp_path / "small", memory=2 * MIB) as machine:
            output = machine.run(command(sys.executable, "-c", code, env={"PYTHONPATH": str(ROOT)}))
        assert output.text.splitlines() == [f"no space left in the cache {tmp_path / 'small/cache'}", "['ballast']"]


def fill_up(directory: Path) -> None:
    """Print the error, and the files there are after it.  Runs in a process of its own."""
    small = directory / "small"
    (directory / "www/one.deb").write_bytes(CONTENT)
    with FileServer(directory / "www") as server:
        server.before = lambda _: (small / "ballast").write_bytes(b"x" * 1_500_000)
        try:
            bring(Cache(small / "cache"), wanted(server))
        except KnitterError as error:
            print(error.brief)
    print([path.name for path in small.rglob("*") if path.is_file()])


def start(cache: Cache, one: Download) -> subprocess.Popen[bytes]:
    """`bring` in a process of its own."""
    code = f"from tests.test_fetch import *; bring(Cache(Path({str(cache.directory)!r})), {one!r})"
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1
