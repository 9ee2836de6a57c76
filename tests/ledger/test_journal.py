import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy import Journal, UserError
from lbt_dspy.errors import JournalError
from lbt_dspy.lms.redaction import writable
from lbt_dspy.types import Reply


def test_replies_come_back_and_failures_are_told_apart(tmp_path):
    journal = Journal(tmp_path / "j.sqlite")
    journal.record("teacher", "m", [(b"a", Reply("yes", None, 2, 10, 3, 0.5)), (b"b", Reply(None, "timeout", 3))])
    journal.count_sent("teacher", "m", 6)
    journal.close()
    journal = Journal(tmp_path / "j.sqlite")
    assert journal.replies([b"a", b"b", b"c"]) == {
        b"a": Reply("yes", None, 2, 10, 3, 0.5),
        b"b": Reply(None, "timeout", 3, 0, 0, 0.0),
    }
    assert journal.calls() == {("teacher", "m"): 5}
    assert (journal.sent(), journal.spent(), journal.failed(), journal.unpriced()) == (6, 0.5, 1, 0)
    journal.close()


def test_many_keys_are_looked_up_at_once():
    journal = Journal()
    keys = [i.to_bytes(16, "big") for i in range(1700)]
    journal.record("students", "m", [(key, Reply(str(i))) for i, key in enumerate(keys)])
    found = journal.replies(keys)
    assert [found[key].text for key in keys] == [str(i) for i in range(1700)]


