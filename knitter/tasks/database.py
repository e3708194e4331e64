"""doit's memory, safe for several doit processes at once.  Found by doit through the entry point `doit.BACKEND`."""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from doit.dependency import DatabaseException, SqliteDB


class Database(SqliteDB):  # type: ignore[misc]
    """SQLite, but only a memory: what it cannot hold is looked at again, and nothing fails of it.

    A failed task holds no write lock until the end of the run: others would die waiting for it.
    """

    name = "knitter"
    desc = "sqlite3 for several processes"

    def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
        """A file that is no database, as after a crash, is removed; this run does without, the next one begins anew."""
        try:
            super().__init__(name, *arguments, **options)
        except DatabaseException:
            with suppress(OSError):
                Path(name).unlink()
            super().__init__(":memory:", *arguments, **options)

    def get(self, task_id: str, dependency: str) -> Any:
        """What is remembered; None if nothing is, or it cannot be read."""
        with suppress(sqlite3.DatabaseError):
            return super().get(task_id, dependency)
        return None

    def remove(self, task_id: str) -> None:
        """Forget *task_id*, at once."""
        with suppress(sqlite3.DatabaseError):
            super().remove(task_id)
            self._conn.commit()

    def dump(self) -> None:
        """Write everything down, unless the disk is full or read-only."""
        with suppress(sqlite3.DatabaseError):
            super().dump()
