"""What schedules save and cost on simulated tables: calls, agreement with the full exam, accuracy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lbt_dspy.benchmarks.studies.schedules.tables import ROWS, SITTINGS_A_LESSON, PaperRow, Problem, problem_of
from lbt_dspy.exam.schedules.schedule import Schedule, make_schedule
from lbt_dspy.exam.selection import CandidateLesson, select

SIZES = {24: 1, 256: 8}
"""Lessons a problem; with so many times fewer problems than asked for."""
RUNS = (
    ("sum", "lossless", 64), ("sum", "confident", 64), ("sum", "lossless", 1), ("sum", "confident", 1),
    ("max", "lossless", 64), ("max", "lossless", 1), ("avg", "lossless", 64), ("avg", "confident", 64),
)  # fmt: skip
"""Selection, schedule, sittings in flight at a problem; with 256 lessons, those of 64 in flight."""
BUDGETS = (48, 80, 240, 1024)
IN_FLIGHT = 64
PILOT_CALLS = 60_000
"""Of the pilot that finds how many lessons a budget is enough for."""
GATE = 5
Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What came of one teaching problem."""

    choice: int
    calls: int
    """Of students."""
    batches: int
    seconds: float
    """Spent on the schedule and the table."""


def examine(problem: Problem, schedule: Schedule, selection: str, in_flight: int) -> Examined:
    """Ask what the schedule asks until the answer is settled."""
    table, batches, start = problem.table(selection), 0, time.perf_counter()
    while cells := schedule.next(table, in_flight):
        batches += 1
        for cell in cells:
            table.record(cell, problem.mark(cell))
    choice = schedule.choice(table)
    return Examined(choice=choice, calls=table.asked, batches=batches, seconds=time.perf_counter() - start)


def full_choice(problem: Problem, selection: str) -> int:
    """Return the full exam's answer, without a schedule."""
    scores = problem.marks.sum(axis=(1, 2)).tolist()
    scored = zip(problem.candidates, scores, strict=True)
    return select(selection, [CandidateLesson(answer=candidate.answer, score=score) for candidate, score in scored])


def savings(problems: int, seed: int) -> Iterator[Entry]:
    """Give one entry per row, number of lessons, selection, schedule and sittings in flight."""
    for lessons, fewer in SIZES.items():
        for row in ROWS:
            drawn = [problem_of(row, lessons, seed, number) for number in range(max(problems // fewer, 1))]
            head = {"row": row.name, "N": lessons, "problems": len(drawn)}
            for selection in ("maj", "sum", "max", "avg"):
                calls = 0 if selection == "maj" else lessons * SITTINGS_A_LESSON
                right = [full_choice(problem, selection) == problem.right for problem in drawn]
                yield {**head, "selection": selection, "schedule": "full", "in_flight": IN_FLIGHT, "calls": calls,
                       "saving": None if selection == "maj" else 1.0, "agreement": 1.0,
                       "accuracy": statistics.fmean(right)}  # fmt: skip
            for selection, name, in_flight in RUNS:
                if lessons == min(SIZES) or in_flight == IN_FLIGHT:
                    yield {**head, "selection": selection, "schedule": name, "in_flight": in_flight,
                           **_measured(drawn, selection, name, in_flight, seed)}  # fmt: skip


def _measured(problems: Sequence[Problem], selection: str, name: str, in_flight: int, seed: int) -> Entry:
    schedule = make_schedule(name, seed=seed, selection=selection)
    done = [examine(problem, schedule, selection, in_flight) for problem in problems]
    calls = statistics.fmean(each.calls for each in done)
    batches = sum(each.batches for each in done)
    return {
        "calls": calls,
        "saving": len(problems[0].candidates) * SITTINGS_A_LESSON / calls if calls else None,
        "agreement": statistics.fmean(
            each.choice == full_choice(p, selection) for each, p in zip(done, problems, strict=True)
        ),
        "accuracy": statistics.fmean(each.choice == p.right for each, p in zip(done, problems, strict=True)),
        "batches": batches / len(problems),
        "ms_a_batch": 1000 * sum(each.seconds for each in done) / max(batches, 1),
    }


def equal_budgets(problems: int, seed: int) -> Iterator[Entry]:
    """Give the accuracy of SC, the full SUM exam and the confident SUM exam with equal numbers of calls in all.

    A call is a lesson sampled or a sitting. `adaptive` samples as many lessons as the budget is enough for on average,
    by the calls for the first of the problems; all methods see the same problems, a prefix of the same lessons.
    """
    schedule = make_schedule("confident", seed=seed, selection="sum")
    for row in ROWS:
        drawn = [problem_of(row, max(BUDGETS), seed, number) for number in range(problems)]
        for budget in BUDGETS:
            sizes = {"sc": budget, "full": budget // (1 + SITTINGS_A_LESSON)}
            for method, lessons in sizes.items():
                parts = [problem.first(lessons) for problem in drawn]
                rule = "maj" if method == "sc" else "sum"
                right = [full_choice(part, rule) == part.right for part in parts]
                calls = lessons * (1 if method == "sc" else 1 + SITTINGS_A_LESSON)
                yield _budget_entry(row, budget, method, lessons, calls, right)
            lessons = _affordable(drawn[: PILOT_CALLS // budget], schedule, budget)
            parts = [problem.first(lessons) for problem in drawn]
            done = [examine(part, schedule, "sum", IN_FLIGHT) for part in parts]
            spent = lessons + statistics.fmean(each.calls for each in done)
            right = [each.choice == part.right for each, part in zip(done, parts, strict=True)]
            yield _budget_entry(row, budget, "adaptive", lessons, spent, right)


def _budget_entry(row: PaperRow, budget: int, method: str, lessons: int, calls: float, right: Sequence[bool]) -> Entry:
    return {"row": row.name, "budget": budget, "method": method, "N": lessons, "problems": len(right), "calls": calls,
            "accuracy": statistics.fmean(right)}  # fmt: skip


def _affordable(pilot: Sequence[Problem], schedule: Schedule, budget: int) -> int:
    """Return the most lessons, to 2% of the budget, that cost at most the budget on average over the pilot."""
    low, high = 1, budget
    while high - low > budget // 50:
        lessons = (low + high + 1) // 2
        sittings = (examine(p.first(lessons), schedule, "sum", IN_FLIGHT).calls for p in pilot)
        low, high = (lessons, high) if lessons + statistics.fmean(sittings) <= budget else (low, lessons - 1)
    return low


def gates(problems: int, seed: int) -> Iterator[Entry]:
    """Give what sampling no more lessons after a unanimous first five saves and costs, with lossless SUM of 24."""
    schedule = make_schedule("lossless", selection="sum")
    for row in ROWS:
        drawn = [problem_of(row, min(SIZES), seed, number) for number in range(problems)]
        shut = [all(c.answer == 0 for c in problem.candidates[:GATE]) for problem in drawn]
        done = [examine(problem, schedule, "sum", IN_FLIGHT) for problem in drawn]
        for gate in (None, GATE):
            choices = [0 if gate and stop else each.choice for each, stop in zip(done, shut, strict=True)]
            sittings = [0 if gate and stop else each.calls for each, stop in zip(done, shut, strict=True)]
            yield {
                "row": row.name, "N": min(SIZES), "gate": gate, "problems": problems,
                "gated": statistics.fmean(shut) if gate else 0.0,
                "teacher_calls": statistics.fmean(GATE if gate and stop else min(SIZES) for stop in shut),
                "student_calls": statistics.fmean(sittings),
                "accuracy": statistics.fmean(c == p.right for c, p in zip(choices, drawn, strict=True)),
            }  # fmt: skip
