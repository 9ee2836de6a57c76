"""What a run prints and writes: results.json, report.md, the picture, the program, the searches."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.m3.plan import call_costs, cut_options, largest_plan
from lbt_dspy.benchmarks.m3.report import plot_study, sections
from lbt_dspy.benchmarks.m3.results import ORDER, coverage_of
from lbt_dspy.benchmarks.m3.runs import Comparison, Runner, labels_of
from lbt_dspy.benchmarks.m3.settings import SearchSettings
from lbt_dspy.benchmarks.shared.command import command_of
from lbt_dspy.benchmarks.shared.console import console, print_calls, sent_line
from lbt_dspy.benchmarks.shared.format import (
    METRIC_NAMES,
    comparison_cells,
    dollars,
    headings,
    markdown_table,
    metric_name,
    percent,
    plot_f1_by_round,
)
from lbt_dspy.benchmarks.shared.held_out import UNREADABLE
from lbt_dspy.benchmarks.shared.program_record import ProgramRecord
from lbt_dspy.errors import UserError
from lbt_dspy.lms.user_lm import engine_of

FULL_WIDTH = 120
MANY_UNREADABLE = 0.05
LEFT_OUT_WHEN_NARROW = ("acc.", "cover", "cost")


def write_run(
    folder: Path, json_path: str | None, results: Mapping[str, Any], runner: Runner, comparison: Comparison
) -> None:
    """Write the run folder's files and print the table."""
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    with (folder / "searches.jsonl").open("w", encoding="utf-8") as file:
        for search in comparison.searches:
            file.write(json.dumps(search, ensure_ascii=False) + "\n")
    _plot(folder / "f1_by_round.png", results)
    source = _save_program(folder / "program.json", comparison, runner)
    study = None if comparison.best is None else comparison.best[0].study
    pictures = [] if study is None else plot_study(folder, study)
    lost = runner.ledger.journal.sent() - sum(runner.ledger.journal.calls().values())
    (folder / "report.md").write_text(
        _report(results, comparison, runner.settings, source, lost, pictures, runner.data.task.output), encoding="utf-8"
    )
    (folder / "results.json").write_text(text, encoding="utf-8")
    if json_path == "-":
        sys.stdout.write(text)
        print(f"the run's folder: {folder}", file=sys.stderr)
    else:
        if json_path is not None:
            Path(json_path).write_text(text, encoding="utf-8")
        _print(results, f"{folder}/: report.md, results.json, f1_by_round.png, program.json ({source})", lost)


def _save_program(path: Path, comparison: Comparison, runner: Runner) -> str:
    """Save the best program as DSPy does, with what `lbt predict` needs to know; say where it is from."""
    if comparison.best is None:
        raise UserError("there is no searched program to save")
    search, source = comparison.best
    program = search.program.deepcopy()
    for _, predictor in program.named_predictors():
        predictor.lm = None
    program.save(str(path))
    settings = runner.settings
    about = ProgramRecord(
        task=runner.data.task, teacher=settings.teacher, program=settings.program, predictor=settings.predictor
    )
    about.add_to(path)
    return source


def _plot(path: Path, results: Mapping[str, Any]) -> None:
    curves: dict[str, list[Mapping[str, Any]]] = {}
    for entry in results["by_round"]:
        curves.setdefault(entry["name"], []).append(entry)
    f1 = {e["name"]: e["value"] for e in results["results"] if e["metric"] != "accuracy"}
    levels = {name: f1[name] for name in ("zero", "random", "random-search") if name in f1}
    seeds = len(results["seeds"])
    names = [results["models"]["teacher"], *results["models"]["students"]]
    kind = "statistical models (embedded)" if all(n.startswith("embedded/") for n in names) else f"teacher {names[0]}"
    band = f"{seeds} seed{'s' if seeds > 1 else ''}, bars: 95% interval over held-out examples"
    title = f"{results['task']}, {kind}; {band}"
    plot_f1_by_round(path, curves, levels, title, metric_name(results))


def models_line(results: Mapping[str, Any]) -> str:
    """Name the models, and say when they are no language models."""
    names = [results["models"]["teacher"], *results["models"]["students"]]
    kind = "statistical " if all(name.startswith("embedded/") for name in names) else ""
    if any(name.startswith("embedded/") for name in names) and not kind:
        kind = "partly statistical (embedded/) "
    return f"{kind}teacher {names[0]}, students {', '.join(names[1:]) or 'none'}"


def _heading(results: Mapping[str, Any]) -> str:
    s = results["settings"]
    source = ", ".join([s["data"], *s["filter"]])
    return (
        f"{results['task']} ({source}): {s['train']} training, {s['held_out']} held-out examples; "
        f"{s['search']}, K = {s['exemplars']}, {s['selection_examples']} selection examples, {s['rounds']} rounds; "
        f"seeds {','.join(map(str, results['seeds']))}"
    )


