"""V-scores and S-scores of a run whose answers are programs: the share of visible, and of hidden tests that pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import dspy

from lbt_dspy.benchmarks.m1.rows import SAMPLE, Answered, RerankRow
from lbt_dspy.benchmarks.m1.runs import RerankRunner
from lbt_dspy.benchmarks.shared.format import interval
from lbt_dspy.benchmarks.tasks.answering import AnswerTask
from lbt_dspy.metrics.statistics import Estimate, paired_means
from lbt_dspy.types import Mark

KINDS = {
    "no program was written": "without a program",
    "wall_seconds were spent": "out of time",
    "cpu_seconds": "out of time",
    "does not load": "that do not load",
    "has ended": "that ended early",
}
"""What an error says, and the kind of failure that it is; the first that fits."""


class Table(NamedTuple):
    """One table; all columns but the first are numbers."""

    title: str
    headings: tuple[str, ...]
    cells: list[list[str]]


def by_tests(runner: RerankRunner, rows: Mapping[str, RerankRow]) -> list[dict[str, Any]]:
    """Return the mean V-score and S-score of each row's programs; problems without visible tests have no V-score."""
    task = runner.task
    if task.own_tests is None:
        return []

    def visible(problem: dspy.Example, given: Mapping[str, Any]) -> float | None:
        return task.own_share(problem, given) if problem.get(str(task.own_tests)) else None

    shares = {"visible": visible, "hidden": task.final_mark}
    found = {kind: {name: _values(runner, row, share) for name, row in rows.items()} for kind, share in shares.items()}
    measured = {kind: paired_means(values) for kind, values in found.items()}
    return [
        {
            "name": name,
            **{kind: _entry(values[name]) for kind, (values, _) in measured.items()},
            "vs": [
                {"baseline": base, "diff": d.value, "ci95": [d.low, d.high]}
                for base in task.baselines
                if base in rows and base != name
                for d in (measured["hidden"][1][name, base],)
            ],
        }
        for name in rows
    ]


def scores_of(task: AnswerTask, problem: dspy.Example, answer: Answered) -> dict[str, Any]:
    """Return V-score and S-score of one answer, of tasks whose answers are programs."""
    if task.own_tests is None:
        return {}
    given = answer.prediction
    shown = bool(problem.get(task.own_tests))
    return {
        "visible_score": task.own_share(problem, given) if given is not None and shown else None,
        "hidden_score": None if given is None else task.final_mark(problem, given),
    }


def why_wrong(runner: RerankRunner, rows: Mapping[str, RerankRow]) -> dict[str, int]:
    """Return how the programs of all lessons did at the hidden tests: `right`, and kinds of failure."""
    task, kinds = runner.task, Counter[str]()
    if task.final is None or SAMPLE not in rows:
        return {}
    for _, problem, answer in runner.answered(rows[SAMPLE]):
        if answer.prediction is None:
            kinds["no answer"] += 1
        else:
            mark = task.final.grade(problem, answer.prediction)
            kinds[_kind(mark)] += 1
    return dict(sorted(kinds.items(), key=lambda item: (item[0] != "right", -item[1])))


def _kind(mark: Mark) -> str:
    if mark.value is None:
        return "not measured"
    if mark.value == 1:
        return "right"
    return next(
        (kind for said, kind in KINDS.items() if said in (mark.reason or "")), "with an error or another result"
    )


def failures_line(kinds: Mapping[str, int]) -> list[str]:
    """Return a line on the programs of all lessons."""
    told = ", ".join(f"{n:,} {kind}" for kind, n in kinds.items())
    return [f"Programs of all lessons at the hidden tests, by the first failure: {told}."] if kinds else []


def _values(
    runner: RerankRunner, row: RerankRow, share: Callable[[dspy.Example, Mapping[str, Any]], float | None]
) -> list[list[float | None]]:
    """Return the share of tests that each answer passes, run by run; what is no program passes none."""

    def value(problem: dspy.Example, answer: Answered) -> float | None:
        if answer.right is None:
            return None
        return 0.0 if answer.prediction is None else share(problem, answer.prediction)

    flat = [value(problem, answer) for _, problem, answer in runner.answered(row)]
    size = len(runner.task.teaching)
    return [flat[i : i + size] for i in range(0, len(flat), size)]


def _entry(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "ci95": [estimate.low, estimate.high]}


def scores_table(entries: list[dict[str, Any]]) -> Table:
    """Return the table of `by_tests`."""
    named = {v["baseline"] for e in entries for v in e["vs"]}
    bases = [e["name"] for e in entries if e["name"] in named]
    against = [{v["baseline"]: interval(v["diff"], v["ci95"], signed=True) for v in e["vs"]} for e in entries]
    return Table(
        "Shares of tests passed in %: V-score of the visible tests, S-score of the hidden ones.",
        ("row", "V-score [95%]", "S-score [95%]", *(f"S vs {base}" for base in bases)),
        [
            [
                e["name"],
                *(interval(e[kind]["value"], e[kind]["ci95"]) for kind in ("visible", "hidden")),
                *(found.get(base, "") for base in bases),
            ]
            for e, found in zip(entries, against, strict=True)
        ],
    )
