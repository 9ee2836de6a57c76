"""A run that is killed goes on where its journal ends: the same marks, and nothing is asked again that it holds."""

import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time
import zlib
from collections import Counter
from typing import NamedTuple

import pytest
from aiohttp import web

from lbt_dspy.benchmarks.studies.throughput.clients import KEY, exams_of, program
from lbt_dspy.benchmarks.studies.throughput.echo_server import MODEL, EchoServer, completion
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.roles import LMRoles

SITTINGS = 1200
KILLS = {"lean": 4, "litellm": 2}
"""Each costs the start of a process."""
WORKERS = 32
LATENCY = 0.01
LEFT = 120
"""Replies that no kill comes after, so that the run has not ended when it is killed."""
SECONDS_TO_KILL = 120
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["lbt_dspy.exam.examiner", "lbt_dspy.lms.litellm.router", "lbt_dspy.lms.openai.client"]
)


class Recording(EchoServer):
    """Keeps the texts that answer each request, in the order of arrival: equal requests have equal texts."""

    def __init__(self):
        super().__init__(LATENCY)
        self.answered = []

    async def complete(self, request):
        body = await request.read()
        reply = completion(MODEL, zlib.crc32(body), json.loads(body).get("n") or 1, 0)
        self.answered.append(tuple(choice["message"]["content"] for choice in reply["choices"]))
        return await super().complete(request)


class Counts(NamedTuple):
    """What a journal says."""

    replies: int
    attempts: int
    sent: int


@pytest.fixture
def recording():
    """Serve from a thread of this process; gives the server and its base URL."""
    server, loop = Recording(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start():
        runner = web.AppRunner(server.application(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield server, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def sit(url, client, journal, questions, sittings, results):
    """Hold the exams, in a process that may be killed; send the marks at the end."""
    os.environ["OPENAI_API_KEY"] = KEY
    student = LMRoles(client=client).lms([f"openai/{MODEL}@{url}"])[0]
    ledger = Ledger(Journal(journal), workers=WORKERS)
    examiner = Examiner(program(), grader=ExactMatch("label"), ledger=ledger)
    reports = [report for exam in examiner.stream(exams_of(questions), [student], sittings=sittings) for report in exam]
    ledger.close()
    results.send([[(s.mark.value, s.fields) for s in row] for report in reports for row in report.sittings])


@contextlib.contextmanager
def sitting(*run):
    """Run the exams in a process of their own; gives the process and what receives the marks."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=sit, args=(*run, sender))
    process.start()
    sender.close()
    try:
        yield process, receiver
    finally:
        process.kill()
        process.join()


def marks_of(*run):
    with sitting(*run) as (process, receiver):
        marks = receiver.recv()
        process.join()
        assert process.exitcode == 0
    return marks


def counts(journal):
    with contextlib.closing(sqlite3.connect(journal, timeout=30)) as db:
        return Counts(*(db.execute(f"SELECT coalesce(sum({what}), 0) FROM {table}").fetchone()[0] for what, table in (
            ("1", "reply"), ("attempts", "reply"), ("requests", "sent"))))  # fmt: skip


def texts_of(journal):
    with contextlib.closing(sqlite3.connect(journal, timeout=30)) as db:
        return {body for (body,) in db.execute("SELECT body FROM text")}


def killed(replies, journal, *run):
    """Run until the journal holds so many replies, and kill; return its counts after that."""
    url, client, *rest = run
    with sitting(url, client, journal, *rest) as (process, _):
        until = time.monotonic() + SECONDS_TO_KILL
        while counts(journal).replies < replies:
            assert process.is_alive()
            assert time.monotonic() < until
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    return counts(journal)


def moments(seed, kills, sittings):
    """Draw how many replies the journal is to hold at each kill, one in each equal part of the run."""
    rng, part = random.Random(seed), (sittings - LEFT) // kills
    return [rng.randrange(part * i, part * (i + 1)) for i in range(kills)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "questions", "sittings"),
    [("lean", SITTINGS, 1), ("litellm", SITTINGS // 3, 1), ("lean", 400, 3), ("litellm", 134, 3)],
)
def test_a_killed_run_asks_nothing_again_that_its_journal_holds(recording, tmp_path, client, questions, sittings):
    server, url = recording
    undisturbed = marks_of(url, client, str(tmp_path / "undisturbed.sqlite"), questions, sittings)
    assert [len(row) for row in undisturbed] == [sittings] * questions
    assert len(server.answered) == questions
    server.answered.clear()

    journal = str(tmp_path / "journal.sqlite")
    Journal(journal).close()
    lost = []
    now = counts(journal)
    for moment in moments(f"{client} {sittings}", KILLS[client], questions * sittings):
        held, before = texts_of(journal), len(server.answered)
        now = killed(max(moment, now.replies + 1), journal, url, client, questions, sittings)
        lost.append(now.sent - now.attempts - sum(lost))
        assert 0 <= lost[-1] <= WORKERS
        assert not held & {text for texts in server.answered[before:] for text in texts}
    held, before = texts_of(journal), len(server.answered)
    assert marks_of(url, client, journal, questions, sittings) == undisturbed
    assert not held & {text for texts in server.answered[before:] for text in texts}

    end = counts(journal)
    asked = Counter(server.answered)
    assert (end.replies, end.attempts) == (questions * sittings, questions)
    assert len(asked) == questions
    assert end.sent == questions + sum(lost)
    assert questions <= asked.total() <= end.sent  # the journal counts a request before it goes out
    assert asked.total() - questions <= sum(lost)
    assert sum(lost) > 0
