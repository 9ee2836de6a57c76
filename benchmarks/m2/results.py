"""The content of results.json of a run of M2, and its tables."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lbt_dspy.benchmarks.m2.runs import BEFORE, TuningRow, TuningRunner
from lbt_dspy.benchmarks.m2.settings import REPORTED
from lbt_dspy.benchmarks.shared.format import interval, percent
from lbt_dspy.benchmarks.shared.held_out import DIGEST_BYTES, lines_of
from lbt_dspy.benchmarks.shared.record import ResultRow, RunResults, calls_by_role, versus
from lbt_dspy.intervals import paired_means
from lbt_dspy.metrics.statistics import LabelledRuns
from lbt_dspy.teleprompters.dpo.steps import Round

RIGHT, WRONG = "right", "wrong"
BASELINES = (BEFORE, "dpo-correct")
HEADINGS = (
    "row", "accuracy [95%]", "vs before", "vs dpo-correct", "pairs", "chosen wrong", "teacher", "students", "seconds",
)  # fmt: skip
Marks = Sequence[Sequence[float | None]]


def results_of(runner: TuningRunner, rows: Mapping[str, TuningRow], seconds: float) -> dict[str, Any]:
    """Return the content of results.json; identical for identical settings but for seconds and versions."""
    s = runner.settings
    marks = marks_of_rows(rows)
    told = {
        "data": "synthetic world",
        "training_problems": s.problems,
        "held_out_problems": s.held_out,
        **{name: getattr(s, name) for name in REPORTED},
    }
    held_out = {
        "labels": [RIGHT, WRONG],
        "texts": _digest([[problem.question for problem in runner.held_out(seed)] for seed in s.seeds]),
        "references": " ".join("0" for _ in range(s.held_out)),
        "answers": {name: lines_of(_labelled(runs), (RIGHT, WRONG)) for name, runs in marks.items()},
    }
    return RunResults(
        run=s, settings=told, rows=result_rows(marks, rows, s.held_out), sections={"held_out": held_out},
        journal=runner.ledger.journal, seconds=seconds, packages=("torch", "transformers", "trl"),
    ).as_dict()  # fmt: skip


def result_rows(marks: Mapping[str, Marks], rows: Mapping[str, TuningRow], problems: int) -> list[ResultRow]:
    """Return the rows of the table, each against the teacher before and pairs of correctness alone."""
    values, differences = paired_means(marks)
    nothing = {"teacher": 0, "students": 0}
    more = {name: _of_row(rows[name]) if name in rows else {"calls": nothing} for name in marks}
    return [
        ResultRow(
            name=name,
            metric="accuracy",
            value=values[name].value,
            ci95=(values[name].low, values[name].high),
            n=problems,
            coverage=_coverage(marks[name]),
            by_seed=values[name].by_run,
            vs=versus(name, differences, BASELINES),
            calls=more[name]["calls"],
            schedule="none" if name == BEFORE else "full",
            more=more[name],
        )
        for name in marks
    ]


def heading(results: Mapping[str, Any]) -> str:
    """Return the title of a run."""
    s = results["settings"]
    rounds = "" if s["rounds"] == 1 else f", {s['rounds']} rounds"
    return (
        f"{results['task']} (synthetic world, embedded models): DPO on lessons of {s['training_problems']} problems, "
        f"{s['rationales']} each{rounds}; exams: {s['exam_problems']} problems, {s['sittings']} sittings; gap "
        f"{s['gap']:g}, NLL weight {s['nll_weight']:g}, learning rate {s['learning_rate']:g}; seeds "
        f"{','.join(map(str, results['seeds']))}"
    )


def marks_of_rows(rows: Mapping[str, TuningRow]) -> dict[str, Marks]:
    """Return the marks of each row, seed by seed; those before the training are the same for all."""
    first = next(iter(rows.values()))
    before = [result.rounds[0].compared.marks[0] for result in first.results if result.rounds[0].compared]
    return {BEFORE: before, **{name: [result.marks for result in row.results] for name, row in rows.items()}}


def _of_row(row: TuningRow) -> dict[str, Any]:
    first = [result.rounds[0] for result in row.results]
    calls = [calls_by_role(result.account) for result in row.results]
    return {
        "calls": {role: sum(one[role] for one in calls) for role in ("teacher", "students")},
        "each_seed": [
            {"diff": r.compared.difference.value, "ci95": [r.compared.difference.low, r.compared.difference.high]}
            for r in first
            if r.compared is not None
        ],
        "kept": [r.kept for r in first],
        "pairs": [r.card["pairs"] for r in first],
        "chosen_wrong": [r.card["chosen_wrong"] for r in first],
        "training": [{"steps": r.training.steps, "loss": r.training.loss} for r in first if r.training],
        "rounds": [_curve(result.rounds) for result in row.results],
        "seconds": round(sum(result.seconds for result in row.results), 1),
    }


def _curve(rounds: Sequence[Round]) -> list[float]:
    """Return the accuracy before, and after each round; that of a tuned model that was not kept too."""
    known = [r.compared for r in rounds if r.compared is not None]
    return [known[0].before.value, *(one.after.value for one in known)] if known else []


def _coverage(runs: Marks) -> float:
    marks = [mark for run in runs for mark in run]
    return sum(mark is not None for mark in marks) / max(1, len(marks))


def _labelled(runs: Marks) -> LabelledRuns:
    return LabelledRuns(
        answers=[[RIGHT if (mark or 0) >= 1 / 2 else WRONG for mark in run] for run in runs],
        measured=[[mark is not None for mark in run] for run in runs],
    )


def _digest(value: object) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=DIGEST_BYTES).hexdigest()


def table_cells(results: Mapping[str, Any]) -> list[list[str]]:
    """Return one list of cells per row, as `HEADINGS` names them."""
    cells = []
    for entry in results["results"]:
        against = {v["baseline"]: interval(v["diff"], v["ci95"], signed=True) for v in entry["vs"]}
        wrong = [share for share in entry.get("chosen_wrong", []) if share is not None]
        cells.append(
            [
                entry["name"],
                interval(entry["value"], entry["ci95"]),
                *(against.get(base, "") for base in BASELINES),
                f"{sum(entry['pairs']):,}" if "pairs" in entry else "",
                percent(statistics.fmean(wrong)) if wrong else "",
                f"{entry['calls']['teacher']:,}",
                f"{entry['calls']['students']:,}",
                f"{entry['seconds']:.0f}" if "seconds" in entry else "",
            ]
        )
    return cells


def seeds_table(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of the gain of each row in each seed."""
    headings = ["vs before", *(f"seed {seed}" for seed in results["seeds"])]
    return headings, [
        [entry["name"], *(interval(e["diff"], e["ci95"], signed=True) for e in entry["each_seed"])]
        for entry in results["results"]
        if "each_seed" in entry
    ]


