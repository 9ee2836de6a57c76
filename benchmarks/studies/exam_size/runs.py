"""One run of the exam of the paper's size, measured from inside its process."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dspy
import psutil

from lbt_dspy.benchmarks.studies.throughput.clients import problem, program
from lbt_dspy.benchmarks.studies.throughput.echo_server import ANSWER, LABELS
from lbt_dspy.benchmarks.studies.throughput.names import EXAM_PROBLEMS
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.engine import Answer, ModelEngine, Request, lm_of
from lbt_dspy.lms.faults import Fault
from lbt_dspy.types import Exam, ExamProblem, ExamReport

TEXTS = 300
"""Distinct answers of the simulated student."""
KILOBYTE = 1024
MEGABYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one process saw of all exams."""

    sittings: int
    calls: int
    """That the student answered in this process."""
    seconds: float
    rss_before_mb: float
    """When everything is set up and no exam has begun."""
    rss_peak_mb: float
    """The most this process ever had, its imports included."""
    journal_bytes: int
    """After the journal was closed."""
    texts: int
    """Distinct answers of the student."""
    text_bytes: int
    """Of these, as UTF-8."""
    marks_digest: str
    """Of all marks in their order."""


class Simulated(ModelEngine):
    """A student that is none: a hash of the prompt and its seed picks one of a few hundred texts."""

    in_process = True

    def __init__(self) -> None:
        super().__init__("simulated", "simulated")
        self.calls = 0
        self.texts = tuple(ANSWER.format(mark=i, label=LABELS[i % len(LABELS)]) for i in range(TEXTS))

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Answer in the layout of the ChatAdapter."""
        self.calls += 1
        prompt = f"{request.config.seed}".join(message.text or "" for message in request.messages)
        digest = hashlib.blake2b(prompt.encode(), digest_size=8).digest()
        return Answer(self.texts[int.from_bytes(digest, "big") % TEXTS])


def measure(journal: str, problems: int, lessons: int, sittings: int) -> Run:
    """Hold all exams in this process, on a journal that may hold some or all of them.

    Args:
        journal: Its file.
        problems: Teaching problems.
        lessons: Of each, each with an exam of `EXAM_PROBLEMS` problems.
        sittings: Of a lesson, a multiple of `EXAM_PROBLEMS`.
    """
    engine = Simulated()
    student = lm_of(engine)
    ledger = Ledger(Journal(journal))
    examiner = Examiner(program(), grader=ExactMatch("label"), ledger=ledger)
    before = psutil.Process().memory_info().rss
    start, digest, total = time.perf_counter(), hashlib.blake2b(digest_size=16), 0
    for reports in held(examiner, student, problems, lessons, sittings // EXAM_PROBLEMS):
        marks = [sitting.mark.value for report in reports for row in report.sittings for sitting in row]
        digest.update(repr(marks).encode())
        total += len(marks)
    ledger.close()
    return Run(
        sittings=total,
        calls=engine.calls,
        seconds=time.perf_counter() - start,
        rss_before_mb=before / MEGABYTE,
        rss_peak_mb=peak_rss() / MEGABYTE,
        journal_bytes=Path(journal).stat().st_size,
        texts=len(engine.texts),
        text_bytes=sum(len(text.encode()) for text in engine.texts),
        marks_digest=digest.hexdigest(),
    )


def peak_rss() -> int:
    """Return the most memory that this process ever had, in bytes.

    On Linux `VmHWM`: `ru_maxrss` would count what the process had, as a fork, before it became this program.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * KILOBYTE


def held(
    examiner: Examiner, student: dspy.LM, problems: int, lessons: int, sittings: int
) -> Iterator[Sequence[ExamReport]]:
    """Give the reports of one exam after the other."""
    exams = (exam for number in range(problems) for exam in exams_of(number, lessons))
    return examiner.stream(exams, [student], sittings=sittings)


def exams_of(number: int, lessons: int) -> list[Exam]:
    """Return the exams of one teaching problem: a lesson each, and the same exam problems for all."""
    asked = [problem(-1 - EXAM_PROBLEMS * number - i).with_inputs("question") for i in range(EXAM_PROBLEMS)]
    problems = [ExamProblem(example=example) for example in asked]
    return [Exam(material=(problem(number * lessons + i),), problems=problems) for i in range(lessons)]
