import os
import signal
import subprocess
import sys

import pytest

from lbt_dspy import Journal, UserError
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
        "from lbt_dspy.journal import Journal\n"
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
