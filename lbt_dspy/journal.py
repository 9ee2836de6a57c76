"""Every reply ever paid for, durable: a resumed run reads it instead of asking again.

One SQLite file in write-ahead mode. A reply is committed before its result is used, and a request is counted before it
is sent, so killing the process at any point loses nothing but the requests that were in flight. Marks are recomputed
from replies: a corrected grader costs no calls.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from lbt_dspy.errors import UserError
from lbt_dspy.types import Reply

SCHEMA = """
CREATE TABLE IF NOT EXISTS reply (
    key BLOB PRIMARY KEY, role TEXT NOT NULL, lm TEXT NOT NULL, text TEXT, reason TEXT, attempts INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost REAL, logprobs TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sent (
    role TEXT, lm TEXT, requests INTEGER NOT NULL, charge REAL NOT NULL, PRIMARY KEY (role, lm)
);
CREATE TABLE IF NOT EXISTS session (seconds REAL NOT NULL);
"""
COLUMNS = "text, reason, attempts, input_tokens, output_tokens, cost, logprobs"
LOOKUP_CHUNK = 500
COUNT = (
    "INSERT INTO sent VALUES (?1,?2,?3,?4) ON CONFLICT (role, lm) "
    "DO UPDATE SET requests = requests + ?3, charge = charge + ?4"
)


class Journal:
    """The replies of one run (or of several that share a file), by key.

    Args:
        path: The file; created when absent. `None` keeps the journal in memory.

    Raises:
        UserError: The file is there but is not a journal.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None, timeout=30)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)
            if "logprobs" not in {row[1] for row in self._db.execute("PRAGMA table_info(reply)")}:
                self._db.execute("ALTER TABLE reply ADD COLUMN logprobs TEXT")  # a journal of version 0.1
        except sqlite3.Error as error:
            raise UserError(f"{path} cannot be used as a journal ({error}); name another file or remove it") from None

    def replies(self, keys: Sequence[bytes]) -> dict[bytes, Reply]:
        """Return the recorded replies of `keys`, failed ones included; absent keys are absent."""
        found: dict[bytes, Reply] = {}
        with self._lock:
            for start in range(0, len(keys), LOOKUP_CHUNK):
                chunk = keys[start : start + LOOKUP_CHUNK]
                marks = ",".join("?" * len(chunk))
                for row in self._db.execute(f"SELECT key, {COLUMNS} FROM reply WHERE key IN ({marks})", chunk):
                    found[row[0]] = Reply(*row[1:])
        return found

    def record(self, role: str, lm: str, rows: Iterable[tuple[bytes, Reply]], *, sent: int = 0) -> None:
        """Commit replies; a key asked again (after a failure) keeps the count of all its attempts.

        Args:
            role: Under which role.
            lm: Of which model.
            rows: Keys with their replies.
            sent: Requests to count with them, where they were not counted before they were sent.
        """
        values = [
            (key, role, lm, r.text, r.reason, r.attempts, r.input_tokens, r.output_tokens, r.cost, r.logprobs)
            for key, r in rows
        ]
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO reply VALUES (?,?,?,?,?,?,?,?,?,?)", values)
            if sent:
                self._db.execute(COUNT, (role, lm, sent, 0.0))
            self._db.execute("COMMIT")

    def count_sent(self, role: str, lm: str, requests: int = 1, charge: float = 0.0) -> None:
        """Count requests that are about to be sent, and charge for them.

        Args:
            role: Under which role.
            lm: To which model.
            requests: How many; -1 takes back one that was not sent.
            charge: US dollars: the worst case before sending, then the difference to the true cost. So a request that
                is lost with its process stays charged at its worst case.
        """
        with self._lock:
            self._db.execute(COUNT, (role, lm, requests, charge))

    def charged(self) -> float:
        """Return what all requests cost or, where that was never known, could have cost in US dollars."""
        return float(self._one("SELECT coalesce(sum(charge), 0.0) FROM sent"))

    def sent(self) -> int:
        """Return how many requests were ever sent, lost ones included."""
        return int(self._one("SELECT coalesce(sum(requests), 0) FROM sent"))

    def spent(self) -> float:
        """Return the known cost of all recorded replies in US dollars."""
        return float(self._one("SELECT coalesce(sum(cost), 0.0) FROM reply"))

    def unpriced(self) -> int:
        """Return how many recorded replies have no known cost."""
        return int(self._one("SELECT count(*) FROM reply WHERE cost IS NULL"))

    def failed(self) -> int:
        """Return how many recorded calls got no usable reply."""
        return int(self._one("SELECT count(*) FROM reply WHERE text IS NULL"))

    def calls(self) -> dict[tuple[str, str], int]:
        """Return the calls (retries included) of all recorded replies by (role, LM name)."""
        with self._lock:
            rows = self._db.execute("SELECT role, lm, sum(attempts) FROM reply GROUP BY role, lm").fetchall()
        return {(role, lm): int(calls) for role, lm, calls in rows}

    def add_session(self, seconds: float) -> None:
        """Note how long a session took."""
        with self._lock:
            self._db.execute("INSERT INTO session VALUES (?)", (seconds,))

    def seconds(self) -> float:
        """Return how long all noted sessions took."""
        return float(self._one("SELECT coalesce(sum(seconds), 0.0) FROM session"))

    def close(self) -> None:
        """Write everything into the one file and release it."""
        with self._lock:
            self._db.close()

    def _one(self, query: str) -> float:
        with self._lock:
            row = self._db.execute(query).fetchone()
        return row[0]  # type: ignore[no-any-return]
