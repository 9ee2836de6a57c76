"""Every reply ever paid for, durable: a resumed run reads it instead of asking again.

One SQLite file in write-ahead mode. A reply is committed before its result is used, and a request is counted before it
is sent, so killing the process at any point loses nothing but the requests that were in flight. Marks are recomputed
from replies: a corrected grader costs no calls. Equal texts are kept once.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lbt_dspy.errors import JournalError, UserError
from lbt_dspy.types import Reply

SCHEMA = """
CREATE TABLE IF NOT EXISTS source (id INTEGER PRIMARY KEY, role TEXT NOT NULL, lm TEXT NOT NULL, UNIQUE (role, lm));
CREATE TABLE IF NOT EXISTS text (digest BLOB PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reply (
    key BLOB PRIMARY KEY, source INTEGER NOT NULL, text BLOB, reason TEXT, attempts INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost REAL, logprobs TEXT
);
CREATE TABLE IF NOT EXISTS sent (
    role TEXT, lm TEXT, requests INTEGER NOT NULL, charge REAL NOT NULL, PRIMARY KEY (role, lm)
);
CREATE TABLE IF NOT EXISTS session (seconds REAL NOT NULL);
"""
LOOKUP = (
    "SELECT key, body, reason, attempts, input_tokens, output_tokens, cost, logprobs "
    "FROM reply LEFT JOIN text ON digest = text WHERE key IN ({})"
)
LOOKUP_CHUNK = 500
COUNT = (
    "INSERT INTO sent VALUES (?1,?2,?3,?4) ON CONFLICT (role, lm) "
    "DO UPDATE SET requests = requests + ?3, charge = charge + ?4"
)
TEXT_BYTES = 16
CACHE_KIB = 32 * 1024
"""Keys are random, so a commit touches pages all over their index: that of a run of half a million replies fits."""
CHECKPOINT_PAGES = 8000
"""Pages of 4 KiB that go to the log before they are copied into the file, which waits for the disk."""


class Journal:
    """The replies of one run (or of several that share a file), by key.

    Args:
        path: The file; created when absent. `None` keeps the journal in memory.

    Raises:
        UserError: The file is there but is not a journal.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._lock = threading.RLock()
        self._together = False
        self._sources: dict[tuple[str, str], int] = {}
        try:
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None, timeout=30)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            self._db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            with self.together():
                self._make_tables()
        except (sqlite3.Error, JournalError) as error:
            reason = error.__cause__ or error
            raise UserError(f"{path} cannot be used as a journal ({reason}); name another file or remove it") from None

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Commit all that is written inside at once, at the end; other threads wait."""
        with self._lock:
            if self._together:
                yield
                return
            with self._said_plainly():
                self._db.execute("BEGIN IMMEDIATE")
                self._together = True
                try:
                    yield
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:  # a full disk may have ended it
                        self._db.execute("ROLLBACK")
                    self._sources.clear()
                    raise
                finally:
                    self._together = False

    @contextlib.contextmanager
    def _said_plainly(self) -> Iterator[None]:
        """Raise what the database or its disk says as an error of ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(
                f"the journal {self.path or '(in memory)'} cannot be used ({error}); what it holds is kept: mend that, "
                "make room on its disk for instance, and go on from it"
            ) from error

    def replies(self, keys: Sequence[bytes]) -> dict[bytes, Reply]:
        """Return the recorded replies of `keys`, failed ones included; absent keys are absent."""
        found: dict[bytes, Reply] = {}
        for start in range(0, len(keys), LOOKUP_CHUNK):
            chunk = keys[start : start + LOOKUP_CHUNK]
            query = LOOKUP.format(",".join("?" * len(chunk)))
            with self._lock, self._said_plainly():
                rows = self._db.execute(query, chunk).fetchall()
            found.update((row[0], Reply._make(row[1:])) for row in rows)
        return found

    def record(self, role: str, lm: str, rows: Iterable[tuple[bytes, Reply]], *, sent: int = 0) -> None:
        """Commit replies; they take the place of what was recorded under their keys.

        Args:
            role: The role under which the calls are counted: `teacher` or `students`.
            lm: The name of the model that replied.
            rows: Keys with their replies.
            sent: Requests to count with them, where they were not counted before they were sent.
        """
        digests: dict[str, bytes] = {}
        values = []
        for key, (text, *others) in sorted(rows, key=_key_of):  # neighbours in the index are written together
            if text is not None and text not in digests:
                digests[text] = _digest(text)
            values.append((key, None if text is None else digests[text], *others))
        with self.together():
            source = self._source(role, lm)
            self._db.executemany("INSERT OR IGNORE INTO text VALUES (?2,?1)", digests.items())
            self._db.executemany(f"INSERT OR REPLACE INTO reply VALUES (?,{source},?,?,?,?,?,?,?)", values)
            if sent:
                self.count_sent(role, lm, sent)

    def count_sent(self, role: str, lm: str, requests: int = 1, charge: float = 0.0) -> None:
        """Count requests that are about to be sent, and charge for them.

        Args:
            role: The role under which the calls are counted: `teacher` or `students`.
            lm: The name of the model that is asked.
            requests: How many; -1 takes back one that was not sent.
            charge: US dollars: the worst case before sending, then the difference to the true cost. So a request that
                is lost with its process stays charged at its worst case.
        """
        with self.together():
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

    def recorded(self) -> int:
        """Return how many calls have a reply here, failed ones included."""
        return int(self._one("SELECT count(*) FROM reply"))

    def failed(self) -> int:
        """Return how many recorded calls got no usable reply."""
        return int(self._one("SELECT count(*) FROM reply WHERE text IS NULL"))

    def calls(self) -> dict[tuple[str, str], int]:
        """Return the calls (retries included) of all recorded replies by (role, LM name)."""
        with self._lock, self._said_plainly():
            rows = self._db.execute(
                "SELECT role, lm, sum(attempts) FROM reply JOIN source ON id = source GROUP BY role, lm"
            ).fetchall()
        return {(role, lm): int(calls) for role, lm, calls in rows}

    def add_session(self, seconds: float) -> None:
        """Note how long a session took."""
        with self.together():
            self._db.execute("INSERT INTO session VALUES (?)", (seconds,))

    def seconds(self) -> float:
        """Return how long all noted sessions took."""
        return float(self._one("SELECT coalesce(sum(seconds), 0.0) FROM session"))

    def close(self) -> None:
        """Write everything into the one file and release it."""
        with self._lock:
            self._db.close()

    def _one(self, query: str) -> float:
        with self._lock, self._said_plainly():
            row = self._db.execute(query).fetchone()
        return row[0]  # type: ignore[no-any-return]

    def _source(self, role: str, lm: str) -> int:
        """Return the number of a role and a model."""
        if (role, lm) not in self._sources:
            self._db.execute("INSERT OR IGNORE INTO source (role, lm) VALUES (?,?)", (role, lm))
            found = self._db.execute("SELECT id FROM source WHERE role = ? AND lm = ?", (role, lm)).fetchone()
            self._sources[role, lm] = int(found[0])
        return self._sources[role, lm]

    def _make_tables(self) -> None:
        """Make the tables, or turn those of an older version into today's."""
        columns = [row[1] for row in self._db.execute("PRAGMA table_info(reply)")]
        if "role" in columns:
            self._db.execute("ALTER TABLE reply RENAME TO reply_before")
        for statement in filter(str.strip, SCHEMA.split(";")):
            self._db.execute(statement)
        if "role" not in columns:
            return
        logprobs = "logprobs" if "logprobs" in columns else "NULL"
        old = self._db.execute(
            "SELECT role, lm, key, text, reason, attempts, input_tokens, output_tokens, cost, "
            f"{logprobs} FROM reply_before"
        )
        for role, lm, key, *reply in old:
            self.record(role, lm, [(key, Reply._make(reply))])
        self._db.execute("DROP TABLE reply_before")


def _key_of(row: tuple[bytes, Reply]) -> bytes:
    return row[0]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=TEXT_BYTES).digest()
