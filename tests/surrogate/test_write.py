"""A disk goes over real SSH to the real program, which writes a file, a loop device, or refuses to."""

import hashlib
import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knitter import interrupt, progress
from knitter.aws.journal import Journal
from knitter.disk import blocks
from knitter.errors import KnitterError
from knitter.machine.ssh import LostError, Ssh
from knitter.surrogate import examine, write
from knitter.surrogate.write import RefusedError, Written, write_disk
from knitter.units import BLOCK, MIB
from tests.machine.conftest import Server
from tests.surrogate.conftest import cutter, make_disk, make_volume

SIZE = 64 * MIB
USED = [0, 1, 2, 9, 17, 18, 19, 40, 77, 126, 127]
MANY = list(range(100))

Login = Callable[[], Ssh]
pytestmark = pytest.mark.lab


def put(connect: Login, disk: Path, listed: blocks.Blocks, volume: Path, *, size: int = SIZE) -> Written:
    with Journal(disk.with_suffix(".journal"), "vol-1") as journal:
        return write_disk(connect, disk, listed, device=str(volume), size=size, journal=journal)


def test_the_volume_equals_the_disk_and_holes_are_not_sent(login: Login, tmp_path: Path) -> None:
    disk, volume = tmp_path / "disk.raw", make_volume(tmp_path / "volume", SIZE)
    listed = make_disk(disk, SIZE, USED)
    words: list[progress.Progress] = []
    end = progress.listen(words.append)
    written = put(login, disk, listed, volume)
    end()
    assert volume.read_bytes() == disk.read_bytes()
    assert written.blocks == len(USED)
    assert written.sent <= len(USED) * (BLOCK + 64)
    assert volume.stat().st_blocks * 512 <= len(USED) * BLOCK + MIB
    assert (words[-1].text, words[-1].done, words[-1].total) == ("writing", len(USED) * BLOCK, len(USED) * BLOCK)


@pytest.mark.parametrize("more", [0, 512 * 3, BLOCK], ids=["cut short", "longer by sectors", "longer by a block"])
def test_a_last_block_that_is_cut_short(login: Login, tmp_path: Path, more: int) -> None:
    disk, size = tmp_path / "disk.raw", 2 * MIB + 4096 + 512
    listed = make_disk(disk, size, [0, 3, 4])
    volume = make_volume(tmp_path / "volume", size + more)
    put(login, disk, listed, volume, size=size + more)
    assert volume.read_bytes() == disk.read_bytes() + bytes(more)