def test_a_killed_process_has_lost_nothing_it_recorded(tmp_path):
    code = (
        "import sys, os, signal\n"
        "from lbt_dspy.ledger.journal import Journal\n"
        "from lbt_dspy.types import Reply\n"
        "journal = Journal(sys.argv[1])\n"
        "for i in range(300):\n"
        "    journal.count_sent('students', 'm')\n"
        "    journal.record('students', 'm', [(bytes([i % 256, i // 256]), Reply(str(i)))])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "j.sqlite"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    journal = Journal(path)
    assert journal.calls() == {("students", "m"): 300}
    assert journal.sent() == 300


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("some notes, long enough to be no empty database " * 50)
    with pytest.raises(UserError, match="cannot be used as a journal"):
        Journal(path)


FIRST = (  # version 0.1
    "CREATE TABLE reply (key BLOB PRIMARY KEY, role TEXT NOT NULL, lm TEXT NOT NULL, text TEXT, reason TEXT, "
    "attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost REAL) WITHOUT ROWID"
)
SECOND = FIRST.replace("cost REAL)", "cost REAL, logprobs TEXT)")
OTHERS = (
    "CREATE TABLE sent (role TEXT, lm TEXT, requests INTEGER NOT NULL, charge REAL NOT NULL, PRIMARY KEY (role, lm));"
    "CREATE TABLE session (seconds REAL NOT NULL);"
    "INSERT INTO sent VALUES ('teacher', 'm', 7, 0.5); INSERT INTO session VALUES (2.5)"
)
REPLIES = {
    b"a": Reply("yes", None, 2, 10, 3, 0.5),
    b"b": Reply(None, "timeout", 3),
    b"c": Reply("yes", None, 1, 1, 1, None),
    b"d": Reply("", None, 1),
    b"e": Reply("nul \0 and 😀\n", None, 1),
}


@pytest.mark.parametrize("schema", [FIRST, SECOND], ids=["first", "second"])
def test_a_journal_of_an_older_version_goes_on(schema, tmp_path):
    path = tmp_path / "j"
    old = sqlite3.connect(path)
    old.executescript(f"{schema};{OTHERS}")
    width = 6 + (schema == SECOND)
    for i, (key, reply) in enumerate(REPLIES.items()):
        row = (key, "teacher" if i % 2 else "students", "m", *reply[:width])
        old.execute(f"INSERT INTO reply VALUES ({','.join('?' * len(row))})", row)
    old.commit()
    old.close()
    for _ in range(2):  # the second time it is of this version
        journal = Journal(path)
        assert journal.replies([*REPLIES, b"z"]) == REPLIES
        assert journal.calls() == {("students", "m"): 4, ("teacher", "m"): 4}
        assert (journal.sent(), journal.charged(), journal.seconds()) == (7, 0.5, 2.5)
        assert (journal.spent(), journal.failed(), journal.unpriced()) == (0.5, 1, 1)
        journal.close()
    journal = Journal(path)
    journal.record("students", "m", [(b"b", Reply("late", None, 4, logprobs="[]"))])
    assert journal.replies([b"b"])[b"b"] == Reply("late", None, 4, logprobs="[]")


def test_equal_texts_are_stored_once(tmp_path):
    path = tmp_path / "j"
    for begin in (0, 100):
        journal = Journal(path)
        rows = [(bytes([i]), Reply("the same long answer " * 500)) for i in range(begin, begin + 100)]
        journal.record("students", "m", rows)
        journal.close()
    assert path.stat().st_size < 100_000
    assert {reply.text for _, reply in rows} == {r.text for r in Journal(path).replies([bytes([199])]).values()}


@given(st.dictionaries(st.binary(min_size=1, max_size=3), st.text(max_size=20) | st.none(), max_size=20))
def test_any_text_comes_back_as_it_was(texts):
    journal = Journal()
    journal.record("students", "m", [(key, Reply(text)) for key, text in texts.items()])
    assert {key: reply.text for key, reply in journal.replies(list(texts)).items()} == texts


def test_what_is_written_together_is_there_as_a_whole_or_not_at_all(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.count_sent("teacher", "m")

    def write():
        with journal.together():
            journal.count_sent("students", "new", 5)
            with journal.together():
                journal.record("students", "new", [(b"a", Reply("a"))], sent=2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert (journal.sent(), journal.calls(), journal.replies([b"a"])) == (1, {}, {})
    journal.record("students", "new", [(b"a", Reply("a"))], sent=1)  # its model was forgotten with the rest
    journal.close()
    journal = Journal(tmp_path / "j")
    assert (journal.sent(), journal.calls()) == (2, {("students", "new"): 1})


def test_others_see_nothing_before_it_is_whole(tmp_path):
    journal, other = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    seen = []
    with journal.together():
        journal.record("students", "m", [(b"a", Reply("a"))])
        seen.append(other.replies([b"a"]))
        journal.count_sent("students", "m")
        seen.append(other.sent())
    assert seen == [{}, 0]
    assert (other.replies([b"a"])[b"a"].text, other.sent()) == ("a", 1)


def test_threads_write_into_one_journal():
    journal = Journal()

    def write(number):
        for i in range(50):
            with journal.together():
                journal.count_sent("students", f"m{number}")
                journal.record("students", f"m{number}", [(bytes([number, i]), Reply(str(i)))])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.sent() == 300
    assert journal.calls() == {("students", f"m{number}"): 50 for number in range(6)}


@given(st.text(st.characters()))
def test_what_can_be_written_is_left_as_it_is_and_the_rest_can_be_written(text):
    written = writable(text)
    assert written.encode().decode() == written
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert written == text


def test_a_commit_that_fails_leaves_no_open_transaction(tmp_path):
    """Here by a constraint that is checked at the end; a full disk does the same."""
    journal = Journal(tmp_path / "j.sqlite")
    journal.record("students", "m", [(b"a", Reply("yes"))])
    journal._db.execute("PRAGMA foreign_keys=ON")
    journal._db.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    journal._db.execute("CREATE TABLE child (p INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")

    def write():
        with journal.together():
            journal.record("students", "new", [(b"b", Reply("no"))])
            journal._db.execute("INSERT INTO child VALUES (7)")

    with pytest.raises(JournalError, match=r"cannot be used .*constraint.* what it holds is kept"):
        write()
    assert not journal._db.in_transaction
    journal.record("students", "new", [(b"c", Reply("maybe"))])
    assert set(journal.replies([b"a", b"b", b"c"])) == {b"a", b"c"}
    assert set(journal.calls()) == {("students", "m"), ("students", "new")}
    journal.close()


def test_a_full_disk_is_said_plainly_and_loses_nothing(tmp_path):
    journal = Journal(tmp_path / "j.sqlite")
    journal.record("students", "m", [(b"a", Reply("yes"))])
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(JournalError, match=r"is full.*make room"):
        journal.record("students", "m", [(b"b", Reply("x" * 100_000))])
    journal._db.execute("PRAGMA max_page_count=100000")
    journal.record("students", "m", [(b"c", Reply("y" * 100_000))])
    assert set(journal.replies([b"a", b"b", b"c"])) == {b"a", b"c"}
    journal.close()
