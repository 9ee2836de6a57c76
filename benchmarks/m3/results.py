"""The content of results.json of a run of M3."""

from __future__ import annotations

from typing import Any

from lbt_dspy.benchmarks.m3.report import by_round
from lbt_dspy.benchmarks.m3.runs import Comparison, Runner, SearchRow, row_runs
from lbt_dspy.benchmarks.m3.settings import SEARCH
from lbt_dspy.benchmarks.shared.held_out import held_out_record
from lbt_dspy.benchmarks.shared.record import ResultRow, RunResults, calls_by_role, versus
from lbt_dspy.metrics.labels import Accuracy
from lbt_dspy.metrics.statistics import paired_bootstrap

BASELINES = ("round-0", "random-search")
ORDER = ("zero", "random", "round-0", "random-search", "m3-self", "m3-one", "m3-several")


def results_of(runner: Runner, comparison: Comparison, seconds: float) -> dict[str, Any]:
    """Return the content of results.json; identical for identical settings but for `seconds` and `versions`."""
    rows = {name: comparison.rows[name] for name in ORDER if name in comparison.rows}
    data, settings = runner.data, runner.settings
    golds = [str(example[data.task.output]) for example in data.test]
    methods = {name: row_runs(row, data) for name, row in rows.items()}
    entries = []
    for metric in (runner.metric, Accuracy(data.task.labels)):
        values, differences = paired_bootstrap(golds, methods, metric)
        for name, row in rows.items():
            estimate = values[name]
            entries.append(
                ResultRow(
                    name=name,
                    metric=metric.name,
                    value=estimate.value,
                    ci95=(estimate.low, estimate.high),
                    n=len(golds),
                    coverage=coverage_of(row),
                    by_seed=_by_seed(row, estimate.by_run, settings.seeds),
                    vs=versus(name, differences, BASELINES),
                    calls=calls_by_role(row.account),
                    schedule="full",
                    more={"cost_usd": row.account.cost, "failed_calls": row.account.failed},
                )
            )
    entries.sort(key=lambda entry: ORDER.index(entry.name))
    told = {
        "data": data.source,
        "filter": list(settings.filter),
        "train": len(data.train),
        "held_out": len(data.test),
        "dropped": dict(data.dropped),
        "question": data.task.question,
        "text_fields": list(data.task.text_fields),
        "label_field": data.task.label_field,
        "labels": list(data.task.labels),
        "positive": data.task.positive,
        "program": settings.program,
        "predictor": settings.predictor,
        **{name: getattr(settings, name) for name in SEARCH},
        "storage": settings.storage,
        "selection_examples": min(settings.selection_examples, len(data.train)),
        "minibatch": min(settings.minibatch, len(data.train)),
    }
    sections = {"by_round": by_round(runner, comparison), "held_out": held_out_record(data, methods)}
    return RunResults(
        run=settings, settings=told, rows=entries, sections=sections, journal=runner.ledger.journal, seconds=seconds
    ).as_dict()


def coverage_of(row: SearchRow) -> float:
    """Return the measured share of a row's held-out sittings."""
    return sum(report.coverage for report in row.reports) / len(row.reports)


def _by_seed(row: SearchRow, values: tuple[float, ...], seeds: tuple[int, ...]) -> list[float]:
    """Average the runs of each seed (`random` has many)."""
    groups = [[v for v, s in zip(values, row.seeds, strict=True) if s == seed] for seed in seeds]
    return [sum(group) / len(group) for group in groups if group]
