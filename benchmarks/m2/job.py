"""A run of M2 in the classroom: pairs, training, and what is written of them; or the pairs alone."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy

from lbt_dspy.benchmarks.m2.plots import plot_rounds
from lbt_dspy.benchmarks.m2.results import (
    HEADINGS,
    heading,
    notes,
    results_of,
    rounds_cells,
    seeds_table,
    table_cells,
)
from lbt_dspy.benchmarks.m2.runs import TuningRow, TuningRunner
from lbt_dspy.benchmarks.m2.settings import TuningSettings
from lbt_dspy.benchmarks.shared.command import command_of
from lbt_dspy.benchmarks.shared.console import console, give_json, print_calls, print_table, sent_line, silent
from lbt_dspy.benchmarks.shared.format import markdown_table
from lbt_dspy.benchmarks.shared.run_options import RunOptions
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.roles import LMRoles
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.teleprompters.dpo.options import check_extra

CURVE_TITLE = "Accuracy before, and after each round."
CURVE_HEADINGS = ("row", "seed", "accuracy")
PICTURE = "accuracy_by_round.png"


class Job:
    """A run of M2; see `console.Job`."""

    def __init__(self, settings: TuningSettings, options: RunOptions) -> None:
        if not settings.export_only:
            check_extra()
        self._settings = settings
        self._teacher, *self._students = LMRoles(settings.config, client=options.client, dry=options.dry_run).lms(
            [settings.teacher, *settings.students]
        )
        self._rows: dict[str, TuningRow] = {}
        runner = self._new_runner(Ledger(workers=1), silent, Path())
        for seed in settings.seeds:  # refuses what the world does not have
            runner.training(seed)
            runner.held_out(seed)
        runner.ledger.close()

    @property
    def lms(self) -> Sequence[dspy.LM]:
        """All models that may be called."""
        return [self._teacher, *self._students]

    def print_plan(self, retries: int) -> None:
        """Print the largest number of calls."""
        ledger = Ledger(workers=1)
        teacher, students = self._new_runner(ledger, silent, Path()).most_calls()
        plan = Counter({("teacher", engine_of(self._teacher).name): teacher})
        for student in self._students:
            plan["students", engine_of(student).name] += students // len(self._students)
        out = print_calls(plan, {engine_of(lm).name: lm for lm in self.lms}, lambda role, lm: (0.0, 0.0), retries)
        out.print("Lessons that are the same are examined once; the rows share lessons and exams of the first round.")
        ledger.close()

    def begin(self, ledger: Ledger, tell: Callable[[str], None], folder: Path) -> int:
        """Set the run up; return the most calls it can make."""
        self._runner = self._new_runner(ledger, tell, folder)
        return sum(self._runner.most_calls())

    def _new_runner(self, ledger: Ledger, tell: Callable[[str], None], folder: Path) -> TuningRunner:
        return TuningRunner(
            settings=self._settings, teacher=self._teacher, students=self._students, ledger=ledger, folder=folder,
            tell=tell,
        )  # fmt: skip

    def run(self) -> None:
        """Make all calls, and train."""
        self._runner.run(self._rows)

    def write(self, folder: Path, json_path: str | None, seconds: float) -> None:
        """Write the run folder and print the table; of an export, where the pairs are."""
        out = console(errors=json_path == "-")
        if self._settings.export_only:
            print_exports(self._rows, folder, json_path)
            return
        results = results_of(self._runner, self._rows, seconds)
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        plot_rounds(folder / PICTURE, results)
        (folder / "report.md").write_text(self._report(results), encoding="utf-8")
        (folder / "results.json").write_text(text, encoding="utf-8")
        if give_json(text, json_path, folder):
            return
        out.print(heading(results))
        print_table(out, HEADINGS, table_cells(results))
        print_table(out, *seeds_table(results))
        if rounds_cells(results):
            out.print(CURVE_TITLE)
            print_table(out, CURVE_HEADINGS, rounds_cells(results))
        for note in notes(results):
            out.print(note)
        out.print(f"{folder}/: report.md, results.json, {PICTURE}; of each seed and row its pairs and checkpoint")

    def _report(self, results: Mapping[str, Any]) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
        curve = markdown_table(CURVE_HEADINGS, rounds_cells(results))
        parts = [
            f"# {heading(results)}",
            f"Models: teacher {results['models']['teacher']}, students {', '.join(results['models']['students'])}.",
            markdown_table(HEADINGS, table_cells(results)),
            markdown_table(*seeds_table(results)),
            *([f"{CURVE_TITLE}\n\n{curve}"] if rounds_cells(results) else []),
            *notes(results),
            f"![Accuracy by round]({PICTURE})",
            f"{time.strftime('%Y-%m-%d')}, `{command_of(self._settings)}`. Versions: {versions}.",
        ]
        return "\n\n".join(parts) + "\n"

    def print_part(self, *, errors: bool) -> None:
        """Print what is known when the run stops early."""
        out = console(errors=errors)
        out.print("Known so far (rows and seeds that are complete):")
        for name, row in self._rows.items():
            for seed, result in zip(self._settings.seeds, row.results, strict=False):
                for number, one in enumerate(result.rounds, 1):
                    told = f"{one.card['pairs']:,} pairs" if one.compared is None else one.compared.sentence()
                    out.print(f"  {name:12s} seed {seed}, round {number}: {told}")
        if not self._rows:
            out.print("  no row is complete")
        out.print(f"  {sent_line(self._runner.ledger.journal)}")


def print_exports(rows: Mapping[str, TuningRow], folder: Path, json_path: str | None) -> None:
    """Say where the pairs are, and print their cards."""
    cards = {str(seed): result.rounds[0].card for row in rows.values() for seed, result in enumerate(row.results)}
    print_cards(cards, [str(path.parent) for path in sorted(folder.rglob("pairs.jsonl"))], json_path)


def print_cards(cards: Mapping[str, Mapping[str, Any]], places: Sequence[str], json_path: str | None) -> None:
    """Print the cards of pairs, and where they are."""
    text = json.dumps(cards, indent=1, ensure_ascii=False) + "\n"
    if json_path == "-":
        sys.stdout.write(text)
    elif json_path is not None:
        Path(json_path).write_text(text, encoding="utf-8")
    out = console(errors=json_path == "-")
    for card in cards.values():
        wrong = "" if card["chosen_wrong"] is None else f"; {card['chosen_wrong']:.1%} of the chosen answers are wrong"
        out.print(
            f"{card['pairs']:,} pairs of {card['problems_with_pairs']:,} of {card['problems']:,} problems, "
            f"from {card['lessons']:,} lessons; gap over {card['gap']:g}{wrong}"
        )
    for place in places:
        out.print(f"{place}/: pairs.jsonl (TRL), pairs_openai.jsonl, lessons.jsonl, card.json")