def rounds_cells(results: Mapping[str, Any]) -> list[list[str]]:
    """Return the accuracy after each round, a line for each row and seed; empty for a single round."""
    if results["settings"]["rounds"] == 1:
        return []
    return [
        [entry["name"], str(seed), " -> ".join(percent(value) for value in curve)]
        for entry in results["results"]
        if "rounds" in entry
        for seed, curve in zip(results["seeds"], entry["rounds"], strict=True)
    ]


def notes(results: Mapping[str, Any]) -> list[str]:
    """Return the lines under the table."""
    calls, s = results["calls"], results["settings"]
    said = [
        f"Greedy accuracy of the teacher in %, on {s['held_out_problems']} held-out problems of each seed; paired "
        "bootstrap intervals, 2,000 resamples. before: as it was trained from scratch. The other rows: after DPO on "
        "pairs by correctness alone (reference answers of the training problems), by LbT score alone (none of them), "
        "and by both. chosen wrong: share of pairs whose preferred answer is wrong. teacher, students: the calls that "
        "a row needs by itself. Every row is reported, whether its model is kept or not.",
        f"Calls made in all: teacher {calls['teacher']:,}, students "
        f"{', '.join(f'{name} {n:,}' for name, n in calls['students'].items())}; {results['seconds']:.0f} s.",
    ]
    dropped = [e["name"] for e in results["results"] if not all(e.get("kept", [True]))]
    if dropped:
        said.append(f"Not better than before in some seed, where LbTDPO keeps the old model: {', '.join(dropped)}.")
    return said
