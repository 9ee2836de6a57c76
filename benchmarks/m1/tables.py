"""The smaller tables of a run of M1: what the schedules would have saved, and accuracy by kind of problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lbt_dspy.benchmarks.m1.code_scores import Table, scores_table
from lbt_dspy.benchmarks.m1.rows import EVIDENCE, EXAMINED, ONE_SITTING, Answered, RerankRow
from lbt_dspy.benchmarks.m1.runs import RerankRunner
from lbt_dspy.benchmarks.shared.format import percent
from lbt_dspy.benchmarks.shared.record import calls_by_role

MARKS = (ONE_SITTING, EVIDENCE)
DIFFICULTIES = ("introductory", "easy", "medium", "interview", "hard", "competition")


def by_schedule(runner: RerankRunner, rows: Mapping[str, RerankRow]) -> list[dict[str, Any]]:
    """Return accuracy, agreement with the full exam and calls of each full exam and of its replays."""
    full = [row for row in rows.values() if row.examined and not row.variant]
    kept = [
        row for base in full for row in rows.values() if row.name == base.name and row.variant in ("", row.schedule)
    ]
    return [_compared(runner, row, rows[row.name]) for row in kept] if len(kept) > len(full) else []


def by_mark(runner: RerankRunner, rows: Mapping[str, RerankRow]) -> list[dict[str, Any]]:
    """Return accuracy and calls of the full exams with one graded sitting a problem, and with marks by evidence."""
    kept = [row for name in EXAMINED for row in rows.values() if row.name == name and row.variant in MARKS]
    return [
        {
            "name": row.name,
            "mark": row.mark,
            "value": _accuracy([answer for *_, answer in runner.answered(row)]) if _measured(row) else None,
            "calls": calls_by_role(row.account)["students"],
        }
        for row in kept
    ]


def _measured(row: RerankRow) -> bool:
    """Return whether its exams gave any mark; without marks the majority answers."""
    return any(found.exam.measured for found in row.exams())


def _compared(runner: RerankRunner, row: RerankRow, full: RerankRow) -> dict[str, Any]:
    chosen = [_key(runner, answer) for *_, answer in runner.answered(row)]
    wanted = [_key(runner, answer) for *_, answer in runner.answered(full)]
    calls, most = (calls_by_role(each.account)["students"] for each in (row, full))
    return {
        "name": row.name,
        "schedule": row.schedule,
        "value": _accuracy([answer for *_, answer in runner.answered(row)]),
        "same": sum(a == b for a, b in zip(chosen, wanted, strict=False)) / max(1, len(chosen)),
        "calls": calls,
        "share": calls / max(1, most),
    }


def _key(runner: RerankRunner, answer: Answered) -> object:
    return None if answer.found is None else runner.task.grader.key(dict(answer.found.prediction.items()))


def by_strata(runner: RerankRunner, rows: Mapping[str, RerankRow]) -> list[dict[str, Any]]:
    """Return the accuracy of each row on the questions with one value of the task's `strata` field, value by value."""
    name = runner.task.strata
    if name is None:
        return []
    distinct = list({id(task): task for task in runner.tasks}.values())
    values = sorted({problem[name] for task in runner.tasks for problem in task.teaching}, key=_rank)
    return [
        {
            name: value,
            "n": sum(problem[name] == value for task in distinct for problem in task.teaching),
            "accuracy": {
                row.name: _accuracy([answer for _, problem, answer in runner.answered(row) if problem[name] == value])
                for row in rows.values()
            },
        }
        for value in values
    ]


def _rank(value: object) -> tuple[int, object]:
    """Order difficulties as people do, and all else as it is."""
    return (DIFFICULTIES.index(str(value).casefold()), "") if str(value).casefold() in DIFFICULTIES else (0, value)


def _accuracy(answers: Sequence[Answered]) -> float | None:
    """Return the share of right answers among the measured ones, `None` when there are none."""
    right = [answer.right for answer in answers if answer.right is not None]
    return sum(right) / len(right) if right else None


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Return the tables that a run has beside its main one."""
    found = (
        scores_table(results["scores"]), _schedules(results["schedules"]), _marks(results["marks"]),
        _strata(results["strata"]),
    )  # fmt: skip
    return [table for table in found if table.cells]


def _schedules(entries: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        "Schedules: the full exam, and where each would have stopped it. same: questions with the full exam's answer.",
        ("row", "schedule", "accuracy", "same", "student calls", "of full"),
        [
            [e["name"], e["schedule"], _cell(e["value"]), percent(e["same"]), f"{e['calls']:,}", percent(e["share"])]
            for e in entries
        ],
    )


def _marks(entries: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        "Marks at about equal calls: one graded sitting at each exam problem, or how much likelier the lesson makes "
        "its worked reference (evidence; with the calls without a lesson). Full exams.",
        ("row", "mark", "accuracy", "student calls"),
        [[e["name"], e["mark"], _cell(e["value"]), f"{e['calls']:,}"] for e in entries],
    )


def _strata(entries: Sequence[Mapping[str, Any]]) -> Table:
    if not entries:
        return Table("", (), [])
    name, rows = next(iter(entries[0])), tuple(entries[0]["accuracy"])
    return Table(
        f"Accuracy by {name}.",
        (name, "questions", *rows),
        [[str(e[name]), f"{e['n']:,}", *(_cell(e["accuracy"][row]) for row in rows)] for e in entries],
    )


def _cell(share: float | None) -> str:
    return "" if share is None else percent(share)
