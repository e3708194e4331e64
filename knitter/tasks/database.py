"""doit's memory, safe for several doit processes at once.  Found by doit through the entry point `doit.BACKEND`."""

from doit.dependency import SqliteDB


class Database(SqliteDB):  # type: ignore[misc]
    """SQLite, but a failed task holds no write lock until the end of the run: others would die waiting for it."""

    name = "knitter"
    desc = "sqlite3 for several processes"

    def remove(self, task_id: str) -> None:
        """Forget *task_id*, at once."""
        super().remove(task_id)
        self._conn.commit()
