"""A set of keys that does not grow in memory: beyond a bound it goes on in a temporary file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

IN_MEMORY = 50_000
CHUNK = 500


class KeySet:
    """Keys that were seen. Not thread-safe.

    The file is SQLite's own: nameless, private, and gone with the process.
    """

    def __init__(self) -> None:
        self._recent: set[bytes] = set()
        self._db: sqlite3.Connection | None = None

    def add(self, keys: Sequence[bytes]) -> set[bytes]:
        """Add keys; return those that are new."""
        new = set(keys) - self._recent
        if self._db is not None:
            new -= self._on_disk(list(new))
        self._recent |= new
        if len(self._recent) > IN_MEMORY:
            self._move()
        return new

    def join(self, other: KeySet) -> None:
        """Add the keys of another set."""
        if other._db is not None:
            rows = other._db.execute("SELECT key FROM seen")
            while chunk := rows.fetchmany(CHUNK):
                self.add([key for (key,) in chunk])
        self.add(list(other._recent))

    def _on_disk(self, keys: Sequence[bytes]) -> set[bytes]:
        assert self._db is not None  # noqa: S101 - for the type checker
        found: set[bytes] = set()
        for start in range(0, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            marks = ",".join("?" * len(chunk))
            found.update(key for (key,) in self._db.execute(f"SELECT key FROM seen WHERE key IN ({marks})", chunk))
        return found

    def _move(self) -> None:
        if self._db is None:
            self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=OFF")
            self._db.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO seen VALUES (?)", ((key,) for key in sorted(self._recent)))
        self._db.execute("COMMIT")
        self._recent.clear()
