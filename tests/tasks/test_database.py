"""doit's memory may be lost at any time, and nothing fails of it."""

import os
import resource
import signal
from pathlib import Path

from doit.dependency import JSONCodec

from knitter.tasks.database import Database


def remembered(path: Path) -> str | None:
    database = Database(str(path), JSONCodec())
    found: str | None = database.get("disk:x", "result")
    database.dump()
    return found


def remember(path: Path, value: str) -> None:
    database = Database(str(path), JSONCodec())
    database.set("disk:x", "result", value)
    database.dump()


def test_what_is_written_down_is_remembered(tmp_path: Path) -> None:
    remember(tmp_path / "db", "one")
    assert remembered(tmp_path / "db") == "one"


def test_a_file_that_is_no_database_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(os.urandom(5000))
    assert remembered(path) is None
    remember(path, "one")
    assert remembered(path) == "one"


def test_a_damaged_page_is_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "db"
    remember(path, "one")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    assert remembered(path) is None
    remember(path, "two")


def test_a_full_disk_costs_only_what_was_new(tmp_path: Path) -> None:
    path = tmp_path / "db"
    remember(path, "one")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        remember(path, "two" * 100_000)
        database = Database(str(path), JSONCodec())
        database.remove("disk:x")
        database.dump()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # as Python starts: the write fails, not the process
    assert remembered(path) in ("one", None)
