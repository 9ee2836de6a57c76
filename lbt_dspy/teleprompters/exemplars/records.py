"""What an M3 search did, round by round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import dspy


@dataclass(frozen=True, kw_only=True)
class ExemplarSet:
    """K exemplars and where they came from."""

    exemplars: tuple[dspy.Example, ...]
    origin: str
    """`random set 0` for a draw from the training set, `round 2, set 1, reflection 3` for a teacher's revision."""

    @property
    def content(self) -> frozenset[tuple[tuple[str, str], ...]]:
        """The exemplars without their order: equal contents are the same set."""
        return frozenset(content_of(example) for example in self.exemplars)


@dataclass(frozen=True, kw_only=True)
class ScoredSet:
    """An exemplar set with its selection score."""

    exemplar_set: ExemplarSet
    score: float | None
    """The metric on the selection examples; `None`: nothing was measured."""
    coverage: float
    """Measured share of the selection examples, in [0, 1]."""
    measured: int
    """Number of selection examples that were measured."""
    examples: int
    """Number of selection examples that it was scored on; 0: the score is an estimate."""
    variance: float | None = None
    """Of the score, over draws of selection examples (grouped jackknife); `None` where it was not asked for."""

    @property
    def rank(self) -> float:
        """The score for ordering: an unmeasured set comes last."""
        return float("-inf") if self.score is None else self.score


@dataclass(frozen=True, kw_only=True)
class Case:
    """An exam problem that students got wrong after reading an exemplar set."""

    example: dspy.Example
    wrong_answers: Mapping[str, str]
    """By student; `(unreadable)` for an answer that could not be read."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One revision: from a set, the cases it was criticised for and the reflection on them."""

    parent: ExemplarSet
    cases: tuple[Case, ...]
    reflection: str | None
    """`None`: none was given, or it was too short to mean anything."""
    kinds: tuple[str, ...] = ()
    """Kinds of mistake, where the teacher was asked for them."""
    revised: ExemplarSet | None
    """`None`: no usable list came back."""
    dropped: int = 0
    """Exemplars of the teacher's list that were refused (label, emptiness, copy of a validation text)."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round: what was proposed, and the beam after selection, best first."""

    number: int
    beam: tuple[ScoredSet, ...]
    proposals: tuple[Proposal, ...] = ()
    scored: tuple[ScoredSet, ...] = ()
    """The sets that were scored for the first time in this round."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Wrong answers on the minibatches by student."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for a report."""
        return {
            "round": self.number,
            "best_score": self.beam[0].score,
            "beam": [
                {"origin": s.exemplar_set.origin, "score": s.score, "coverage": s.coverage, "examples": s.examples}
                for s in self.beam
            ],
            "sets_scored": len(self.scored),
            "cases": sum(len(p.cases) for p in self.proposals),
            "errors": dict(self.errors),
            "reflections": [p.reflection for p in self.proposals if p.reflection],
            "reflections_dropped": sum(p.reflection is None for p in self.proposals),
            "exemplars_dropped": sum(p.dropped for p in self.proposals),
            "kinds": dict(Counter(kind for p in self.proposals for kind in p.kinds)),
        }


def churn(rounds: Sequence[Round]) -> list[int]:
    """Return for each round how many exemplars of its best set were not in the best set of the round before."""
    bests = [r.beam[0].exemplar_set.content for r in rounds]
    return [0, *(len(new - old) for old, new in pairwise(bests))] if bests else []


def led_by(rounds: Sequence[Round]) -> dict[str, int]:
    """Return for each student how many exemplars of the final best set came from a criticism of its mistakes.

    An exemplar came from a criticism when the teacher's revision brought it in, or it was one of the failure cases. One
    that several students failed, or several criticisms brought in, counts for each student once.
    """
    led: dict[str, int] = {student: 0 for r in rounds for student in r.errors}
    start = rounds[0].beam[0].exemplar_set.content
    for exemplar in rounds[-1].beam[0].exemplar_set.content - start:
        students = set()
        for proposal in (p for r in rounds for p in r.proposals):
            brought = frozenset[Any]() if proposal.revised is None else proposal.revised.content
            brought = (brought - proposal.parent.content) | {content_of(case.example) for case in proposal.cases}
            if exemplar in brought:
                students |= {student for case in proposal.cases for student in case.wrong_answers}
        for student in students:
            led[student] += 1
    return led


@dataclass(frozen=True, kw_only=True)
class ExemplarValue:
    """What an exemplar adds to the exam score of a set, beside an average one of the pool."""

    exemplar: dspy.Example
    origin: str
    value: float
    """In units of the metric: posterior mean."""
    low: float
    high: float
    """95% credible interval."""
    exams: int
    """Number of exams of sets that it was in."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for a report."""
        return {
            "exemplar": {name: str(value) for name, value in self.exemplar.items()},
            "origin": self.origin,
            "value": self.value,
            "ci95": [self.low, self.high],
            "exams": self.exams,
        }


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search policy returns: its rounds; the best set is the first of the last beam."""

    rounds: tuple[Round, ...]
    values: tuple[ExemplarValue, ...] = ()
    study: Any = None
    """The Optuna study of `search="tpe"`."""
    calls: int | None = None
    """Model calls of all processes that worked on it; `None`: of this one alone."""


@dataclass(frozen=True, kw_only=True)
class ExemplarSearch:
    """The result of an M3 search."""

    program: dspy.Module
    """A copy of the given program with the best exemplar set as demonstrations of the named predictor."""
    rounds: tuple[Round, ...]
    """Round 0 (the initial set) and every round after it."""
    values: tuple[ExemplarValue, ...]
    """What each exemplar adds, the best first; empty unless `search="utility"`."""
    study: Any
    """The Optuna study of `search="tpe"`, else `None`."""
    calls: Mapping[tuple[str, str], int]
    """Calls that this search needs by (role, LM name), as if it ran alone."""
    cost: float | None
    """US dollars; `None` when a price is unknown."""

    shared_calls: int | None
    """Model calls of all processes that worked on a study of `search="tpe"`; `None` for the other searches."""

    @property
    def best(self) -> ScoredSet:
        """The set with the best selection score."""
        return self.rounds[-1].beam[0]

    @property
    def sets_scored(self) -> int:
        """How many sets were scored in all rounds."""
        return sum(len(r.scored) for r in self.rounds)


def content_of(example: dspy.Example) -> tuple[tuple[str, str], ...]:
    """Return the fields of an example as sorted text."""
    return tuple(sorted((key, str(value)) for key, value in example.items()))
