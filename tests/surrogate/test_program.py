"""What is sent to the instance: old enough Python, nothing but its library, and no frame believed."""

import ast
import hashlib
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from knitter.surrogate import examine, program
from knitter.surrogate.write import plan_program
from knitter.units import BLOCK, MIB
from tests.surrogate.conftest import make_volume

SIZE = 4 * MIB
DATA = bytes(range(256)) * (BLOCK // 256)


def frame(index: int, data: bytes, *, codec: int = program.RAW, digest: bytes | None = None) -> bytes:
    found = hashlib.sha256(DATA).digest() if digest is None else digest
    return program.FRAME.pack(index, codec, len(data), found) + data


END = program.FRAME.pack(0, 0, 0, bytes(32))


def run(volume: Path, frames: bytes) -> tuple[list[str], int]:
    plan = plan_program(str(volume), SIZE, fresh=True)
    argv = [sys.executable, *plan.argv[1:]]
    done = subprocess.run(argv, input=plan.stdin + frames, stdout=subprocess.PIPE, check=False, timeout=60)
    return done.stdout.decode().splitlines(), done.returncode


def test_python_3_9_understands_it_and_it_needs_only_the_library() -> None:
    tree = ast.parse(plan_program("/dev/x", SIZE, fresh=True).stdin, feature_version=(3, 9))
    modules = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    modules += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert set(modules) <= set(sys.stdlib_module_names)
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("36 25 259:1 / /mnt rw - ext4 /dev/nvme1n1p1 rw", "is mounted at /mnt"),
        ("36 25 259:0 / /mnt rw - ext4 /dev/nvme1n1 rw", "is mounted at /mnt"),
        ("36 25 8:1 / / rw - ext4 /dev/sda1 rw", ""),
    ],
)
def test_mounts_of_partitions(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(f"{text}\n")
    (tmp_path / "swaps").write_text("Filename Type\n/no/such swap\n")
    found = ""
    try:
        examine.check_mounts({"259:0", "259:1"}, tmp_path)
    except examine.RefusedError as error:
        found = str(error)
    assert found == expected


@pytest.mark.lab
class TestFrames:
    def test_both_codecs(self, tmp_path: Path) -> None:
        volume = make_volume(tmp_path / "volume", SIZE)
        frames = frame(2, DATA) + frame(5, zlib.compress(DATA), codec=program.ZLIB) + END
        lines, code = run(volume, frames)
        assert (lines[0], sorted(lines[1:3]), lines[3:], code) == ("ready", ["ok 2", "ok 5"], ["done"], 0)
        assert volume.read_bytes() == bytes(2 * BLOCK) + DATA + bytes(2 * BLOCK) + DATA + bytes(2 * BLOCK)

    def test_another_content_is_not_acknowledged(self, tmp_path: Path) -> None:
        lines, code = run(make_volume(tmp_path / "volume", SIZE), frame(2, b"\1" + DATA[1:]) + END)
        assert (lines, code) == (["ready", "bad 2"], 6)

    def test_a_block_behind_the_end(self, tmp_path: Path) -> None:
        volume = make_volume(tmp_path / "volume", SIZE)
        lines, code = run(volume, frame(8, DATA) + END)
        assert (lines, code) == (["ready", "failed block 8 lies behind the end of the device"], 5)
        assert volume.stat().st_size == SIZE

    def test_no_frame(self, tmp_path: Path) -> None:
        lines, code = run(make_volume(tmp_path / "volume", SIZE), frame(1, DATA, codec=7))
        assert (lines, code) == (["ready", "failed this is no frame"], 5)

    def test_damaged_compression(self, tmp_path: Path) -> None:
        lines, code = run(make_volume(tmp_path / "volume", SIZE), frame(1, b"\0" * 100, codec=program.ZLIB))
        assert lines[0] == "ready"
        assert lines[1].startswith("failed Error -3")
        assert code == 5

    def test_an_end_in_the_middle_of_a_frame_writes_nothing_of_it(self, tmp_path: Path) -> None:
        volume = make_volume(tmp_path / "volume", SIZE)
        lines, code = run(volume, frame(1, DATA)[:-1])
        assert (lines, code) == (["ready"], 4)
        assert not any(volume.read_bytes())
