"""Frozen records, and with them the words of the library.

teacher: the program being optimised; it writes lessons and answers the real questions.
exam student: a model that sits exams. (DSPy's `student` argument is the program being compiled, i.e. the teacher.)
material: a tuple of `dspy.Example` demonstrations that a student reads: one lesson, or a whole exemplar set.
exam problem: a question whose reference answer is known.
sitting: one attempt of one student at one exam problem after reading one material.
mark: the grade of one sitting, in [0, 1]; `None` when it could not be measured.
LbT score: the mean of the measured marks of a material.
exemplar set: the K in-context examples that M3 optimises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import dspy

    Material = tuple[dspy.Example, ...]


class Reply(NamedTuple):
    """What came back for one call, after its retries; a tuple, since there are as many as sittings."""

    text: str | None
    """The model's text; empty when the model answered nothing; `None` when there was no usable reply."""
    reason: str | None = None
    """Why `text` is None, the last fault, or empty; without anything secret."""
    attempts: int = 1
    """HTTP requests sent (or in-process completions), retries and fallbacks included."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    """US dollars over all attempts; `None` when the price is unknown."""
    logprobs: str | None = None
    """Log-probabilities of its tokens, where they were asked for (see `exam/likelihood.py`)."""

    @property
    def usable(self) -> bool:
        """Whether it is an answer, be it an empty one.

        Earlier versions kept errors of servers as empty answers: those without a reason whose usage says that nothing
        was written are none.
        """
        nothing_written = self.output_tokens == 0 < self.input_tokens and self.logprobs is None
        return self.text is not None and not (self.text == "" and self.reason is None and nothing_written)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The grade of one sitting."""

    value: float | None
    """In [0, 1]; `None`: not measured."""
    reason: str | None = None
    """Why the value is 0 or None, where there is more to say than "wrong"."""
    gain: float | None = None
    """Of marks by evidence: how much likelier the lesson made the reference answer, in nats per token."""


@dataclass(frozen=True, kw_only=True)
class ExamProblem:
    """A question whose reference answer is known."""

    example: dspy.Example
    """Inputs and reference outputs; `example.with_inputs(...)` must have been called."""


@dataclass(frozen=True, kw_only=True)
class Exam:
    """What a student reads, and what it is then asked."""

    material: Material
    problems: Sequence[ExamProblem]


class Seat(NamedTuple):
    """One sitting to come: which student is asked which problem, after which material, and the sitting's number."""

    material: Material
    student: dspy.LM
    problem: ExamProblem
    sitting: int
    """Each sitting number has a request seed of its own."""


@dataclass(frozen=True, kw_only=True)
class Sitting:
    """One attempt of one student at one exam problem."""

    fields: dict[str, object] | None
    """The output fields that were read out of the reply; `None` when nothing was written, could be read or measured."""
    mark: Mark
    probabilities: Mapping[str, float] | None = None
    """Of each label, where they were asked for and could be read."""


@dataclass(frozen=True, kw_only=True)
class ExamReport:
    """How one student did on one exam after reading one material."""

    student: str
    """Name of the exam student."""
    sittings: tuple[tuple[Sitting, ...], ...]
    """`sittings[problem][n]`, in the order of the exam problems."""

    @property
    def marks(self) -> list[float]:
        """All measured marks."""
        return [s.mark.value for row in self.sittings for s in row if s.mark.value is not None]

    @property
    def score(self) -> float | None:
        """The LbT score of this student: mean measured mark, `None` when none was measured."""
        marks = self.marks
        return sum(marks) / len(marks) if marks else None

    @property
    def coverage(self) -> float:
        """Measured sittings / all sittings, in [0, 1]; 1 for an empty exam."""
        total = sum(len(row) for row in self.sittings)
        return len(self.marks) / total if total else 1.0
