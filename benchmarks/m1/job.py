"""A run of M1: data, models, the rows, and what is written of them."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy

from lbt_dspy.benchmarks.m1.code_scores import scores_of
from lbt_dspy.benchmarks.m1.plan import call_costs, largest_plan
from lbt_dspy.benchmarks.m1.plots import plot_accuracy, plot_calls, plot_scores
from lbt_dspy.benchmarks.m1.results import (
    exam_sizes,
    headings_of,
    left_out,
    notes,
    results_of,
    short,
    short_exams,
    table_cells,
    task_and_source,
)  # fmt: skip
from lbt_dspy.benchmarks.m1.rows import RerankRow
from lbt_dspy.benchmarks.m1.runs import RerankRunner, tasks_of
from lbt_dspy.benchmarks.m1.settings import ALL, RerankSettings
from lbt_dspy.benchmarks.m1.tables import tables
from lbt_dspy.benchmarks.shared.command import command_of
from lbt_dspy.benchmarks.shared.console import console, give_json, print_calls, print_table, sent_line, silent
from lbt_dspy.benchmarks.shared.format import markdown_table, percent
from lbt_dspy.benchmarks.shared.run_options import RunOptions
from lbt_dspy.benchmarks.tasks.names import CODE
from lbt_dspy.exam.sitting.evidence import check_scorers
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.roles import LMRoles
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.metrics.sandbox import strongest


class Job:
    """A run of M1; see `console.Job`."""

    def __init__(self, settings: RerankSettings, options: RunOptions) -> None:
        self._settings = settings
        in_sandbox = settings.task == CODE and not options.dry_run
        isolation = strongest(allow_weak=options.allow_weak_sandbox) if in_sandbox else None
        self._tasks = tasks_of(settings, isolation)
        self._teacher, *self._students = LMRoles(settings.config, client=options.client, dry=options.dry_run).lms(
            [settings.teacher, *settings.students]
        )
        if settings.mark == "evidence":
            check_scorers(self._students)
        self._rows: dict[str, RerankRow] = {}

    @property
    def lms(self) -> Sequence[dspy.LM]:
        """All models that may be called."""
        return [self._teacher, *self._students]

    def print_plan(self, retries: int) -> None:
        """Print the largest number of calls."""
        ledger = Ledger(workers=1)
        runner = self._new_runner(ledger, silent)
        lms = {engine_of(lm).name: lm for lm in self.lms}
        out = print_calls(largest_plan(runner), lms, lambda role, lm: call_costs(runner, role, lm), retries)
        questions = sum(len(task.teaching) for task in self._tasks)
        out.print(f"{questions:,} questions, full exams. Lessons that are the same are examined once, and")
        out.print("--schedule lossless or confident stops exams early: docs/schedules.md has what that saves.")
        for line in (
            *short_exams(exam_sizes(runner), self._settings.exam_problems), *left_out(self._tasks[0].dropped)
        ):  # fmt: skip
            out.print(line)
        out.print("Gates: --max-calls, --max-cost. Fewer calls: --limit, --rationales.")
        ledger.close()

    def begin(self, ledger: Ledger, tell: Callable[[str], None], folder: Path) -> int:
        """Set the run up; return the most calls it can make."""
        self.runner = self._new_runner(ledger, tell)
        return sum(largest_plan(self.runner).values())

    def _new_runner(self, ledger: Ledger, tell: Callable[[str], None]) -> RerankRunner:
        return RerankRunner(
            settings=self._settings, tasks=self._tasks, teacher=self._teacher, students=self._students, ledger=ledger,
            tell=tell,
        )  # fmt: skip

    def run(self) -> None:
        """Make all calls."""
        self.runner.run(self._rows)

    def write(self, folder: Path, json_path: str | None, seconds: float) -> None:
        """Write the run folder and print the table."""
        results = results_of(self.runner, self._rows, seconds)
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        journal = self.runner.ledger.journal
        lost = journal.sent() - sum(journal.calls().values())
        self._write_answers(folder / "answers.jsonl")
        plot_accuracy(folder / "accuracy_by_lessons.png", results)
        plot_scores(folder / "lbt_scores.png", results)
        plot_calls(folder / "calls.png", results)
        (folder / "report.md").write_text(self._report(results, lost), encoding="utf-8")
        (folder / "results.json").write_text(text, encoding="utf-8")
        files = "report.md, results.json, answers.jsonl, accuracy_by_lessons.png, lbt_scores.png, calls.png"
        if give_json(text, json_path, folder):
            return
        _print(results, lost, f"{folder}/: {files}")

    def _write_answers(self, path: Path) -> None:
        """Write what each row answered to each question, and how the lessons did."""
        with path.open("w", encoding="utf-8") as file:
            for row in self._rows.values():
                for seed, problem, answer in self.runner.answered(row):
                    found, given = answer.found, answer.prediction
                    record = {
                        "row": row.key, "seed": seed, "inputs": dict(problem.inputs()),
                        **({"unique_id": problem.unique_id} if "unique_id" in problem else {}), "right": answer.right,
                        **scores_of(self.runner.task, problem, answer),
                        "answer": None if given is None else str(given.get(self.runner.task.answer)),
                        "lbt_score": None if found is None else found.prediction.lbt_score,
                        "votes": None if found is None else found.prediction.votes,
                        "exam": None if found is None else found.exam._asdict(),
                    }  # fmt: skip
                    file.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")

    def _report(self, results: Mapping[str, Any], lost: int) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
        parts = [
            f"# {heading(results)}",
            f"Models: {models_line(results)}.",
            markdown_table(headings_of(results), table_cells(results)),
            *(f"{t.title}\n\n{markdown_table(t.headings, t.cells)}" for t in tables(results)),
            *notes(results, lost),
            "![Accuracy against the number of lessons](accuracy_by_lessons.png)",
            "![LbT scores of right and wrong lessons](lbt_scores.png)",
            "![Student calls of each schedule](calls.png)",
            f"{time.strftime('%Y-%m-%d')}, `{self._command()}`. Versions: {versions}.",
        ]
        return "\n\n".join(parts) + "\n"

    def _command(self) -> str:
        s = self._settings
        names = dataclasses.replace(s, teacher=short(s.teacher), students=tuple(map(short, s.students)))
        return command_of(names)

    def print_part(self, *, errors: bool) -> None:
        """Print what is known when the run stops early."""
        out = console(errors=errors)
        out.print("Known so far (rows and seeds that are complete):")
        for name, row in self._rows.items():
            for seed, run in zip(self._settings.seeds, row.answers, strict=False):
                known = [answer.right for answer in run if answer.right is not None]
                out.print(f"  {name:18s} seed {seed}: accuracy {percent(sum(known) / len(known)) if known else '-'}")
        if not any(row.answers for row in self._rows.values()):
            out.print("  no row is complete")
        journal = self.runner.ledger.journal
        out.print(f"  {sent_line(journal)}")


def heading(results: Mapping[str, Any]) -> str:
    """Return the title of a run."""
    s = results["settings"]
    schedule = "full and replayed" if s["schedule"] == ALL else s["schedule"]
    gate = "" if s["gate"] is None else f"gate {s['gate']}; "
    return (
        f"{task_and_source(results)}: {s['questions']} questions, {s['rationales']} lessons each; exams: "
        f"{s['exam_problems']} problems ({s['exam']}), {s['sittings']} sittings, {schedule}; "
        f"{gate}seeds {','.join(map(str, results['seeds']))}"
    )


def models_line(results: Mapping[str, Any]) -> str:
    """Name the models, and say which give recorded answers."""
    teacher, students = results["models"]["teacher"], results["models"]["students"]
    names = [f"{short(name)} (recorded)" if name != short(name) else name for name in (teacher, *students)]
    return f"teacher {names[0]}, students {', '.join(names[1:])}"


def _print(results: Mapping[str, Any], lost: int, files: str) -> None:
    out = console()
    out.print(heading(results))
    out.print(models_line(results))
    print_table(out, headings_of(results), table_cells(results))
    for table in tables(results):
        out.print(table.title)
        print_table(out, table.headings, table.cells)
    for note in notes(results, lost):
        out.print(note)
    out.print(files)
