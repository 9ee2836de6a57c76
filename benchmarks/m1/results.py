"""The content of results.json of a run of M1, and its tables."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.m1.code_scores import by_tests, failures_line, why_wrong
from lbt_dspy.benchmarks.m1.rows import EXAMINED, RIGHT, WAYS, WRONG, RerankRow, order_of
from lbt_dspy.benchmarks.m1.runs import RerankRunner
from lbt_dspy.benchmarks.m1.settings import REPORTED
from lbt_dspy.benchmarks.m1.tables import by_mark, by_schedule, by_strata
from lbt_dspy.benchmarks.shared.format import dollars, interval, percent
from lbt_dspy.benchmarks.shared.held_out import DIGEST_BYTES, lines_of
from lbt_dspy.benchmarks.shared.record import ResultRow, RunResults, calls_by_role, versus
from lbt_dspy.lms.embedded import PREFIX as EMBEDDED
from lbt_dspy.lms.recorded import PREFIX as RECORDED
from lbt_dspy.metrics.labels import Accuracy
from lbt_dspy.metrics.statistics import paired_bootstrap

PROGRAMS = (
    "An answer is right when its program passes all hidden tests. sample: the mean of all lessons, one by one. "
    "visible: the first whose program passes the problem's visible tests (else the one that passes the most). "
    "visible-max: max among those that pass them (among all, where none does)."
)
WORKED = (
    "few-shot-worked rows give it their worked solutions too, which M1 never sees: an upper bound, since here a "
    "solution spells out the very procedure that is asked for, and since a user rarely has any."
)


def results_of(runner: RerankRunner, rows: Mapping[str, RerankRow], seconds: float) -> dict[str, Any]:
    """Return the content of results.json; identical for identical settings but for `seconds` and `versions`."""
    kept = {name: rows[name] for name in order_of(runner.task) if name in rows}
    settings = runner.settings
    told = {
        "data": runner.task.source,
        "questions": len(runner.task.teaching),
        "bank": len(runner.task.bank),
        "exam_sizes": exam_sizes(runner),
        "dropped": dict(runner.task.dropped),
        "sandbox": runner.task.sandbox,
        **{name: getattr(settings, name) for name in REPORTED},
    }
    sections = {
        "scores": by_tests(runner, kept),
        "failures": why_wrong(runner, kept),
        "strata": by_strata(runner, kept),
        "schedules": by_schedule(runner, rows),
        "marks": by_mark(runner, rows),
        "by_lessons": by_lessons(runner, kept),
        "lbt_scores": lesson_scores(runner, kept),
        "held_out": held_out(runner, kept),
    }
    return RunResults(
        run=settings, settings=told, rows=result_rows(runner, kept), sections=sections, journal=runner.ledger.journal,
        seconds=seconds, packages=("math-verify", "sympy"),
    ).as_dict()  # fmt: skip


def result_rows(runner: RerankRunner, rows: Mapping[str, RerankRow]) -> list[ResultRow]:
    """Return the rows of the table, each against the baselines of the task."""
    metric, teaching = Accuracy((RIGHT, WRONG)), runner.task.teaching
    runs = {name: row.runs() for name, row in rows.items()}
    values, differences = paired_bootstrap([RIGHT] * len(teaching), runs, metric)
    return [
        ResultRow(
            name=name,
            metric=metric.name,
            value=values[name].value,
            ci95=(values[name].low, values[name].high),
            n=len(teaching),
            coverage=coverage_of(row),
            by_seed=row.by_seed(values[name].by_run),
            vs=versus(name, differences, runner.task.baselines),
            calls=calls_by_role(row.account),
            schedule=row.schedule,
            more={
                "cost_usd": row.account.cost,
                "failed_calls": row.account.failed,
                "sittings": {"full": full_sittings(row), "asked": asked_sittings(row)},
                "overturned": sum(found.exam.overturned for found in row.exams()),
                "lost_samples": sum(found.exam.lost for found in row.exams()),
            },
        )
        for name, row in rows.items()
    ]


def coverage_of(row: RerankRow) -> float:
    """Return the measured share of what a row asked: sittings where there is an exam, else answers."""
    exams = [found.exam for found in row.exams()]
    asked = sum(exam.asked for exam in exams)
    if row.examined and asked:
        return sum(exam.measured for exam in exams) / asked
    answers = [answer for run in row.answers for answer in run]
    return sum(answer.right is not None for answer in answers) / max(1, len(answers))


def full_sittings(row: RerankRow) -> int:
    """Return the sittings of the full exams of a row."""
    return sum(found.exam.sittings for found in row.exams())


def asked_sittings(row: RerankRow) -> int:
    """Return the sittings that a row's schedule asked."""
    return sum(found.exam.asked for found in row.exams())


