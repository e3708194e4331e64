"""The lab's memory on disk: one SQLite table of JSON records, so that a restart loses nothing."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Lock


class Journal:
    """Records by kind and id.  Thread-safe; each change is one transaction."""

    def __init__(self, path: Path) -> None:
        self._guard = Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        # A crash of the lab loses nothing; a crash of the machine may lose the last second.
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS record (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id))"
        )

    def save(self, kind: str, name: str, body: str) -> None:
        """Write or replace a record."""
        with self._guard:
            self._database.execute(
                "INSERT INTO record VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (kind, name, body),
            )

    def remove(self, kind: str, name: str) -> None:
        """Forget a record; none is fine."""
        with self._guard:
            self._database.execute("DELETE FROM record WHERE kind = ? AND id = ?", (kind, name))

    def load(self, kind: str) -> Iterator[str]:
        """All records of a kind, oldest first."""
        with self._guard:
            rows = self._database.execute("SELECT body FROM record WHERE kind = ? ORDER BY rowid", (kind,)).fetchall()
        return (body for (body,) in rows)

    def close(self) -> None:
        """Fold the write-ahead log into the file."""
        with self._guard:
            self._database.close()
