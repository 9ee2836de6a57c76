"""Exams against a server that fails, measured from inside their process."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import dspy
import yaml

from lbt_dspy.benchmarks.studies.throughput.clients import KEY, exams_of, program
from lbt_dspy.benchmarks.studies.throughput.echo_server import MODEL
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.roles import LMRoles

STUDENT = "student"


@dataclass(frozen=True, kw_only=True)
class Held:
    """What one run of exams came to, by its reports and by its journal."""

    seconds: float
    measured: int
    """Sittings with a mark."""
    not_measured: int
    """Sittings whose mark is `None`."""
    sent: int
    """Requests, by the journal."""
    attempts: int
    """Requests that the journal's replies bear."""
    recorded: int
    """Replies in the journal."""
    failed: int
    """Of these, without a text."""


def student_at(url: str, client: str, timeout: float, folder: Path) -> dspy.LM:
    """Return the student at an address, through a LiteLLM YAML that sets the timeout in seconds."""
    config = folder / "models.yaml"
    params = {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY, "timeout": timeout}
    config.write_text(yaml.safe_dump({"model_list": [{"model_name": STUDENT, "litellm_params": params}]}))
    return LMRoles(config, client=client).lms([STUDENT])[0]


def hold(url: str, client: str, *, sittings: int, concurrency: int, timeout: float) -> Held:
    """Hold exams of so many sittings in this process, on a journal in a file.

    Args:
        url: Of the server.
        client: `auto`, `lean` or `litellm`.
        sittings: In all, each in a request of its own.
        concurrency: Most requests in flight.
        timeout: Of a request, in seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        student = student_at(url, client, timeout, Path(folder))
        journal = Journal(Path(folder) / "journal.sqlite")
        ledger = Ledger(journal, workers=concurrency)
        examiner = Examiner(program(), grader=ExactMatch("label"), ledger=ledger)
        exams = exams_of(sittings)
        start = time.perf_counter()
        reports = [report for exam in examiner.stream(exams, [student]) for report in exam]
        seconds = time.perf_counter() - start
        ledger.finish()
        marks = [sitting.mark.value for report in reports for row in report.sittings for sitting in row]
        held = Held(
            seconds=seconds,
            measured=sum(mark is not None for mark in marks),
            not_measured=sum(mark is None for mark in marks),
            sent=journal.sent(),
            attempts=sum(journal.calls().values()),
            recorded=journal.recorded(),
            failed=journal.failed(),
        )
        ledger.close()
    return held
