"""What a sitting costs beside the model: exams with a model in this process that answers at once."""

from __future__ import annotations

import contextlib
import functools
import gc
import statistics
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from lbt_dspy.benchmarks.studies.throughput.clients import exams_of, program
from lbt_dspy.benchmarks.studies.throughput.echo_server import ANSWER, LABELS
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.exam.render import Renderer, Rendering
from lbt_dspy.ledger.calls import LazyCall, Prefix
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.engine import Answer, ModelEngine, Request, lm_of
from lbt_dspy.lms.faults import Fault
from lbt_dspy.types import Exam

MICROSECONDS = 1e6
WARM_UP = 30


class Instant(ModelEngine):
    """Answers each prompt at once, with a text of its own."""

    in_process = True

    def __init__(self) -> None:
        super().__init__("instant", "instant")

    def answer(self, request: Request, faults: Sequence[Fault] = ()) -> Answer:
        """Answer in the layout of the ChatAdapter."""
        mark = zlib.crc32("".join(message.text or "" for message in request.messages).encode())
        return Answer(ANSWER.format(mark=mark, label=LABELS[mark % len(LABELS)]))


PARTS = (
    ("render lessons", Renderer, "template"),
    ("render questions", Rendering, "question"),
    ("make keys", Prefix, "asking"),
    ("make requests", LazyCall, "request"),
    ("look up in the journal", Journal, "replies"),
    ("write into the journal", Journal, "record"),
    ("parse", Renderer, "parse"),
    ("grade", ExactMatch, "grade"),
    ("the model", Instant, "answer"),
)
"""Where time goes: a method or property, or whatever it spends outside of those of the other parts."""


class Stopwatch:
    """Adds up the time of parts that may call each other, in one thread; each moment counts for the innermost part."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inside = 0.0

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that counts its time for a part."""

        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            outside, self._inside = self._inside, 0.0
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                taken = time.perf_counter() - start
                self.seconds[part] += taken - self._inside
                self._inside = outside + taken

        return counted

    @contextlib.contextmanager
    def watching(self, parts: Sequence[tuple[str, type, str]]) -> Iterator[None]:
        """Count for `parts` what happens in the meantime."""
        with contextlib.ExitStack() as stack:
            for part, owner, name in parts:
                own = vars(owner)[name]
                if isinstance(own, property):
                    counted: Any = property(self.timed(part, own.fget))  # type: ignore[arg-type]
                else:
                    counted = self.timed(part, own)
                stack.enter_context(mock.patch.object(owner, name, counted))
            yield


def overhead(sittings: int, repeats: int) -> list[dict[str, Any]]:
    """Return rows of `part`, `us_per_sitting` and `share`: medians over the repeats; the last row is the whole.

    Args:
        sittings: In a repeat, at least 1; there are three exam problems after each lesson.
        repeats: At least 1. In each the whole is measured without the parts, and then with them.
    """
    exams = exams_of(sittings)
    hold(exams_of(WARM_UP))
    wholes, watches = [], []
    for _ in range(repeats):
        wholes.append(hold(exams))
        watch = Stopwatch()
        with watch.watching(PARTS):
            hold(exams)
        watches.append(watch.seconds)
    whole = statistics.median(wholes)
    parts = {part: statistics.median(seconds[part] for seconds in watches) for part, _, _ in PARTS}
    parts["the rest"] = whole - sum(parts.values())
    return [
        {"part": part, "us_per_sitting": MICROSECONDS * seconds / sittings, "share": seconds / whole}
        for part, seconds in {**parts, "whole": whole}.items()
    ]


def hold(exams: Sequence[Exam]) -> float:
    """Hold exams with a new journal in a file; return the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Journal(Path(folder) / "journal.sqlite"), workers=1)
        examiner, student = Examiner(program(), grader=ExactMatch("label"), ledger=ledger), lm_of(Instant())
        gc.collect()
        start = time.perf_counter()
        examiner.examine(exams, [student])
        seconds = time.perf_counter() - start
        ledger.close()
    return seconds
