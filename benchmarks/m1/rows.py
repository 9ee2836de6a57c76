"""The rows of a run of M1: their names, how each answers, and what it answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lbt_dspy.benchmarks.tasks.answering import AnswerTask
from lbt_dspy.ledger.account import Account
from lbt_dspy.metrics.statistics import LabelledRuns
from lbt_dspy.teleprompters.rerank.records import Reranking

RIGHT, WRONG = "right", "wrong"
EXAMINED = ("max", "sum", "avg")
"""Rules that choose by LbT scores, and the rows of all lessons that bear their names."""
SAMPLE = "sample"
REPLAYS = (
    ("max", "lossless"),
    ("sum", "lossless"),
    ("sum", "confident"),
    ("avg", "lossless"),
    ("avg", "confident"),
    ("visible-max", "lossless"),
)
"""Rows and schedules that `--schedule all` replays after the full exam."""
ONE_SITTING, EVIDENCE = "1 sitting", "evidence"
"""Variants of the examined rows: graded in one sitting at each exam problem, and marked by evidence."""


class Way(NamedTuple):
    """How a row answers a question."""

    sampled: bool = True
    """False: one greedy answer."""
    rule: str = "maj"
    """Which of the lessons' answers is chosen."""
    passing: bool = False
    """Only of lessons whose program passes the visible tests (of all, where none does)."""
    first: bool = False
    """Only of the first of them; where none passes, of the one that passes the largest share."""


GREEDY = Way(sampled=False)
WAYS = {
    "greedy": GREEDY,
    "sc": Way(),
    SAMPLE: Way(),
    "visible": Way(passing=True, first=True),
    **{rule: Way(rule=rule) for rule in EXAMINED},
    "visible-max": Way(rule="max", passing=True),
}
"""By row. `sample` is the mean of all lessons, one by one."""


def way_of(name: str, task: AnswerTask) -> Way:
    """Return how a row answers; one with the exam problems as examples, as the row that it is named after."""
    return WAYS.get(name.rpartition("-")[2], GREEDY) if name in task.shots else WAYS[name]


def order_of(task: AnswerTask) -> tuple[str, ...]:
    """Return the names of a task's rows."""
    return (*task.rows, *task.shots)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One question's answer in one row."""

    right: bool | None
    """`None`: no sample came to an answer since calls were lost. An answer that cannot be read is wrong."""
    found: Reranking | None
    """`None`: no sample came to an answer, or the answer is a lesson by itself."""
    prediction: Mapping[str, Any] | None = None
    """What was answered; `None`: nothing."""


@dataclass
class RerankRow:
    """What one method answered, seed by seed."""

    name: str
    schedule: str
    mark: str = "grade"
    sittings: int = 3
    variant: str = ""
    """What sets it apart from the row of the same name: it asks the same exams in another way."""
    account: Account = field(default_factory=Account)
    answers: list[list[Answered]] = field(default_factory=list)
    """`answers[run][question]`: a run for each seed."""
    samples: int = 1
    """Runs of each seed: more than one where every lesson is an answer of its own."""

    @property
    def key(self) -> str:
        """Its name among the rows of a run."""
        return f"{self.name} ({self.variant})" if self.variant else self.name

    @property
    def rule(self) -> str:
        """How it chooses among answers: by votes, or by one of the rules of `EXAMINED`."""
        return WAYS[self.name].rule if self.name in WAYS else GREEDY.rule

    @property
    def examined(self) -> bool:
        """Whether it holds exams."""
        return self.rule in EXAMINED

    def runs(self) -> LabelledRuns:
        """Return the answers as labels: right or wrong."""
        return LabelledRuns(
            answers=[[RIGHT if a.right else WRONG for a in run] for run in self.answers],
            measured=[[a.right is not None for a in run] for run in self.answers],
        )

    def by_seed(self, values: tuple[float, ...]) -> list[float]:
        """Return the mean of each seed's runs."""
        groups = [values[i : i + self.samples] for i in range(0, len(values), self.samples)]
        return [sum(group) / len(group) for group in groups]

    def exams(self) -> list[Reranking]:
        """Return the records of all questions that were answered."""
        return [a.found for run in self.answers for a in run if a.found is not None]