def by_lessons(runner: RerankRunner, rows: Mapping[str, RerankRow]) -> dict[str, list[float]]:
    """Return the accuracy with the first 1, 2, ... N lessons, of what needs no marks: `sc`, or the visible tests.

    So too of examined rows whose exams were full: one that stopped early has no marks by which fewer lessons could be
    compared.
    """
    from lbt_dspy.benchmarks.m1.curve import VISIBLE, accuracy_by_lessons

    curves = {name: rows[name] for name in EXAMINED if name in rows and rows[name].schedule == "full"}
    unmarked = {
        "sc": "sc",
        VISIBLE: EXAMINED[0],
    }  # this row has one lesson, so its curve is of the first examined one's
    shown = {name: rows[of] for name, of in unmarked.items() if name in rows and of in rows}
    return {name: accuracy_by_lessons(runner, row, name) for name, row in {**shown, **curves}.items()}


def lesson_scores(runner: RerankRunner, rows: Mapping[str, RerankRow]) -> dict[str, dict[str, int]]:
    """Return how many lessons of `--selection`'s row have each LbT score, those with right and with wrong answers."""
    row = rows.get(runner.settings.selection)
    scores: dict[str, list[float]] = {RIGHT: [], WRONG: []}
    for _, problem, answer in () if row is None else runner.answered(row):
        for lesson in () if answer.found is None else answer.found.lessons:
            if lesson.score is not None:
                right = runner.task.right(problem, {runner.task.answer: lesson.answer})
                scores[RIGHT if right else WRONG].append(round(lesson.score, 4))
    return {name: {str(score): n for score, n in sorted(Counter(found).items())} for name, found in scores.items()}


def held_out(runner: RerankRunner, rows: Mapping[str, RerankRow]) -> dict[str, Any]:
    """Return which questions each row got right, so that two runs can be compared; see `held_out.py`."""
    distinct = {id(task): task for task in runner.tasks}.values()
    asked = list(runner.task.program.predictors()[0].signature.input_fields)
    texts = json.dumps(
        [sorted((name, problem[name]) for name in asked) for task in distinct for problem in task.teaching]
    )
    return {
        "labels": [RIGHT, WRONG],
        "texts": hashlib.blake2b(texts.encode(), digest_size=DIGEST_BYTES).hexdigest(),
        "references": " ".join("0" for _ in runner.task.teaching),
        "answers": {name: lines_of(row.runs(), (RIGHT, WRONG)) for name, row in rows.items() if row.samples == 1},
    }


def baselines_of(results: Mapping[str, Any]) -> list[str]:
    """Return the rows that others are compared with."""
    named = {v["baseline"] for entry in results["results"] for v in entry["vs"]}
    return [entry["name"] for entry in results["results"] if entry["name"] in named]


def headings_of(results: Mapping[str, Any]) -> list[str]:
    """Return the headings of the table."""
    against = [f"vs {base}" for base in baselines_of(results)]
    return ["row", "accuracy [95%]", *against, "changed", "cover", "teacher", "students", "saved", "cost"]


def table_cells(results: Mapping[str, Any]) -> list[list[str]]:
    """Return one list of cells per row, as `headings_of` names them."""
    bases = baselines_of(results)
    cells = []
    for entry in results["results"]:
        against = {v["baseline"]: interval(v["diff"], v["ci95"], signed=True) for v in entry["vs"]}
        sittings = entry["sittings"]
        saved = f"{sittings['full'] / sittings['asked']:.1f}x" if sittings["asked"] else ""
        cells.append(
            [
                entry["name"],
                interval(entry["value"], entry["ci95"]),
                *(against.get(base, "") for base in bases),
                f"{entry['overturned']:,}" if _holds_exams(entry["name"]) else "",
                percent(entry["coverage"]),
                f"{entry['calls']['teacher']:,}",
                f"{entry['calls']['students']:,}",
                saved,
                dollars(entry["cost_usd"]),
            ]
        )
    return cells


