"""Evidence-gain marks: how much likelier a lesson makes the reference answers of an exam (arXiv 2603.09803).

A student writes nothing: it is asked how likely the reference answer is, once with the lesson in its prompt and once
without. The gain is the difference of the two mean log-probabilities per token; the mark is a logistic function of it.
Nothing is sampled, so one sitting of a student at a problem says all.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import dspy

from lbt_dspy.errors import UserError, check_choice
from lbt_dspy.exam.names import MarkName
from lbt_dspy.exam.render import Renderer
from lbt_dspy.exam.sitting.mark import MarkedExam, SittingMark, check_one_sitting
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.calls import Prefix, ScoreCall, Terms, score_call
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.engine import SCORERS
from lbt_dspy.lms.logprobs import decode
from lbt_dspy.lms.settings import sampling_of, split
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.types import ExamProblem, Mark, Reply, Seat, Sitting

if TYPE_CHECKING:
    from lbt_dspy.types import Material

MARKS = get_args(MarkName)
EVIDENCE = "evidence"
SCALE = 0.1
"""Of the gain, in nats per token: a gain of so much has the mark .73, twice as much .88. See docs/m1.md."""
DIGITS = 4
"""Of a mark: so many are exact in `ExamTable`, and quick to add up."""


def evidence_mark(gain: float, scale: float) -> float:
    """Return sigmoid(gain / scale), in [0, 1]: larger gains have no smaller mark, none has 1/2.

    Args:
        gain: Nats per token.
        scale: The same, above 0.
    """
    return round((1 + math.tanh(gain / scale / 2)) / 2, DIGITS)


@dataclass(frozen=True, kw_only=True)
class EvidenceExam:
    """Holds exams whose marks are evidence gains."""

    renderer: Renderer
    shown: Callable[[Material], Material]
    """What a student reads of a material."""
    ledger: Ledger
    scale: float

    def check(self, students: Sequence[dspy.LM], problems: Sequence[ExamProblem] = ()) -> None:
        """Raise `UserError` unless the problems have answers and all students say how likely a given text is."""
        for problem in problems:
            self.renderer.answer_text(problem.example)
        check_scorers(students)

    def sit(self, seats: Sequence[Seat], *, role: str, account: Account) -> list[Sitting]:
        """As `Examiner.sit`; what is asked without a lesson has a key of its own, so it is paid for once.

        Raises:
            UserError: A student does not score texts, or a seat is not the first of its student and problem.
        """
        self.check([seat.student for seat in seats])
        prefixes: dict[tuple[int, int], Prefix] = {}
        answers: dict[int, str] = {}
        calls: list[ScoreCall] = []
        for material, student, problem, sitting in seats:
            check_one_sitting(EVIDENCE, sitting + 1)
            if id(problem) not in answers:
                answers[id(problem)] = self.renderer.answer_text(problem.example)
            for read in (material, ()):
                place = (id(read), id(student))
                if place not in prefixes:
                    prefixes[place] = self._prefix(read, student)
                calls.append(score_call(prefixes[place].call(problem.example.inputs()), answers[id(problem)]))
        replies = self.ledger.ask(calls, role=role, account=account)
        return [self._sitting(*pair) for pair in zip(replies[::2], replies[1::2], strict=True)]

    def _prefix(self, material: Material, student: dspy.LM) -> Prefix:
        """Render without the LM's sampling settings: none matters, so LMs that differ in them alone share calls.

        Others may: `chat_template_kwargs` changes how the server writes the prompt.
        """
        settings = {"max_tokens": 1, **split(sampling_of(student, {}))[1]}
        return self.renderer.rendering(self.shown(material)).prefix(Terms(engine_of(student), settings, 0))

    def _sitting(self, taught: Reply, untaught: Reply) -> Sitting:
        if taught.logprobs is None or untaught.logprobs is None:
            return Sitting(fields=None, mark=Mark(value=None, reason=taught.reason or untaught.reason))
        gain = _mean(taught.logprobs) - _mean(untaught.logprobs)
        return Sitting(fields=None, mark=Mark(value=evidence_mark(gain, self.scale), gain=gain))


@dataclass(frozen=True)
class Evidence:
    """Marks by evidence gain.

    Args:
        scale: Above 0, in nats per token: the gain that has the mark .73.

    Raises:
        UserError: The scale is out of bounds.
    """

    scale: float = SCALE
    name = EVIDENCE
    one_sitting = True

    def __post_init__(self) -> None:
        if not (isinstance(self.scale, float | int) and 0 < self.scale < math.inf):
            raise UserError(f"evidence_scale must be a number above 0 but got {self.scale!r}; {SCALE} is the tried one")

    def exam(self, *, renderer: Renderer, shown: Callable[[Material], Material], ledger: Ledger) -> MarkedExam:
        """Return what holds exams."""
        return EvidenceExam(renderer=renderer, shown=shown, ledger=ledger, scale=self.scale)


def sitting_mark(given: object, scale: float) -> SittingMark | None:
    """Return what marks sittings, given by name or as it is; `None`: the grader.

    Raises:
        UserError: There is no such mark, or the scale is out of bounds.
    """
    evidence = Evidence(scale)
    if callable(getattr(given, "exam", None)) and isinstance(getattr(given, "name", None), str):
        return given  # type: ignore[return-value]
    check_choice("mark", given, MARKS)
    return evidence if given == EVIDENCE else None


def check_scorers(students: Sequence[dspy.LM]) -> None:
    """Raise `UserError` unless all students say how likely a given text is."""
    for student in students:
        engine = engine_of(student)
        if not engine.scores_texts:
            raise UserError(
                f"mark 'evidence' needs students that say how likely a given text is but {engine.name} does not; "
                f"{SCORERS} do, for others take mark 'grade'"
            )


def _mean(logprobs: str) -> float:
    return statistics.fmean(own for _, own, _ in decode(logprobs))
