"""The content of results.json, and the command that gives it again."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import shlex
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.cli.settings import EMBEDDED_TEACHER, Settings
from lbt_dspy.benchmarks.m1.settings import METHOD, OWN_DEFAULTS, RerankSettings
from lbt_dspy.benchmarks.m2.settings import CLASSROOM_DEFAULTS, TuningSettings
from lbt_dspy.benchmarks.m3.flags import NAMES as SEARCH_OPTIONS
from lbt_dspy.benchmarks.m3.flags import PLACES
from lbt_dspy.benchmarks.m3.report import by_round
from lbt_dspy.benchmarks.m3.runs import Comparison, Row, Runner, row_runs
from lbt_dspy.benchmarks.shared.held_out import held_out_record
from lbt_dspy.benchmarks.tasks.tables import is_file
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.metrics.labels import Accuracy
from lbt_dspy.metrics.statistics import paired_bootstrap

BASELINES = ("round-0", "random-search")
ORDER = ("zero", "random", "round-0", "random-search", "m3-self", "m3-one", "m3-several")
FLAGS = {"source": "--from"}
"""Of options that are called otherwise."""
PACKAGES = ("lbt_dspy", "dspy", "litellm", "scikit-learn", "numpy")


def results_of(runner: Runner, comparison: Comparison, seconds: float) -> dict[str, Any]:
    """Return the content of results.json; identical for identical settings but for `seconds`."""
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
                {
                    "name": name,
                    "metric": metric.name,
                    "value": estimate.value,
                    "ci95": [estimate.low, estimate.high],
                    "n": len(golds),
                    "coverage": coverage_of(row),
                    "by_seed": _by_seed(row, estimate.by_run, settings.seeds),
                    "vs": [
                        {"baseline": base, "diff": d.value, "ci95": [d.low, d.high]}
                        for base in BASELINES
                        if base in rows and base != name
                        for d in (differences[name, base],)
                    ],
                    "calls": calls_by_role(row.account),
                    "cost_usd": row.account.cost,
                    "failed_calls": row.account.failed,
                    "schedule": "full",
                }
            )
    entries.sort(key=lambda entry: ORDER.index(entry["name"]))
    journal = runner.ledger.journal
    return {
        "task": settings.task,
        "method": settings.method,
        "seeds": list(settings.seeds),
        "models": {"teacher": settings.teacher, "students": list(settings.students)},
        "versions": versions(),
        "settings": {
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
            **{name: getattr(settings, name) for name in SEARCH_OPTIONS},
            "storage": settings.storage,
            "selection_examples": min(settings.selection_examples, len(data.train)),
            "minibatch": min(settings.minibatch, len(data.train)),
        },
        "results": entries,
        "by_round": by_round(runner, comparison),
        "held_out": held_out_record(data, methods),
        **calls_made(journal),
        "seconds": round(seconds, 1),
    }


def coverage_of(row: Row) -> float:
    """Return the measured share of a row's held-out sittings."""
    return sum(report.coverage for report in row.reports) / len(row.reports)


def _by_seed(row: Row, values: tuple[float, ...], seeds: tuple[int, ...]) -> list[float]:
    """Average the runs of each seed (`random` has many)."""
    groups = [[v for v, s in zip(values, row.seeds, strict=True) if s == seed] for seed in seeds]
    return [sum(group) / len(group) for group in groups if group]


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python, of the packages that decide results, and of some more."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in (*PACKAGES, *more)},
    }


def calls_made(journal: Journal) -> dict[str, Any]:
    """Return the calls of all recorded replies, by role and student, and what they cost."""
    calls = journal.calls()
    return {
        "calls": {
            "teacher": sum(n for (role, _), n in calls.items() if role == "teacher"),
            "students": {lm: n for (role, lm), n in sorted(calls.items()) if role == "students"},
        },
        "cost_usd": None if journal.unpriced() else journal.spent(),
    }


def calls_by_role(account: Account) -> dict[str, int]:
    """Return the calls of an account by role."""
    calls = {"teacher": 0, "students": 0}
    for (role, _), n in account.calls.items():
        calls[role] += n
    return calls


def command_of(settings: Settings | RerankSettings | TuningSettings) -> str:
    """Return the command line that gives these settings; of folders and files only the names."""
    given = {k: v for k, v in dataclasses.asdict(settings).items() if v is not None and v != ()}
    if settings.teacher == EMBEDDED_TEACHER:
        del given["teacher"], given["students"]
    if given.get("train") is not None:
        del given["task"]
    for name in set(PLACES) & set(given):
        if given[name] != "hf" and (name in ("data", "config") or is_file(given[name])):
            given[name] = f"DIR/{Path(given[name]).name}"
    if "://" not in given.get("storage", "://"):
        given["storage"] = f"DIR/{Path(given['storage']).name}"
    words = ["lbt", "--method", settings.method] if isinstance(settings, TuningSettings) else ["lbt"]
    own = OWN_DEFAULTS.get(settings.task, {}) if settings.method == METHOD else {}
    own = CLASSROOM_DEFAULTS if isinstance(settings, TuningSettings) else own
    defaults = {f.name: f.default for f in dataclasses.fields(settings)} | dict(own)
    for name, value in given.items():
        default = defaults[name]
        flag = FLAGS.get(name, f"--{name.replace('_', '-')}")
        if value is True:
            words.append(flag)
        elif value != default:
            values = value if name == "filter" else [",".join(map(str, value)) if isinstance(value, tuple) else value]
            words += [word for v in values for word in (flag, shlex.quote(str(v)))]
    return " ".join(words)
