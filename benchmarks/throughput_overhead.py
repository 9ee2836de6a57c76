"""What a sitting costs beside the model: exams with a model in this process that answers at once."""

from __future__ import annotations

import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dspy

from lbt_dspy.benchmarks.echo_server import ANSWER, LABELS
from lbt_dspy.benchmarks.throughput_clients import exams_of, program
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.exam.render import Prefix, Renderer, current_adapter
from lbt_dspy.journal import Journal
from lbt_dspy.lms.engine import Answer, ModelEngine, Request, lm_of
from lbt_dspy.lms.faults import Fault
from lbt_dspy.lms.in_process import COMMIT
from lbt_dspy.lms.ledger import Ledger
from lbt_dspy.types import Exam, Reply

MICROSECONDS = 1e6


class Instant(ModelEngine):
    """Answers each prompt at once, with a text of its own."""

    in_process = True

    def __init__(self) -> None:
        super().__init__("instant", "instant")

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Answer in the layout of the ChatAdapter."""
        mark = zlib.crc32("".join(message.text or "" for message in request.messages).encode())
        return Answer(ANSWER.format(mark=mark, label=LABELS[mark % len(LABELS)]))


def overhead(sittings: int, repeats: int) -> list[dict[str, Any]]:
    """Return rows of `part`, `us_per_sitting` and `share`: medians over the repeats; the last row is the whole.

    Args:
        sittings: In a repeat, at least 1; there are three exam problems after each lesson.
        repeats: At least 1.
    """
    exams = exams_of(sittings)
    measured = [_parts(exams, sittings) for _ in range(repeats)]
    median = {part: statistics.median(each[part] for each in measured) for part in measured[0]}
    whole = median.pop("whole")
    median["the rest"] = whole - sum(median.values())
    median["whole"] = whole
    return [{"part": part, "us_per_sitting": value, "share": value / whole} for part, value in median.items()]


def _parts(exams: Sequence[Exam], sittings: int) -> dict[str, float]:
    """Time each public piece on its own over all sittings, and then an exam as a whole; in us per sitting."""
    taken: dict[str, float] = {}

    def timed(part: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        taken[part] = MICROSECONDS * (time.perf_counter() - start) / sittings
        return result

    engine, grader = Instant(), ExactMatch("label")
    student = lm_of(engine)
    renderer = Renderer(program().predictors()[0].signature, current_adapter())
    prefixes = timed("render: lessons", lambda: [_prefix(exam, renderer, student) for exam in exams])
    seats = [
        (prefix, problem.example) for prefix, exam in zip(prefixes, exams, strict=True) for problem in exam.problems
    ]
    calls = timed("render: questions and keys", lambda: [prefix.call(e.inputs()) for prefix, e in seats])
    requests = timed("render: prompts", lambda: [call.request for call in calls])
    texts = timed("the model", lambda: [engine.answer(request).text for request in requests])
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "parts.sqlite")
        rows = [(call.key, Reply(text)) for call, text in zip(calls, texts, strict=True)]
        batches = [rows[start : start + COMMIT] for start in range(0, sittings, COMMIT)]
        timed("journal: look up", lambda: [journal.replies([key for key, _ in batch]) for batch in batches])
        timed("journal: write", lambda: [journal.record("students", engine.name, b, sent=len(b)) for b in batches])
        journal.close()
        fields = timed("parse", lambda: [renderer.parse(text) for text in texts])
        timed("grade", lambda: [grader.grade(e, f) for (_, e), f in zip(seats, fields, strict=True)])
        ledger = Ledger(Journal(Path(folder) / "whole.sqlite"), workers=1)
        examiner = Examiner(program(), grader=grader, ledger=ledger)
        timed("whole", lambda: examiner.examine(exams, [student]))
        ledger.close()
    return taken


def _prefix(exam: Exam, renderer: Renderer, student: dspy.LM) -> Prefix:
    """Return the prefix of an exam, rendered: its first question does that."""
    prefix = renderer.prefix(exam.material, student, student.engine, {"seed": 0}, 0)
    prefix.call(exam.problems[0].example.inputs())
    return prefix
