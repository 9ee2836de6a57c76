"""The results of the schedules as tables and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lbt_dspy.benchmarks.shared.console import console
from lbt_dspy.benchmarks.shared.format import markdown_table, percent

Results = Mapping[str, Any]
COLOURS = {"sc": "#777777", "full": "#4477aa", "adaptive": "#228833"}


class Table(NamedTuple):
    """One table of the report."""

    title: str
    note: str
    headings: tuple[str, ...]
    cells: list[list[str]]


def tables(results: Results) -> list[Table]:
    """Return all tables of the report."""
    sizes = dict.fromkeys(entry["N"] for entry in results["rows"])
    return [*(_savings(results, size) for size in sizes), _budgets(results), _gates(results)]


def _savings(results: Results, size: int) -> Table:
    entries = [entry for entry in results["rows"] if entry["N"] == size]
    rows = list(dict.fromkeys(entry["row"] for entry in entries))
    most = max(entry["problems"] for entry in results["rows"])
    fewer = "" if entries[0]["problems"] == most else f", fewer than the {most:,} of the smaller exams"
    cells = []
    for key in dict.fromkeys((e["selection"], e["schedule"], e["in_flight"]) for e in entries):
        selection, schedule, in_flight = key
        mine = {e["row"]: e for e in entries if (e["selection"], e["schedule"], e["in_flight"]) == key}
        asked = "" if schedule == "full" else f"{in_flight}"
        cells.append([selection, schedule, asked, *(_saving(mine[row]) for row in rows)])
    return Table(
        title=f"{size} lessons, {9 * size:,} sittings in the full exam",
        note=f"{entries[0]['problems']:,} teaching problems a row{fewer}. Cells: how many times fewer student "
        "calls, and in brackets the agreement with the full exam's answer and the accuracy, in %; for the full exam "
        "the accuracy. In flight: sittings asked together at a problem.",
        headings=("selection", "schedule", "in flight", *rows),
        cells=cells,
    )  # fmt: skip


def _saving(entry: Mapping[str, Any]) -> str:
    if entry["schedule"] == "full":
        return f"({percent(entry['accuracy'])})"
    saving = "no call" if entry["saving"] is None else f"{entry['saving']:.1f}x"
    return f"{saving} ({percent(entry['agreement'])}; {percent(entry['accuracy'])})"


def _budgets(results: Results) -> Table:
    entries = results["equal_budgets"]
    rows = list(dict.fromkeys(entry["row"] for entry in entries))
    cells = []
    for key in dict.fromkeys((e["budget"], e["method"]) for e in entries):
        mine = {e["row"]: e for e in entries if (e["budget"], e["method"]) == key}
        cells.append([f"{key[0]:,}", key[1], *(_accuracy(mine[row]) for row in rows)])
    return Table(
        title="Accuracy with equal numbers of calls, lessons and sittings together",
        note=f"{entries[0]['problems']:,} teaching problems a row, the same for all methods. Cells: accuracy in %, and "
        "in brackets the number of lessons and the mean number of calls. `sc`: self-consistency, all calls are "
        "lessons. `full`: SUM, ten calls a lesson. `adaptive`: SUM with the confident schedule and as many lessons as "
        "are affordable on average, by the calls for some of the problems.",
        headings=("calls", "method", *rows),
        cells=cells,
    )  # fmt: skip


def _accuracy(entry: Mapping[str, Any]) -> str:
    return f"{percent(entry['accuracy'])} ({entry['N']:,}; {entry['calls']:,.0f})"


def _gates(results: Results) -> Table:
    cells = [
        [
            e["row"], "off" if e["gate"] is None else str(e["gate"]), percent(e["gated"]), f"{e['teacher_calls']:.1f}",
            f"{e['student_calls']:.1f}", f"{e['teacher_calls'] + e['student_calls']:.1f}", percent(e["accuracy"]),
        ]
        for e in results["gates"]
    ]  # fmt: skip
    return Table(
        title="The gate: sample no more lessons when the first 5 agree",
        note=f"24 lessons, lossless SUM, 64 in flight; {results['gates'][0]['problems']:,} teaching problems a row.",
        headings=("row", "gate", "gated, %", "teacher calls", "student calls", "calls", "accuracy, %"),
        cells=cells,
    )


def report(results: Results) -> str:
    """Return the report as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    head = (
        "# Schedules: what stopping early saves\n\n"
        "On mark tables simulated after four rows of the paper (arXiv 2406.14629); no model was called.\n"
        f"`{results['command']}`, seed {results['seed']}, {results['date']}, {versions}."
    )
    parts = [f"## {t.title}\n\n{t.note}\n\n{markdown_table(t.headings, t.cells)}" for t in tables(results)]
    return "\n\n".join([head, *parts]) + "\n"


def show(results: Results) -> None:
    """Print all tables."""
    from rich import box
    from rich.table import Table as RichTable

    out = console()
    for table in tables(results):
        shown = RichTable(title=table.title, caption=table.note, box=box.SIMPLE, title_justify="left")
        for place, heading in enumerate(table.headings):
            shown.add_column(heading, justify="right" if place else "left")
        for cells in table.cells:
            shown.add_row(*cells)
        out.print(shown)


def write(file: Path, results: Results) -> None:
    """Write the results as JSON, Markdown and a picture."""
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    file.with_suffix(".md").write_text(report(results), encoding="utf-8")
    plot(file.with_suffix(".png"), results)


def plot(path: Path, results: Results) -> None:
    """Draw accuracy against calls, one panel per row: self-consistency, the full and the confident exam."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    entries: Sequence[Mapping[str, Any]] = results["equal_budgets"]
    rows = list(dict.fromkeys(entry["row"] for entry in entries))
    with matplotlib.rc_context({"font.size": 9}):
        figure = Figure(figsize=(3.0 * len(rows) + 1, 3.2), layout="constrained")
        for axes, row in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows, strict=True):
            for method, colour in COLOURS.items():
                mine = [e for e in entries if e["row"] == row and e["method"] == method]
                calls, accuracy = [e["calls"] for e in mine], [100 * e["accuracy"] for e in mine]
                axes.plot(calls, accuracy, color=colour, label=method, marker="o", markersize=4)
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(FixedLocator(sorted({e["budget"] for e in entries})))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_title(row, fontsize=9, loc="left")
            axes.set_xlabel("calls of teacher and students")
            axes.spines[["top", "right"]].set_visible(False)
        figure.axes[0].set_ylabel("accuracy (%)")
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
        figure.savefig(path, dpi=150)