def _holds_exams(name: str) -> bool:
    return name in WAYS and WAYS[name].rule in EXAMINED


def short(name: str) -> str:
    """Return a model's name without the folders of a recording."""
    if not name.startswith(RECORDED):
        return name
    return RECORDED + "@".join(Path(part).name for part in name.removeprefix(RECORDED).split("@"))


def task_and_source(results: Mapping[str, Any]) -> str:
    """Return the name of the task, what its data is and, where that is so, that the models are embedded ones."""
    models = [results["models"]["teacher"], *results["models"]["students"]]
    embedded = ", embedded models" if all(name.startswith(EMBEDDED) for name in models) else ""
    return f"{results['task']} ({results['settings']['data']}{embedded})"


def exam_sizes(runner: RerankRunner) -> dict[str, int]:
    """Return how many questions (of the first seed) have so many exam problems."""
    return {str(size): count for size, count in sorted(Counter(runner.exam_sizes[0]).items())}


def short_exams(sizes: Mapping[str, int], wanted: int) -> list[str]:
    """Return a line on the questions that have too few exam problems, where there are any."""
    none, questions = sizes.get("0", 0), sum(sizes.values())
    fewer = sum(count for size, count in sizes.items() if 0 < int(size) < wanted)
    said = [f"{fewer:,} with fewer exam problems than the {wanted} asked for"] if fewer else []
    said += [f"{none:,} without any: the majority decides there"] if none else []
    return [f"Of {questions:,} questions {' and '.join(said)}."] if said else []


def left_out(dropped: Mapping[str, int]) -> list[str]:
    """Return a line on what was left out of the data, where something was."""
    return [f"Left out of the data: {', '.join(f'{n} {reason}' for reason, n in dropped.items())}."] if dropped else []


def in_process(name: str) -> bool:
    """Return whether a model of this name runs in the process: what it did not answer it never will."""
    return name.startswith((RECORDED, EMBEDDED))


def notes(results: Mapping[str, Any], lost: int) -> list[str]:
    """Return the lines under the table."""
    calls, entries = results["calls"], results["results"]
    said = [
        "Accuracy in %; intervals: paired bootstrap over the questions, 2,000 resamples. few-shot rows give the "
        "teacher the exam problems with their answers as examples. changed: answers other than the most frequent one. "
        "cover: measured share of the sittings (or answers). teacher, students: the calls that a row needs by itself. "
        "saved: sittings of the full exam (lessons that are the same count once) to those that the schedule asked.",
        f"Calls made in all: teacher {calls['teacher']:,}, students "
        f"{', '.join(f'{short(name)} {n:,}' for name, n in calls['students'].items()) or '0'}; cost "
        f"{dollars(results['cost_usd'])}; {results['seconds']:.0f} s.",
    ]
    sandbox = results["settings"]["sandbox"]
    if sandbox is not None:
        said.insert(1, f"{PROGRAMS} Programs ran in the sandbox: {sandbox}.")
    if any(entry["name"] == "few-shot-worked" for entry in entries):
        said.insert(1, WORKED)
    failed = max((entry["failed_calls"] for entry in entries), default=0)
    if failed:
        names = [results["models"]["teacher"], *results["models"]["students"]]
        again = "" if all(map(in_process, names)) else "; --resume asks them again"
        said.append(f"Some calls got no usable reply (up to {failed:,} in one row): not measured, in no score{again}.")
    samples = max((entry["lost_samples"] for entry in entries), default=0)
    if samples:
        said.append(f"Up to {samples:,} samples of a row gave no lesson (a failed call, or no readable answer).")
    if results["settings"]["schedule"] == "confident":
        said.append("max has no confident schedule: its exams were lossless.")
    said += short_exams(results["settings"]["exam_sizes"], results["settings"]["exam_problems"])
    said += left_out(results["settings"]["dropped"])
    said += failures_line(results["failures"])
    if results["models"]["teacher"].startswith(RECORDED):
        said.append("A recorded teacher replays its outputs, whatever examples and temperature it is asked with.")
    if lost > 0:
        said.append(f"{lost} requests were in flight when a run of this folder was stopped; they were sent again.")
    return said
