"""Tasks whose questions have one answer each: what M1 needs to know of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import dspy

from lbt_dspy.exam.grading import Grader
from lbt_dspy.types import ExamProblem

Shots = Callable[[Sequence[ExamProblem], str], list[dspy.Example]]
"""Turns exam problems, and the name of their answer's field, into demonstrations."""


@dataclass(frozen=True, kw_only=True)
class AnswerTask:
    """One task, with its teaching problems and its bank of exam problems."""

    name: str
    program: dspy.Module
    """Answers a question; its LM is set by whoever runs it."""
    grader: Grader
    answer: str
    """Name of the answer's field, in predictions and references."""
    teaching: Sequence[dspy.Example]
    """Questions with their references, which only the evaluation sees."""
    bank: Sequence[dspy.Example]
    source: str
    """What the data was read from, without folders."""
    dropped: Mapping[str, int]
    adapter: dspy.Adapter | None = None
    """Of teacher and students; `None`: the configured one, or `ChatAdapter`."""
    shots: Mapping[str, Shots] = field(default_factory=lambda: {"few-shot": few_shot, "few-shot-sc": few_shot})
    """The baselines that give the teacher the exam problems as demonstrations; those in -sc take votes, those in
    -visible the first program that passes the visible tests."""
    rows: tuple[str, ...] = ("greedy", "sc", "max", "sum", "avg")
    """The other rows; see `benchmarks/m1/rows.py`."""
    baselines: tuple[str, ...] = ("sc", "few-shot-sc")
    """Rows that the others are compared with."""
    predictor: str | None = None
    """Whose text is the lesson, where the program has several."""
    calls: int = 1
    """Calls of one run of the program, at most."""
    final: Grader | None = None
    """Grades what is reported, e.g. by hidden tests; `None`: as the exams do."""
    own_tests: str | None = None
    """The field of the teaching problems with tests that their answers may be tried on, where there are such."""
    right_from: float = 1 / 2
    """The least mark of a right answer."""
    sandbox: str | None = None
    """What programs run in, where answers are programs."""
    strata: str | None = None
    """A field of the teaching problems by whose values the accuracy is also given."""

    def right(self, problem: dspy.Example, prediction: Mapping[str, object]) -> bool | None:
        """Return whether an answer is right; `None`: it could not be graded."""
        value = self.final_mark(problem, prediction)
        return None if value is None else value >= self.right_from

    def final_mark(self, problem: dspy.Example, prediction: Mapping[str, object]) -> float | None:
        """Return the mark of an answer, as it is reported."""
        return (self.final or self.grader).grade(problem, prediction).value

    def own_share(self, problem: dspy.Example, prediction: Mapping[str, object]) -> float:
        """Return the share of the problem's own visible tests that an answer passes; 1 where it has none."""
        if self.own_tests is None or not problem.get(self.own_tests):
            return 1.0
        return self.grader.grade(problem, prediction).value or 0.0


def few_shot(problems: Sequence[ExamProblem], answer: str, solution: str = "solution") -> list[dspy.Example]:
    """Return exam problems as demonstrations of a `dspy.ChainOfThought`, their solutions as its reasoning."""
    return [
        dspy.Example(
            **p.example.inputs(), reasoning=p.example.get(solution) or p.example[answer], **{answer: p.example[answer]}
        )
        for p in problems
    ]


def worked(examples: Sequence[dspy.Example], solution: str = "solution") -> list[dspy.Example]:
    """Return problems whose solution, where they have one, is also what a `dspy.ChainOfThought` calls its reasoning."""
    return [example.copy(reasoning=example[solution]) if example.get(solution) else example for example in examples]


def answers_only(problems: Sequence[ExamProblem], answer: str) -> list[dspy.Example]:
    """Return exam problems as demonstrations without reasoning: all that an exam needs to be known of them."""
    return [dspy.Example(**p.example.inputs(), **{answer: p.example[answer]}) for p in problems]
