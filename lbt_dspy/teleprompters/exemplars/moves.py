"""The moves that the searches share: draw, examine, group, sort. What the teacher writes is in `writing.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dspy
import numpy as np

from lbt_dspy.sampling import balanced, stream
from lbt_dspy.signatures import UNREADABLE
from lbt_dspy.teleprompters.exemplars.context import SearchContext
from lbt_dspy.teleprompters.exemplars.records import Case, ExemplarSet, Proposal, ScoredSet
from lbt_dspy.types import Exam, ExamProblem, ExamReport
from lbt_dspy.values import label_text


def random_set(
    pool: Sequence[dspy.Example], size: int, label_of: Callable[[dspy.Example], str], seed: int, number: int
) -> ExemplarSet:
    """Return random set `number` of a seed: `size` exemplars, as evenly over the labels as the pool allows.

    A search starts from number 0. Who compares it with random sets takes the same ones, so that none is paid for twice.
    """
    drawn = balanced(pool, size, label_of, stream(seed, "random set", number))
    return ExemplarSet(exemplars=tuple(drawn), origin=f"random set {number}")


def exams_for(context: SearchContext, sets: Sequence[ExemplarSet], examples: Sequence[dspy.Example]) -> list[Exam]:
    """Return one exam per set: the examples without those that the set itself gives away."""
    problems = [(context.inputs_of(example), ExamProblem(example=example)) for example in examples]
    exams = []
    for exemplar_set in sets:
        own = {context.inputs_of(exemplar) for exemplar in exemplar_set.exemplars}
        left = [problem for inputs, problem in problems if inputs not in own]
        exams.append(Exam(material=exemplar_set.exemplars, problems=left))
    return exams


def find_cases(
    context: SearchContext, kept: Sequence[ExemplarSet], minibatch: Sequence[dspy.Example]
) -> tuple[list[list[Case]], dict[str, int]]:
    """Let every exam student answer the minibatch after each kept set; pool their errors per set.

    Returns:
        The cases of each set, one entry per wrong answer (so a case that two students failed is there twice and is
        drawn more often), and the number of wrong answers by student. What was not measured is no error.
    """
    exams = exams_for(context, kept, minibatch)
    reports = context.examiner.examine(exams, context.students, account=context.account)
    errors: dict[str, int] = {report.student: 0 for report in reports[0]}
    pooled: list[list[Case]] = []
    for exam, by_student in zip(exams, reports, strict=True):
        cases: list[Case] = []
        for i, problem in enumerate(exam.problems):
            wrong = {r.student: answer_text(r, i, context.label_field) for r in by_student if failed(r, i)}
            for student in wrong:
                errors[student] += 1
            cases += [Case(example=problem.example, wrong_answers=wrong)] * len(wrong)
        pooled.append(cases)
    return pooled, errors


def failed(report: ExamReport, problem: int) -> bool:
    """Return whether a student got a problem wrong (and was measured)."""
    value = report.sittings[problem][0].mark.value
    return value is not None and value < 1


def answer_text(report: ExamReport, problem: int, field: str) -> str:
    """Return what a student answered."""
    fields = report.sittings[problem][0].fields
    return UNREADABLE if fields is None else label_text(fields[field])


def group_cases(cases: Sequence[Case], groups: int, size: int, rng: np.random.Generator) -> list[tuple[Case, ...]]:
    """Draw up to `groups` groups of at most `size` different cases; cases are used again only when they run out."""
    if not cases:
        return []
    drawn: list[tuple[Case, ...]] = []
    queue: list[Case] = []
    for _ in range(groups):
        group: dict[int, Case] = {}
        left = len({id(case) for case in cases})
        while len(group) < min(size, left):
            queue = queue or [cases[i] for i in rng.permutation(len(cases))]
            case = queue.pop()
            group.setdefault(id(case), case)
        drawn.append(tuple(group.values()))
    return drawn


def new_sets(proposals: Sequence[Proposal], old: Sequence[ExemplarSet]) -> list[list[ExemplarSet]]:
    """Return the revised sets of each parent without duplicates."""
    seen = {s.content for s in old}
    by_parent: dict[int, list[ExemplarSet]] = {}
    for proposal in proposals:
        revised = proposal.revised
        if revised is not None and revised.content not in seen:
            seen.add(revised.content)
            by_parent.setdefault(id(proposal.parent), []).append(revised)
    return list(by_parent.values())


def at_most(sets: Sequence[Sequence[ExemplarSet]], most: int, rng: np.random.Generator) -> list[ExemplarSet]:
    """Return a random `most` of the sets of each parent."""
    return [own[i] for own in sets for i in sorted(rng.permutation(len(own))[:most])]


def best_first(sets: Sequence[ScoredSet], most: int) -> tuple[ScoredSet, ...]:
    """Return the `most` sets with the best scores; of equal ones the older first."""
    return tuple(sorted(sets, key=lambda s: -s.rank)[:most])