def test_nothing_is_written_twice(login: Login, tmp_path: Path) -> None:
    disk, volume = tmp_path / "disk.raw", make_volume(tmp_path / "volume", SIZE)
    listed = make_disk(disk, SIZE, USED)
    put(login, disk, listed, volume)
    again = put(login, disk, listed, volume)
    assert (again.blocks, again.sent) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_connection_cut_at_random_bytes_is_resumed(server: Server, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    disk, volume = tmp_path / "disk.raw", make_volume(tmp_path / "volume", SIZE)
    listed = make_disk(disk, SIZE, MANY, seed=seed)
    limits = [chance.randrange(12 * MIB, 24 * MIB), chance.randrange(4000, 9 * MIB), chance.randrange(12 * MIB)]
    with cutter(server, limits) as (between, connect):
        written = put(connect, disk, listed, volume)
    assert between.cuts == written.connections - 1 or between.cuts == 3  # the handshake itself may be cut
    assert between.cuts >= 2
    assert written.blocks == len(MANY)
    assert volume.read_bytes() == disk.read_bytes()


def test_it_is_given_up_when_no_connection_brings_anything(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "FIRST_PAUSE", 0.01)
    disk, volume = tmp_path / "disk.raw", make_volume(tmp_path / "volume", SIZE)
    listed = make_disk(disk, SIZE, USED)
    with cutter(server, [14000] * 100) as (between, connect), pytest.raises(LostError, match="was lost"):
        put(connect, disk, listed, volume)
    assert between.cuts == write.ATTEMPTS


def test_an_interrupted_run_continues_on_the_same_volume(
    server: Server, login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = threading.Event()
    monkeypatch.setattr(interrupt, "_stopping", stopping)
    disk, volume = tmp_path / "disk.raw", make_volume(tmp_path / "volume", SIZE)
    listed = make_disk(disk, SIZE, list(range(1, 127, 2)))

    def stop(word: progress.Progress) -> None:
        if (word.done or 0) > 5 * MIB:
            stopping.set()

    end = progress.listen(stop)
    monkeypatch.setattr(write, "TELL_EVERY", 0.01)
    with cutter(server, [], pace=1 / (8 * MIB)) as (_, connect), pytest.raises(interrupt.Interrupted):
        put(connect, disk, listed, volume)
    end()
    stopping.clear()
    written = put(login, disk, listed, volume)
    assert 0 < written.blocks < len(listed) - 8
    assert volume.read_bytes() == disk.read_bytes()


def test_a_disk_that_changed_is_told(login: Login, tmp_path: Path) -> None:
    disk, volume = tmp_path / "disk.raw", make_volume(tmp_path / "volume", SIZE)
    listed = make_disk(disk, SIZE, USED)
    with disk.open("r+b") as file:
        file.seek(17 * BLOCK + 5)
        file.write(b"x")
    with pytest.raises(KnitterError, match="changed after it was made") as caught:
        put(login, disk, listed, volume)
    assert "block 17" in caught.value.details


class TestRefused:
    """No byte is written to a device that is not as expected."""

    def refusal(self, login: Login, tmp_path: Path, volume: Path | str, size: int = SIZE) -> str:
        listed = make_disk(tmp_path / "disk.raw", SIZE, USED)
        with pytest.raises(RefusedError) as caught:
            put(login, tmp_path / "disk.raw", listed, Path(volume), size=size)
        return caught.value.brief

    def test_another_size(self, login: Login, tmp_path: Path) -> None:
        volume = make_volume(tmp_path / "volume", SIZE - 512)
        assert f"has {SIZE - 512} bytes, not {SIZE}" in self.refusal(login, tmp_path, volume)
        assert not any(volume.read_bytes())

    @pytest.mark.parametrize("mark", examine.SIGNATURES, ids=lambda mark: mark[2])
    def test_a_signature(self, login: Login, tmp_path: Path, mark: tuple[int, bytes, str]) -> None:
        volume = make_volume(tmp_path / "volume", SIZE)
        with volume.open("r+b") as file:
            file.seek(mark[0])
            file.write(mark[1])
        before = hashlib.sha256(volume.read_bytes())
        assert mark[2] in self.refusal(login, tmp_path, volume)
        assert hashlib.sha256(volume.read_bytes()).digest() == before.digest()

    def test_something_at_its_end(self, login: Login, tmp_path: Path) -> None:
        volume = make_volume(tmp_path / "volume", SIZE)
        with volume.open("r+b") as file:
            file.seek(-512, os.SEEK_END)
            file.write(b"EFI PART")
        assert "not all zeroes" in self.refusal(login, tmp_path, volume)

    def test_none_there(self, login: Login, tmp_path: Path) -> None:
        assert "No such file" in self.refusal(login, tmp_path, tmp_path / "none")

    def test_no_block_device(self, login: Login, tmp_path: Path) -> None:
        assert "no block device" in self.refusal(login, tmp_path, "/dev/null")


def test_what_is_begun_need_not_be_fresh(login: Login, tmp_path: Path) -> None:
    disk, volume = tmp_path / "disk.raw", make_volume(tmp_path / "volume", SIZE)
    listed = make_disk(disk, SIZE, USED)
    volume.write_bytes(disk.read_bytes()[:BLOCK] + bytes(SIZE - BLOCK))
    (tmp_path / "disk.journal").write_text("vol-1\nbegun\n")
    assert put(login, disk, listed, volume).blocks == len(USED)


def test_an_instance_without_python_is_told(login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "_LOADER", "import sys; sys.exit(127)#%d")
    listed = make_disk(tmp_path / "disk.raw", SIZE, USED)
    with pytest.raises(KnitterError, match="exit code 127") as caught:
        put(login, tmp_path / "disk.raw", listed, make_volume(tmp_path / "volume", SIZE))
    assert "Python" in caught.value.hint


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[str]:
    if os.geteuid():
        pytest.skip("loop devices are for root")
    file = make_volume(tmp_path / "backing", SIZE)
    name = subprocess.run(["losetup", "-f", "--show", file], check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield name
    finally:
        subprocess.run(["losetup", "-d", name], check=True)


class TestBlockDevice:
    def test_it_is_written(self, login: Login, loop: str, tmp_path: Path) -> None:
        disk = tmp_path / "disk.raw"
        listed = make_disk(disk, SIZE, USED)
        put(login, disk, listed, Path(loop))
        assert Path(loop).read_bytes() == disk.read_bytes()

    def test_a_connection_that_broke_does_not_keep_it_busy(self, server: Server, loop: str, tmp_path: Path) -> None:
        disk = tmp_path / "disk.raw"
        listed = make_disk(disk, SIZE, MANY)
        with cutter(server, [15 * MIB, 3 * MIB]) as (between, connect):
            put(connect, disk, listed, Path(loop))
        assert between.cuts == 2
        assert Path(loop).read_bytes() == disk.read_bytes()

    def test_a_mounted_one_is_refused(self, login: Login, loop: str, tmp_path: Path) -> None:
        subprocess.run(["mkfs.ext4", "-q", loop], check=True)
        (tmp_path / "mnt").mkdir()
        subprocess.run(["mount", loop, tmp_path / "mnt"], check=True)
        try:
            refusal = TestRefused().refusal(login, tmp_path, loop)
        finally:
            subprocess.run(["umount", tmp_path / "mnt"], check=True)
        assert f"is mounted at {tmp_path}/mnt" in refusal

    def test_swap_is_refused(self, login: Login, loop: str, tmp_path: Path) -> None:
        subprocess.run(["mkswap", "-q", loop], check=True)
        subprocess.run(["swapon", loop], check=True)
        try:
            refusal = TestRefused().refusal(login, tmp_path, loop)
        finally:
            subprocess.run(["swapoff", loop], check=True)
        assert "is used as swap" in refusal