def _notes(results: Mapping[str, Any], lost: int) -> list[str]:
    calls = results["calls"]
    positive = results["settings"]["positive"]
    name = metric_name(results) if positive is None else f"F1 (of {positive!r})"
    notes = [
        f"{name} and accuracy in %, on the held-out examples; intervals: paired bootstrap over them, 2,000 resamples. "
        "Columns teacher and students: the calls that a row needs by itself.",
        f"Calls made in all: teacher {calls['teacher']:,}, students "
        f"{', '.join(f'{name} {n:,}' for name, n in calls['students'].items()) or '0'}; cost "
        f"{dollars(results['cost_usd'])}; {results['seconds']:.0f} s.",
    ]
    failed = max((e["failed_calls"] for e in results["results"]), default=0)
    if failed:
        notes.append(
            "Some calls got no usable reply (up to "
            f"{failed:,} in one row): not measured, in no score; --resume asks them again."
        )
    record = results["held_out"]
    absent = [name for i, name in enumerate(record["labels"]) if str(i) not in record["references"].split()]
    if absent:
        notes.append(f"No held-out example has the label {', '.join(map(repr, absent))}: it counts for nothing here.")
    unreadable = {name: unreadable_share(lines) for name, lines in record["answers"].items()}
    many = ", ".join(f"{name} {percent(share)}%" for name, share in unreadable.items() if share > MANY_UNREADABLE)
    if many:
        notes.append(f"Many answers could not be read, and count as wrong: {many}.")
    if results["settings"]["storage"]:
        notes.append(
            "The M3 rows come from a study in a shared storage: their calls are this process's part of it; "
            "random-search got as many as the whole study took."
        )
    if lost > 0:
        notes.append(f"{lost} requests were in flight when a run of this folder was stopped; they were sent again.")
    return notes


def unreadable_share(lines: Sequence[str]) -> float:
    """Return the share of answers that could not be read, over the runs of a row."""
    words = [word for line in lines for word in line.split()]
    return words.count(UNREADABLE) / max(1, len(words))


def _report(
    results: Mapping[str, Any],
    comparison: Comparison,
    settings: SearchSettings,
    source: str,
    lost: int,
    pictures: Sequence[str],
    label_field: str,
) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    dropped = ", ".join(f"{n} {reason}" for reason, n in results["settings"]["dropped"].items()) or "none"
    table = markdown_table(headings(results), comparison_cells(results))
    parts = [
        f"# {_heading(results)}",
        f"Models: {models_line(results)}.",
        table,
        *_notes(results, lost),
        "![F1 by round](f1_by_round.png)",
        *sections(results, comparison, metric_name(results), label_field),
        *(f"![Optuna: {name}]({name})" for name in pictures),
        f"`program.json` is {source}, the best by selection score. Texts dropped from the data: {dropped}.",
        f"{time.strftime('%Y-%m-%d')}, `{command_of(settings)}`. Versions: {versions}.",
    ]
    return "\n\n".join(parts) + "\n"


def _print(results: Mapping[str, Any], files: str, lost: int) -> None:
    from rich import box
    from rich.table import Table

    out = console()
    narrow = out.width < FULL_WIDTH
    names = headings(results)
    shown = [i for i, heading in enumerate(names) if not narrow or heading not in LEFT_OUT_WHEN_NARROW]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0) if narrow else (0, 1))
    for i in shown:
        heading = names[i].replace("-s", "- s") if narrow else names[i]
        table.add_column(heading, justify="left" if i == 0 else "right", overflow="fold")
    for cells in comparison_cells(results):
        table.add_row(*(cells[i].replace(", ", ",") if narrow else cells[i] for i in shown))
    out.print(_heading(results))
    out.print(models_line(results))
    out.print(table)
    if narrow:
        out.print("(acc., cover and cost are in report.md, and here on a wider terminal)")
    for note in _notes(results, lost):
        out.print(note)
    out.print(files)


def partial_table(runner: Runner, comparison: Comparison, *, errors: bool = False) -> None:
    """Print what is known when a run stops early; on standard error where standard output is for JSON."""
    out = console(errors=errors)
    out.print("Known so far (rows and seeds that are complete):")
    metric = runner.metric
    for name in ORDER:
        row = comparison.rows.get(name)
        if row is None or not row.reports:
            continue
        values = []
        for report in row.reports:
            golds, answers, measured = labels_of(report, runner.data)
            cells = [(g, a) for g, a, m in zip(golds, answers, measured, strict=True) if m]
            if cells:
                values.append(float(metric.of_confusion(metric.one_hot(cells).sum(axis=0))))
        mean = percent(sum(values) / len(values)) if values else "-"
        value = f"{METRIC_NAMES[metric.name]} {mean:>5s}"
        out.print(f"  {name:14s} {value}  runs {len(row.reports)}  coverage {percent(coverage_of(row))}")
    if not comparison.rows or not any(row.reports for row in comparison.rows.values()):
        out.print("  no row is complete")
    journal = runner.ledger.journal
    out.print(f"  {sent_line(journal)}")


def print_plan(runner: Runner, retries: int) -> None:
    """Print the largest possible number of calls and what they cost."""
    lms = {engine_of(lm).name: lm for lm in (runner.teacher, *runner.students, *runner.trained.others())}
    out = print_calls(largest_plan(runner), lms, lambda role, lm: call_costs(runner, lm), retries)
    out.print("In m3-self the teacher is its own student: such calls are in a row of their own.")
    for said in cut_options(runner):
        out.print(said)
    if runner.settings.program is not None:
        out.print("Your program is taken to ask each of its predictors once in a run.")
    if not all(engine_of(lm).in_process for lm in lms.values()):
        out.print("About: texts of median length, short answers; ? is an unknown price.")
        out.print(
            f"Most: every call uses all of its {retries} retries, every prompt holds the longest training texts at a"
        )
        out.print(
            "token per byte, every answer is as long as max_tokens or the model allows (a limit that --max-cost sends)."
        )
        out.print("Gates: --max-calls, --max-cost. Fewer calls: --seeds 0, fewer --rounds or --selection-examples.")
