"""V-scores and S-scores of a run whose answers are programs: the share of visible, and of hidden tests that pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import dspy

from lbt_dspy.benchmarks.rerank_rows import Answered, Row
from lbt_dspy.benchmarks.rerank_runs import RerankRunner
from lbt_dspy.metrics.statistics import Estimate, paired_means
from lbt_dspy.report import interval


class Table(NamedTuple):
    """One table; all columns but the first are numbers."""

    title: str
    headings: tuple[str, ...]
    cells: list[list[str]]


def by_tests(runner: RerankRunner, rows: Mapping[str, Row]) -> list[dict[str, Any]]:
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


def _values(
    runner: RerankRunner, row: Row, share: Callable[[dspy.Example, Mapping[str, Any]], float | None]
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
